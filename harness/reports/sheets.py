"""How a frame becomes a worksheet: number formats by column name, frozen head, filter, widths, colours of outcomes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.printable import printable
from harness.reports.values import clean, folded_text, is_missing

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

#: what one Excel cell can hold; longer texts are cut, the whole is in run.json
CELL_LIMIT = 32767

#: the most lines that a row shows of a wrapped text, and the height of one
MOST_LINES, _LINE_POINTS = 6, 13.5

#: background and text colours of outcomes, readable in print and for colour-blind readers by their words
OUTCOME_COLOURS = {
    "ok": ("#E2F0D9", "#1E4620"),
    "estimated": ("#DDEBF7", "#1F3864"),
    "undecided": ("#E4DFEC", "#3F2A5A"),
    "wrong": ("#F8CBAD", "#7A1A00"),
    "unsupported": ("#E7E6E6", "#404040"),
    "failed": ("#FFE699", "#665200"),
    "not run": ("#FFFFFF", "#7F7F7F"),
}
SEVERITY_COLOURS = {"error": OUTCOME_COLOURS["wrong"], "warning": OUTCOME_COLOURS["failed"]}


class Styles:
    """The workbook's formats, each made once."""

    def __init__(self, book: Workbook) -> None:
        def make(**options: Any) -> Format:
            return book.add_format({"font_name": "Calibri", "font_size": 10, "valign": "top", **options})

        self.text = make(align="left", indent=1)
        self.centre = make(align="center")
        self.wrap = make(text_wrap=True, align="left", indent=1)
        self.title = make(bold=True, font_size=14)
        self.note = make(italic=True, font_color="#595959")
        self.bold = make(bold=True)
        self.head = make(
            bold=True, bg_color="#1F3864", font_color="#FFFFFF", border=1, border_color="#8497B0", text_wrap=True
        )
        self.group = make(
            bold=True,
            bg_color="#D9E2F3",
            border=1,
            border_color="#8497B0",
            align="center",
            valign="vcenter",
            text_wrap=True,
        )
        self.numbers = {
            "count": make(num_format="#,##0"),
            "share": make(num_format="0.0000"),
            "score": make(num_format="#,##0.0000"),
            "delta": make(num_format="+0.0000;-0.0000;0.0000"),
            "number": make(num_format="0.####"),
            "us": make(num_format="[<100]0.00;#,##0.0"),
            "plain": make(num_format="0"),
        }
        self.colours = {
            word: book.add_format({"bg_color": background, "font_color": colour})
            for word, (background, colour) in {**OUTCOME_COLOURS, **SEVERITY_COLOURS}.items()
        }


def number_style(column: str) -> str:
    """The number format of a long table's column, by its name."""
    if "delta" in column:
        return "delta"
    if "accuracy" in column or column in ("agreement", "mismatch_share", "nrmse") or column.endswith("_p"):
        return "share"
    if column.startswith("score"):
        return "score"
    if column in ("seed", "node", "partition", "attempts"):
        return "plain"
    return "count"


def write_value(
    sheet: Worksheet, row: int, column: int, value: Any, style: Format, number: Format | None = None
) -> None:
    """Writes a value as what it is; a text never becomes a formula, link or number; a missing value stays blank."""
    if is_missing(value):
        sheet.write_blank(row, column, None, style)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value, style)
    elif isinstance(value, str):
        value = printable(value)
        sheet.write_string(row, column, value if len(value) <= CELL_LIMIT else value[: CELL_LIMIT - 1] + "…", style)
    else:
        sheet.write_number(row, column, value, number or style)


def write_lines(sheet: Worksheet, styles: Styles, lines: Iterable[str], row: int = 0) -> int:
    """Writes notes from a row on, one per row; returns the next free row."""
    for line in lines:
        sheet.write_string(row, 0, clean(line), styles.note)
        row += 1
    return row


def fit_row(
    sheet: Worksheet,
    row: int,
    texts: Iterable[tuple[str, float]],
    options: dict[str, Any] | None = None,
    *,
    most_lines: int = MOST_LINES,
) -> None:
    """Sets the height of a row by its wrapped texts, which programs do differently where nobody says: one line to `most_lines`.

    What is longer is cut on the screen only: the cell holds all of it.

    Args:
        texts: each text with its column's width in characters.
        options: of the row, as xlsxwriter takes them.
    """
    # A column holds a little more than its width in characters: that is in the font's digits, which are wide.
    lines = max((len(textwrap.wrap(text, max(int(width * 1.08), 1))) for text, width in texts), default=1)
    sheet.set_row(row, min(max(lines, 1), most_lines) * _LINE_POINTS + 1.5, None, options or {})


def write_frame(sheet: Worksheet, styles: Styles, frame: pd.DataFrame, *, notes: Sequence[str] = ()) -> None:
    """Writes notes, a head and the frame's rows; head and key columns stay in view, every column can be filtered."""
    names = [str(name) for name in frame.columns]
    folded = frame["severity"] == "info" if "severity" in names else None
    if folded is not None and (count := int(folded.sum())):
        notes = [*notes, f"{folded_text(count)} folded below the others: the + in the margin shows them."]
    head = write_lines(sheet, styles, notes)
    for column, name in enumerate(names):
        sheet.write_string(head, column, name, styles.head)
        values = frame.iloc[:, column].tolist()
        number = styles.numbers[_style_of(name, values)]
        style = styles.wrap if name in _WRAPPED else styles.text
        for offset, value in enumerate(values, start=1):
            write_value(sheet, head + offset, column, _one_line(value), style, number)
        sheet.set_column(column, column, _width(name, values))
    for offset, row in enumerate(frame.itertuples(index=False, name=None), start=1):
        texts = [(v, _WIDE.get(n, 40)) for n, v in zip(names, row, strict=True) if n in _WRAPPED and isinstance(v, str)]
        hidden = folded is not None and bool(folded.iloc[offset - 1])
        fit_row(sheet, head + offset, texts, {"level": 1, "hidden": True} if hidden else None)
    last = head + len(frame)
    if folded is not None and folded.any():
        sheet.set_row(last + 1, None, None, {"collapsed": True})
    if len(frame):
        sheet.autofilter(head, 0, last, max(len(names) - 1, 0))
    for name, words in (("outcome", OUTCOME_COLOURS), ("severity", SEVERITY_COLOURS)):
        if name in names and len(frame):
            colour_words(sheet, styles, words, head + 1, names.index(name), last, names.index(name))
    sheet.freeze_panes(head + 1, _frozen(names))
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{last + 1}"})
    sheet.set_landscape()
    sheet.repeat_rows(head)
    if len(names) <= _PRINTABLE_COLUMNS:
        sheet.fit_to_pages(1, 0)


def colour_words(
    sheet: Worksheet, styles: Styles, words: Iterable[str], top: int, left: int, bottom: int, right: int
) -> None:
    """Colours cells that hold exactly one of the words; editing the cell changes the colour."""
    for word in words:
        sheet.conditional_format(
            top,
            left,
            bottom,
            right,
            {"type": "cell", "criteria": "==", "value": f'"{word}"', "format": styles.colours[word]},
        )


#: a table of more columns is for the screen: on one page nobody could read it
_PRINTABLE_COLUMNS = 16
_WRAPPED = {"what", "fix", "reason", "value", "seen_on"}
_WIDE = {"what": 60, "fix": 50, "reason": 60, "value": 90, "where": 28, "placement": 30, "dataset_note": 40}


def _one_line(value: Any) -> Any:
    """Texts from boards lose control characters and line breaks, which would break a row's height."""
    return clean(value) if isinstance(value, str) else value


def _style_of(name: str, values: list[Any]) -> str:
    style = number_style(name)
    fractions = any(isinstance(v, float) and not is_missing(v) and v != int(v) for v in values)
    return "number" if style == "count" and fractions else style


def _width(name: str, values: list[Any]) -> float:
    """As wide as the longest of head and values, within reason."""
    if name in _WIDE:
        return _WIDE[name]
    if name == "dataset" or name.endswith(("sha256", "_object")):
        return 14  # nobody reads a hash to its end
    longest = max([len(name) + 3, *(len(str(value)) for value in values if not is_missing(value))])
    return min(max(longest + 1, 8), 40 if name != "recipe" else 60)


def _frozen(names: list[str]) -> int:
    """How many columns stay in view: up to the recipe, when it stands near the left."""
    return names.index("recipe") + 1 if "recipe" in names[:5] else 0
