"""comparison.xlsx: a summary sheet per workload with charts, then the long tables, then what every column means."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.files import write_bytes_atomic
from harness.core.printable import one_line
from harness.reports.answer.page import write_answer_sheet
from harness.reports.charts import add_charts, chart_points
from harness.reports.report import Report
from harness.reports.sheets import Styles, write_frame
from harness.reports.summary_sheet import write_summary
from harness.reports.workbook_about import write_about
from harness.results.faults import storage_faults

if TYPE_CHECKING:
    from xlsxwriter import Workbook

#: Excel's own limit on sheet names, and the characters it forbids
_NAME_LIMIT = 31
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")


def sheet_name(text: str, taken: set[str]) -> str:
    """A valid sheet name close to `text` that is not taken yet; adds it to `taken` (Excel compares without case)."""
    base = _FORBIDDEN.sub("-", one_line(text)).strip() or "sheet"
    name, number = base[:_NAME_LIMIT], 1
    while name.lower() in taken:
        number += 1
        name = f"{base[: _NAME_LIMIT - len(str(number)) - 1]}-{number}"
    taken.add(name.lower())
    return name


def write_workbook(report: Report, path: Path, *, option: str = "--results") -> None:
    """Writes the workbook. No cell is ever a formula: texts that look like one are written as texts.

    Args:
        option: which one names the file, for an error's hint.

    Raises:
        UserInputError: the place cannot be written.
        HarnessError: the disk is full; no part of a file stays.
    """
    import xlsxwriter

    # Made in memory: a disk that is full then meets one plain write, not a half-closed archive.
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"strings_to_formulas": False, "strings_to_urls": False, "in_memory": True})
    _fill(book, report)
    book.close()
    with storage_faults(path, option=option):
        write_bytes_atomic(path, buffer.getvalue())


def _fill(book: Workbook, report: Report) -> None:
    book.set_properties(
        {"title": f"Run {report.run}" if report.run else "Latest cells", "comments": report.counts_text}
    )
    styles = Styles(book)
    taken: set[str] = set()
    points = chart_points(report.summaries)
    points_name = "Chart points"
    taken.add(points_name.lower())
    taken.update(name.lower() for name in (*report.frames, "Answer", "About"))
    title = f"Run {report.run}: {report.counts_text}" if report.run else f"Latest cells: {report.counts_text}"
    write_answer_sheet(book.add_worksheet("Answer"), styles, report.answers, title, report.dataset_notes)
    for summary in report.summaries:
        sheet = book.add_worksheet(sheet_name(f"Summary {summary.workload}", taken))
        free_row = write_summary(sheet, styles, summary, report.run)
        add_charts(book, sheet, summary, points, points_name, top_row=free_row + 1)
    for name, frame in report.frames.items():
        notes = [] if name == "Environment" else [_EXPLAINED[name], *report.dataset_notes]
        write_frame(book.add_worksheet(name), styles, frame, notes=notes)
    write_frame(
        book.add_worksheet(points_name), styles, points, notes=["What the charts show: cells with the outcome ok."]
    )
    write_about(book.add_worksheet("About"), styles, report)


_EXPLAINED = {
    "Cells": "One row per cell with every field; the sheet About says what each means. Times are in ns, sizes in bytes.",
    "Problems": "Cells whose outcome is not ok, with the full reason.",
    "Seeds": "The spread over seeds of training. A difference within it shows nothing.",
    "Starts": "Cold (an empty graph cache), cached (a second start, where the delegate keeps a cache) and steady, in ns.",
    "Ops": "Where every node of every model ran, and its time where an estimate or the vendor's benchmark gives one.",
    "Fallback": "Cells with an external delegate: where every node ran, why not on the delegate, and whether that was predicted.",
    "Compiled": "What an offline compiler made of the models before they travelled; its estimates are for the NPU's part alone.",
    "Microcontrollers": "Exact counts per inference, and memory: the arena holds tensors, flash model_bytes and code_bytes.",
    "Findings": "What the audits and the measurements found, gravest first.",
}
