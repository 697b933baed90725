"""Tables for the terminal, readable from 100 columns on: as many devices side by side as fit, the others below."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.reports import fallback
from harness.reports.report import NO_ANSWER, Report, answer_title
from harness.reports.scores import ACCURACY, delta_text, score_text
from harness.reports.summary import Answer, Column, Summary, answers
from harness.reports.tables import NOT_RUN, cell_text, row_size_text
from harness.reports.values import clean, latency_text, size_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STYLES = {
    "ok": "",
    "estimated": "italic",
    "undecided": "magenta",
    "wrong": "bold red",
    "unsupported": "dim",
    "failed": "yellow",
}
_SEVERITY_STYLES = {"error": "red", "warning": "yellow", "info": "dim"}
#: what a device's column needs for `ok .9577 [.954,.962] n=10000`
_CELL_WIDTH = 28
_REASON_LIMIT = 54


def make_console(**options: Any) -> Console:
    """A console without Rich's guesses; 120 columns where no terminal says otherwise (a pipe, a CI log)."""
    from harness.core.safe_console import SafeConsole

    console = SafeConsole(highlight=False, **options)
    if not console.is_terminal and "COLUMNS" not in os.environ and "width" not in options:
        console = SafeConsole(highlight=False, width=120, **options)
    return console


def print_report(report: Report | Iterable[CellRecord], *, console: Console | None = None) -> None:
    """Prints summaries, problems and findings on stdout, or on a console given."""
    console = console or make_console()
    report = report if isinstance(report, Report) else Report.of(report)
    if report.info and (report.not_run or report.info.state != "finished"):
        console.print(f"run {report.run} ({report.info.state}): {report.counts_text}", markup=False)
    for summary in report.summaries:
        _print_summary(console, summary)
    _print_problems(console, report)
    _print_fallback(console, report)
    _print_findings(console, report)


def _print_summary(console: Console, summary: Summary) -> None:
    from rich.text import Text

    console.print(Text(f"\n{clean(summary.title)}", style="bold"))
    if summary.dataset_note:
        console.print(Text(f"Data: {clean(summary.dataset_note)}", style="dim"))
    if summary.score_head != ACCURACY:
        console.print(Text(f"Score: {summary.score_head}", style="dim"))
    for positions in _groups(summary, console.width):
        console.print(_summary_table(summary, positions))
    for note in summary.notes:
        console.print(Text(note, style="dim"))
    _print_answers(console, summary)


def _print_answers(console: Console, summary: Summary) -> None:
    """The headline: per device and backend the recipes to take, one line each."""
    from rich.text import Text

    chosen = answers(summary)
    if not chosen:
        console.print(Text(NO_ANSWER))
        return
    console.print(Text(f"{answer_title([summary])}:"))
    for column in summary.columns:
        mine = [answer for answer in chosen if answer.column == column]
        if mine:
            console.print(Text(f"  {clean(column.text)}", style="bold"))
            console.print(_answer_lines(mine))


def _answer_lines(chosen: list[Answer]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for answer in chosen:
        r = answer.record
        score, latency = score_text(r, narrow=True), latency_text(r, narrow=True)
        texts = (
            f"    {', '.join(answer.merits)}",
            r.key.recipe,
            score,
            delta_text(r),
            latency,
            f"{size_text(r.size_bytes)} B" if r.size_bytes is not None else "",
        )
        table.add_row(*(Text(text) for text in texts))
    return table


def _groups(summary: Summary, width: int) -> list[list[int]]:
    """Column positions that fit side by side."""
    names = max((len(row.recipe) for row in summary.rows), default=6)
    sizes = max([len(row_size_text(row)) for row in summary.rows] + [5])
    fit = max(1, (width - names - sizes - 4) // (_CELL_WIDTH + 3))
    positions = list(range(len(summary.columns)))
    return [positions[i : i + fit] for i in range(0, len(positions), fit)]


def _summary_table(summary: Summary, positions: list[int]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("recipe", no_wrap=True)
    table.add_column("bytes", justify="right")
    for position in positions:
        table.add_column(Text(_head(summary.columns[position])), width=_CELL_WIDTH, overflow="fold")
    for row in summary.rows:
        cells = []
        for position in positions:
            record = row.cells[position]
            text = cell_text(record, row.seed_notes[position], reason_limit=_REASON_LIMIT, narrow=True)
            cells.append(Text(text, style="dim" if text == NOT_RUN or record is None else _STYLES[record.outcome]))
        table.add_row(Text(row.recipe), row_size_text(row), *cells)
    return table


def _head(column: Column) -> str:
    return f"{column.name}\n{column.detail}" if column.detail else column.name


def _print_problems(console: Console, report: Report) -> None:
    from rich.text import Text

    frame = report.frames["Problems"]
    if frame.empty:
        return
    console.print(Text("\nWhat did not work", style="bold"))
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in frame.to_dict("records"):
        cell = "/".join(row[name] for name in ("workload", "recipe", "device", "backend"))
        grouped.setdefault((row["outcome"], row["reason"]), []).append(
            cell + (f" seed {row['seed']}" if row["seed"] else "")
        )
    for (outcome, reason), cells in grouped.items():
        console.print(Text.assemble((outcome, _STYLES[outcome]), " ", reason))
        console.print(Text("    " + "\n    ".join(cells), style="dim"))


def _print_fallback(console: Console, report: Report) -> None:
    """Cells with an external delegate, those with the same placement and reasons together."""
    from rich.text import Text

    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for cell in fallback.cells(report.sorted_records):
        key = cell.record.key
        if cell.record.ops:  # what did not run stands under "What did not work"
            name = f"{key.workload}/{key.recipe}/{key.device}/{key.backend}" + (f" seed {key.seed}" if key.seed else "")
            grouped.setdefault((cell.placement, cell.lines), []).append(name)
    if not grouped:
        return
    console.print(Text("\nWhere the nodes ran", style="bold"))
    for (placement, lines), names in grouped.items():
        console.print(Text(placement + ("" if lines else ": nothing fell back")))
        for line in lines:
            console.print(Text(f"    {line}"))
        console.print(Text("    " + "\n    ".join(names), style="dim"))


def _print_findings(console: Console, report: Report) -> None:
    from rich.text import Text

    frame = report.frames["Findings"]
    frame = frame[frame["severity"] != "info"]
    if frame.empty:
        return
    console.print(Text("\nFindings", style="bold"))
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in frame.to_dict("records"):
        key = (row["severity"], row["what"], row["fix"])
        grouped.setdefault(key, []).append(f"{row['workload']}/{row['recipe']}: {row['where']}")
    for (severity, what, fix), places in grouped.items():
        shown = list(dict.fromkeys(places))
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        console.print(
            Text.assemble((severity, _SEVERITY_STYLES[severity]), " ", what, (f" -> {fix}" if fix else "", "dim"))
        )
        console.print(Text(f"    {'; '.join(shown[:3])}{more}", style="dim"))
