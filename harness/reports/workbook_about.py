"""The About sheet: what every column means, how outcomes are decided, what the time bases are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.reports.fields import FIELDS
from harness.reports.report import Report
from harness.reports.schema_gen import kind_text
from harness.reports.sheets import Styles, fit_row, write_value
from harness.reports.summary_sheet import LOSS_AMBER, LOSS_RED
from harness.reports.values import BASIS_MEANING

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

_WIDTHS = (26, 36, 90, 56)
_OUTCOMES = (
    ("ok", "It ran, and its outputs are those of the model, as far as rounding explains."),
    (
        "wrong",
        "It ran, but its outputs are not those of the model. The rule that decided, with its bounds and the "
        "reference's identity, is in the columns reference_rule and reference of the sheet Cells.",
    ),
    (
        "undecided",
        "It ran, but neither its outputs nor its ops one by one can tell right from wrong, such as answers that are all the "
        "same. It is never recommended.",
    ),
    ("estimated", "Nothing ran: a tool's estimate. There is no score, and its times are compared with nothing."),
    ("unsupported", "The X of the tables: a converter, runtime or delegate refuses it. The reason stands beside it."),
    ("failed", "The board or the link failed, not the model. It says nothing about the recipe; run it again."),
    ("not run", "Planned, but there is no record: the run ended before, or the cell was left out."),
)
_RULES = (
    "A score is measured on the device, with a 95 % interval, against the float model on the same samples: by its metric, which "
    "is accuracy with Wilson's interval where nothing else is said.",
    "A latency stands only with its placement, outcome and sample count; it is timed on the device around invoke alone.",
    "Statistics are computed from the raw samples, which are kept: see raw/ beside this workbook.",
    "References differ between models; max_lsb_diff and agreement against different references are not comparable.",
    f"Colours of the loss against float32: red from {LOSS_RED} on, amber from {LOSS_AMBER} on, else green; of scores that are no "
    "shares of 1, as a share of the float model's.",
    "Charts show cells with the outcome ok; the points are in the sheet Chart points.",
)


def write_about(sheet: Worksheet, styles: Styles, report: Report) -> None:
    """Writes the sheet."""
    for column, width in enumerate(_WIDTHS):
        sheet.set_column(column, column, width)
    sheet.write_string(0, 0, "About these tables", styles.title)
    row = 2
    for title, pairs in (
        ("Data", [(workload, note) for workload, _, note in (n.partition(": ") for n in report.dataset_notes)]),
        ("Outcomes", _OUTCOMES),
        ("Time bases", tuple(BASIS_MEANING.items())),
        ("Rules", tuple(("", rule) for rule in _RULES)),
        ("Wrong: the rules used here", tuple(("", rule) for rule in _wrong_rules(report))),
    ):
        if not pairs:
            continue
        sheet.write_string(row, 0, title, styles.bold)
        for offset, (name, text) in enumerate(pairs, start=1):
            write_value(sheet, row + offset, 0, name, styles.text)
            write_value(sheet, row + offset, 1, text, styles.text)
        row += len(pairs) + 2
    sheet.write_string(row, 0, "Columns of the sheet Cells (and fields of run.json)", styles.bold)
    for column, name in enumerate(("field", "type", "meaning", "empty when")):
        sheet.write_string(row + 1, column, name, styles.head)
    for offset, field in enumerate(FIELDS, start=row + 2):
        for column, text in enumerate(
            (field.name, kind_text(field).replace("`", ""), field.meaning, field.null or "never")
        ):
            write_value(sheet, offset, column, text, styles.wrap)
        fit_row(sheet, offset, zip((field.name, kind_text(field), field.meaning, field.null), _WIDTHS, strict=True))
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


def _wrong_rules(report: Report) -> list[str]:
    return list(dict.fromkeys(r.reference_rule for r in report.records if r.reference_rule))
