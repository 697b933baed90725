"""How a frame becomes a worksheet: number formats by column name, frozen head, filter, widths, colours of outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.sheets import (
    MOST_ROWS,
    OUTCOME_COLOURS,
    QUALITY_COLOURS,
    SEVERITY_COLOURS,
    STATUS_COLOURS,
    Styles,
    colour_words,
    cut_text,
    line_count,
    set_lines,
    write_lines,
)
from harness.reports.values import clean, folded_text, is_missing

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter.worksheet import Worksheet

#: a table of more columns is for the screen: on one page nobody could read it
_PRINTABLE_COLUMNS = 16
_WRAPPED = {"what", "fix", "reason", "value", "seen_on", "command", "source"}
#: rows that a column's width is taken from
_MEASURED_ROWS = 2000
_WIDE = {
    "command": 60,
    "source": 40,
    "what": 60,
    "fix": 50,
    "reason": 60,
    "value": 90,
    "where": 28,
    "placement": 30,
    "dataset_note": 40,
}


def write_frame(
    sheet: Worksheet, styles: Styles, frame: pd.DataFrame, *, notes: Sequence[str] = (), most_rows: int = MOST_ROWS
) -> int:
    """Writes notes, a head and the frame's rows; head and key columns stay in view, every column can be filtered. Returns the row
    of the frame's first one, from 0.

    Rows are written in their order, once: a large workbook keeps none of them in memory. Rows beyond `most_rows` are left out
    with a note; the CSV file beside the workbook has all of them.
    """
    names = [str(name) for name in frame.columns]
    room = min(MOST_ROWS, most_rows) - len(notes) - 4
    if len(frame) > room:
        notes = [*notes, f"{len(frame) - room:,} of {len(frame):,} rows are left out; the CSV file has all of them."]
        frame = frame.iloc[:room]
    folded = frame["severity"] == "info" if "severity" in names else None
    if folded is not None and (count := int(folded.sum())):
        notes = [*notes, f"{folded_text(count)} folded below the others: the + in the margin shows them."]
    hidden = folded.tolist() if folded is not None else [False] * len(frame)
    head = write_lines(sheet, styles, notes)
    columns = [_Column(sheet, styles, frame, position, name) for position, name in enumerate(names)]
    for column in columns:
        sheet.write_string(head, column.position, column.name, styles.head)
        sheet.set_column(column.position, column.position, column.width)
    for offset in range(len(frame)):
        row = head + 1 + offset
        lines = 1
        for column in columns:
            value = column.values[offset]
            column.write(row, value)
            if column.wrapped and isinstance(value, str) and len(value) > column.width:
                lines = max(lines, line_count(value, column.width))
        if hidden[offset] or lines > 1:
            set_lines(sheet, row, lines, {"level": 1, "hidden": True} if hidden[offset] else None)
    last = head + len(frame)
    if any(hidden):
        sheet.set_row(last + 1, None, None, {"collapsed": True})
    _set_up_table(sheet, styles, names, head, last)
    return head + 1


def _set_up_table(sheet: Worksheet, styles: Styles, names: list[str], head: int, last: int) -> None:
    """What a table's sheet can do, and how it is printed."""
    if last > head:
        sheet.autofilter(head, 0, last, max(len(names) - 1, 0))
    for name, words in (
        ("outcome", OUTCOME_COLOURS),
        ("severity", SEVERITY_COLOURS),
        ("quality", QUALITY_COLOURS),
        ("status", STATUS_COLOURS),
    ):
        if name in names and last > head:
            colour_words(sheet, styles, words, head + 1, names.index(name), last, names.index(name))
    sheet.freeze_panes(head + 1, _frozen(names))
    sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{last + 1}"})
    sheet.set_landscape()
    sheet.repeat_rows(head)
    if len(names) <= _PRINTABLE_COLUMNS:
        sheet.fit_to_pages(1, 0)


class _Column:
    """One column of a table: its values as they are written, its width, and how one of them gets into the sheet."""

    def __init__(self, sheet: Worksheet, styles: Styles, frame: pd.DataFrame, position: int, name: str) -> None:
        self.position, self.name = position, name
        self.wrapped = name in _WRAPPED
        known: dict[str, str] = {}  # names repeat from row to row
        self.values = [_shown(value, known) for value in frame.iloc[:, position].tolist()]
        self.width = _width(name, self.values)
        self._style = styles.wrap if self.wrapped else styles.text
        self._number = styles.numbers[_style_of(name, self.values)]
        self._sheet = sheet

    def write(self, row: int, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, str):
            self._sheet.write_string(row, self.position, value, self._style)
        elif isinstance(value, bool):
            self._sheet.write_boolean(row, self.position, value, self._style)
        else:
            self._sheet.write_number(row, self.position, value, self._number)


def _shown(value: Any, known: dict[str, str]) -> Any:
    """A value as a cell takes it. Texts from boards lose control characters and line breaks, which would break a row's height."""
    if isinstance(value, str):
        if value not in known:
            known[value] = cut_text(clean(value))
        return known[value]
    return None if is_missing(value) else value


def number_style(column: str) -> str:
    """The number format of a long table's column, by its name."""
    if column in ("change", "difference_share", "drift"):
        return "percent"
    if column == "detectable" or column.endswith("_share"):
        return "bound"
    if "delta" in column:
        return "delta"
    if "accuracy" in column or column in ("agreement", "nrmse") or column.endswith("_p"):
        return "share"
    if column.startswith("score"):
        return "score"
    if column in ("seed", "node", "partition", "attempts"):
        return "plain"
    return "count"


def _style_of(name: str, values: list[Any]) -> str:
    style = number_style(name)
    fractions = style == "count" and any(isinstance(v, float) and v != int(v) for v in values[:_MEASURED_ROWS])
    return "number" if style == "count" and fractions else style


def _width(name: str, values: list[Any]) -> float:
    """As wide as the longest of head and values, within reason."""
    if name in _WIDE:
        return _WIDE[name]
    if name == "dataset" or name.endswith(("sha256", "_object")):
        return 14  # nobody reads a hash to its end
    longest = max([len(name) + 3, *(_length(value) for value in values[:_MEASURED_ROWS] if value is not None)])
    return min(max(longest + 1, 8), 40 if name != "recipe" else 60)


def _length(value: Any) -> int:
    """Characters of a value as a format shows it: of a fraction a few digits."""
    return len(f"{value:,.4g}") if isinstance(value, float) else len(str(value))


def _frozen(names: list[str]) -> int:
    """How many columns stay in view: up to the recipe, when it stands near the left."""
    return names.index("recipe") + 1 if "recipe" in names[:5] else 0
