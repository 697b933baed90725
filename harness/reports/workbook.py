"""comparison.xlsx: the answer, what got worse, a summary per workload with charts, then the long tables and what columns mean."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.files import write_bytes_atomic
from harness.core.memory import collection_paused
from harness.core.printable import one_line
from harness.reports.answer.page import write_answer_sheet
from harness.reports.charts import add_charts, chart_points
from harness.reports.explained import explanation_notes
from harness.reports.explained_charts import Place, write_explain_charts
from harness.reports.frame_sheet import write_frame
from harness.reports.night_sheets import HISTORY, REGRESSIONS, headline_lines, write_history, write_regressions
from harness.reports.night_view import NightView
from harness.reports.published import PUBLISHED, PublishedFigure, published_table
from harness.reports.report import Report
from harness.reports.sheets import MOST_ROWS, Styles
from harness.reports.summary_sheet import write_summary
from harness.reports.workbook_about import write_about
from harness.results.faults import storage_faults

if TYPE_CHECKING:
    import pandas as pd
    from xlsxwriter import Workbook

#: Excel's own limit on sheet names, and the characters it forbids
_NAME_LIMIT = 31
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")
_POINTS, _ANSWER, _ABOUT, _PLOTS = "Chart points", "Answer", "About", "Explain plots"
#: the tables that stand behind the summaries, in this order; the others follow in their own
_FIRST = ("Fallback", HISTORY, "Audit", PUBLISHED, "Environment")
#: fields of a cell that a large workbook leaves to its other sheets and to cells.csv
_LONG_FIELDS = ("ops", "fallback", "findings", "board_log")
#: rows of the tables that have one per node, in a large workbook
_NODE_ROWS = {"Ops": 200_000, "Fallback": 200_000}
#: from so many values in its tables on, a workbook is written row by row to the disk and not made in memory
_LARGE = 2_000_000


def sheet_name(text: str, taken: set[str]) -> str:
    """A valid sheet name close to `text` that is not taken yet; adds it to `taken` (Excel compares without case)."""
    base = _FORBIDDEN.sub("-", one_line(text)).strip() or "sheet"
    name, number = base[:_NAME_LIMIT], 1
    while name.lower() in taken:
        number += 1
        name = f"{base[: _NAME_LIMIT - len(str(number)) - 1]}-{number}"
    taken.add(name.lower())
    return name


def write_workbook(
    report: Report,
    path: Path,
    *,
    view: NightView | None = None,
    option: str = "--results",
) -> None:
    """Writes the workbook. No cell is ever a formula: texts that look like one are written as texts.

    Args:
        view: the run among the nights of its series; None: the workbook has no sheets of nights.
        option: which one names the file, for an error's hint.

    Raises:
        UserInputError: the place cannot be written.
        HarnessError: the disk is full; no part of a file stays.
    """
    import xlsxwriter

    frames, large = _frames(report, report.published)
    options = {"strings_to_formulas": False, "strings_to_urls": False}
    with storage_faults(path, option=option), collection_paused():
        # Made in memory: a disk that is full then meets one plain write, not a half-closed archive.
        buffer = io.BytesIO()
        book = xlsxwriter.Workbook(buffer, options | ({"constant_memory": True} if large else {"in_memory": True}))
        _fill(book, report, frames, view or NightView(), report.published, large=large)
        book.close()
        write_bytes_atomic(path, buffer.getvalue())


def _frames(report: Report, published: Sequence[PublishedFigure]) -> tuple[dict[str, pd.DataFrame], bool]:
    """The tables by their sheets, in the order of sheets, and whether they are large."""
    frames = dict(report.frames)
    if published:
        frames[PUBLISHED] = published_table(report.sorted_records, published)
    large = sum(frame.size for frame in frames.values()) > _LARGE
    if large:
        frames["Cells"] = _short(frames["Cells"])
    return {name: frames[name] for name in (*_FIRST, *frames) if name in frames}, large


def _short(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells of a large workbook without the columns that have no value at all, and without long ones."""
    return frame.drop(columns=[name for name in _LONG_FIELDS if name in frame]).dropna(axis="columns", how="all")


def _fill(
    book: Workbook,
    report: Report,
    frames: dict[str, pd.DataFrame],
    view: NightView,
    published: Sequence[PublishedFigure],
    *,
    large: bool,
) -> None:
    book.set_properties(
        {"title": f"Run {report.run}" if report.run else "Latest cells", "comments": report.counts_text}
    )
    styles = Styles(book)
    points = chart_points(report.summaries)
    taken = {name.lower() for name in (*frames, _ANSWER, _ABOUT, _POINTS, _PLOTS, REGRESSIONS, HISTORY)}
    title = f"Run {report.run}: {report.counts_text}" if report.run else f"Latest cells: {report.counts_text}"
    by_key = {record.key: record for record in report.records}
    first = headline_lines(view) or [_NO_NIGHT]
    write_answer_sheet(book.add_worksheet(_ANSWER), styles, report.answers, title, report.dataset_notes, headline=first)
    if view.judgement is not None:
        write_regressions(book, book.add_worksheet(REGRESSIONS), styles, view, by_key)
    for summary in report.summaries:
        sheet = book.add_worksheet(sheet_name(f"Summary {summary.workload}", taken))
        free_row = write_summary(sheet, styles, summary, report.run, published)
        add_charts(book, sheet, summary, points, _POINTS, top_row=free_row + 1)
    for name in (*_FIRST, *(n for n in frames if n not in _FIRST)):
        if name == HISTORY:
            if view.trends.nights:
                write_history(book, book.add_worksheet(HISTORY), styles, view, by_key)
        elif name in frames:
            notes = [] if name == "Environment" else [_EXPLAINED[name], *report.dataset_notes]
            notes += explanation_notes(report) if name == "Explain" else []
            most = _NODE_ROWS.get(name, MOST_ROWS) if large else MOST_ROWS
            first_row = write_frame(book.add_worksheet(name), styles, frames[name], notes=notes, most_rows=most)
            if name == "Explain":
                place = Place(sheet=name, first_row=first_row)
                write_explain_charts(book, book.add_worksheet(_PLOTS), styles, frames[name].iloc[:most], place)
    write_frame(book.add_worksheet(_POINTS), styles, points, notes=["What the charts show: cells with the outcome ok."])
    write_about(book.add_worksheet(_ABOUT), styles, report)


_NO_NIGHT = (
    "Compared with no nights before: `harness nightly` says what got worse, `harness compare` what two runs differ by."
)
_EXPLAINED = {
    "Cells": "One row per cell with every field; the sheet About says what each means. Times are in ns, sizes in bytes.",
    "Problems": "Cells whose outcome is not ok, with the full reason.",
    "Outputs": "The score of each judged output of models that have several, with its difference to the float model's.",
    "Seeds": "The spread over seeds of training. A difference within it shows nothing.",
    "Starts": "Cold (an empty graph cache), cached (a second start, where the delegate keeps a cache) and steady, in ns.",
    "Ops": "Where every node of every model ran, and its cost where the board, an estimate or the vendor's benchmark gives one.",
    "Fallback": "Cells with an external delegate: where every node ran, why not on the delegate, and whether that was predicted.",
    "Audit": "What is known of each model without running it: its types, and what the audits found, gravest first.",
    PUBLISHED: "Published figures beside those of this run; a difference is this run's less the published one.",
    "Compiled": "What an offline compiler made of the models before they travelled; its estimates are for the NPU's part alone.",
    "Microcontrollers": "Exact counts per inference, and memory: the arena holds tensors, flash model_bytes and code_bytes.",
    "Explain": "What `harness explain` found of each layer: on the device, against float (dB), back in float, and what it takes.",
    "Findings": "What the audits and the measurements found, gravest first.",
}
