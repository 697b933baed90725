"""What all worksheets share: formats, colours of words, heights of rows, and how a value or a text gets into a cell."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.core.printable import printable
from harness.reports.values import clean, is_missing

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

#: what one Excel cell can hold; longer texts are cut, the whole is in run.json
CELL_LIMIT = 32767
#: rows of an Excel sheet
MOST_ROWS = 1_048_576

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
QUALITY_COLOURS = {"noisy": OUTCOME_COLOURS["failed"], "throttled": OUTCOME_COLOURS["wrong"]}
STATUS_COLOURS = {
    "worse": OUTCOME_COLOURS["wrong"],
    "vanished": OUTCOME_COLOURS["wrong"],
    "suspect": OUTCOME_COLOURS["failed"],
    "better": OUTCOME_COLOURS["ok"],
    "new level": OUTCOME_COLOURS["estimated"],
}
_COLOURS = {**OUTCOME_COLOURS, **SEVERITY_COLOURS, **QUALITY_COLOURS, **STATUS_COLOURS}


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
            "percent": make(num_format="+0.0%;-0.0%;0.0%"),
            "bound": make(num_format="0.0%"),
        }
        self.colours = {
            word: book.add_format({"bg_color": background, "font_color": colour})
            for word, (background, colour) in _COLOURS.items()
        }


def write_value(
    sheet: Worksheet, row: int, column: int, value: Any, style: Format, number: Format | None = None
) -> None:
    """Writes a value as what it is; a text never becomes a formula, link or number; a missing value stays blank."""
    if is_missing(value):
        sheet.write_blank(row, column, None, style)
    elif isinstance(value, bool):
        sheet.write_boolean(row, column, value, style)
    elif isinstance(value, str):
        sheet.write_string(row, column, cut_text(printable(value)), style)
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
    lines = max((line_count(text, width) for text, width in texts), default=1)
    set_lines(sheet, row, min(lines, most_lines), options)


def set_lines(sheet: Worksheet, row: int, lines: int, options: dict[str, Any] | None = None) -> None:
    """Sets the height of a row to so many lines."""
    sheet.set_row(row, min(max(lines, 1), MOST_LINES) * _LINE_POINTS + 1.5, None, options or {})


def line_count(text: str, width: float) -> int:
    """How many lines a wrapped text takes in a column of this width; counted no further than rows are high."""
    # A column holds a little more than its width in characters: that is in the font's digits, which are wide.
    room = max(int(width * 1.08), 1)
    return len(textwrap.wrap(text[: room * MOST_LINES * 2], room))


def cut_text(text: str) -> str:
    """A text as one cell can hold it."""
    return text if len(text) <= CELL_LIMIT else text[: CELL_LIMIT - 1] + "…"


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
