"""Reports for the terminal: the cells of every workload, the answer, what did not work, and what was found."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.reports import fallback
from harness.reports.answer.show import print_reasons, print_sentences
from harness.reports.console_cells import STYLES, print_cells
from harness.reports.report import Report
from harness.reports.scores import ACCURACY
from harness.reports.summary import Summary
from harness.reports.values import clean, folded_text
from harness.results.record import CellKey, CellRecord

if TYPE_CHECKING:
    from rich.console import Console

_SEVERITY_STYLES = {"error": "red", "warning": "yellow", "info": "dim"}


#: columns where no terminal says otherwise (a pipe, a CI log, a file): most rows of cells stand on one line then
PIPE_WIDTH = 160


def make_console(**options: Any) -> Console:
    """A console without Rich's guesses; `PIPE_WIDTH` columns where neither a terminal nor COLUMNS says otherwise."""
    made = _console_class()
    console = made(highlight=False, **options)
    if not console.is_terminal and "COLUMNS" not in os.environ and "width" not in options:
        console = made(highlight=False, width=PIPE_WIDTH, **options)
    return console


@functools.cache
def _console_class() -> type[Console]:
    from harness.core.safe_console import SafeConsole

    class PipedConsole(SafeConsole):
        """A console whose reader may go away (`| head`)."""

        def on_broken_pipe(self) -> None:
            """Leaves to the command line what Rich would end the process for, with exit code 1."""
            raise BrokenPipeError

    return PipedConsole


def print_report(
    report: Report | Iterable[CellRecord], *, console: Console | None = None, all_findings: bool = False
) -> None:
    """Prints summaries, problems and findings on stdout, or on a console given.

    Args:
        all_findings: also those of severity info, which are counted only otherwise.
    """
    console = console or make_console()
    report = report if isinstance(report, Report) else Report.of(report)
    if report.info and (report.not_run or report.info.state != "finished"):
        console.print(f"run {report.run} ({report.info.state}): {report.counts_text}", markup=False)
    print_sentences(console, report.answers, report.run_folder)
    for summary in report.summaries:
        _print_summary(console, summary)
        print_reasons(
            console, [a for a in report.answers if (a.workload, a.dataset) == (summary.workload, summary.dataset)]
        )
    _print_problems(console, report)
    _print_fallback(console, report)
    _print_findings(console, report, all_findings=all_findings)


def _print_summary(console: Console, summary: Summary) -> None:
    from rich.text import Text

    console.print(Text(f"\n{clean(summary.title)}", style="bold"))
    if summary.dataset_note:
        console.print(Text(f"Data: {clean(summary.dataset_note)}", style="dim"))
    if summary.score_head != ACCURACY:
        console.print(Text(f"Score: {summary.score_head}", style="dim"))
    print_cells(console, summary)
    console.print()
    for note in summary.notes:
        console.print(Text(note, style="dim"))


def _print_problems(console: Console, report: Report) -> None:
    from rich.text import Text

    frame = report.frames["Problems"]
    if frame.empty:
        return
    console.print(Text("\nWhat did not work", style="bold"))
    grouped: dict[tuple[str, str], list[CellKey]] = {}
    for row in frame.to_dict("records"):
        key = CellKey(dataset="", **{name: row[name] for name in ("workload", "recipe", "device", "backend", "seed")})
        grouped.setdefault((row["outcome"], row["reason"]), []).append(key)
    for (outcome, reason), keys in grouped.items():
        console.print(Text.assemble((outcome, STYLES[outcome]), " ", reason))
        _print_keys(console, keys)


def _print_keys(console: Console, keys: Iterable[CellKey]) -> None:
    """The cells that something was said of: a line per workload and backend, with its recipes."""
    from rich.padding import Padding
    from rich.text import Text

    places: dict[str, list[str]] = {}
    for key in keys:
        recipe = key.recipe + (f" seed {key.seed}" if key.seed else "")
        places.setdefault(f"{key.workload} on {key.device}/{key.backend}", []).append(recipe)
    for place, recipes in places.items():
        console.print(Padding(Text(f"{place}: {', '.join(recipes)}", style="dim"), (0, 0, 0, 4)))


def _print_fallback(console: Console, report: Report) -> None:
    """Cells with an external delegate, those with the same placement and reasons together."""
    from rich.text import Text

    grouped: dict[tuple[str, tuple[str, ...]], list[CellKey]] = {}
    for cell in fallback.cells(report.sorted_records):
        if cell.record.ops:  # what did not run stands under "What did not work"
            grouped.setdefault((cell.placement, cell.lines), []).append(cell.record.key)
    if not grouped:
        return
    console.print(Text("\nWhere the nodes ran", style="bold"))
    for (placement, lines), keys in grouped.items():
        console.print(Text(placement + ("" if lines else ": nothing fell back")))
        for line in lines:
            console.print(Text(f"    {line}"))
        _print_keys(console, keys)


def _found_at(model: str, where: str) -> str:
    """Of which model, and where in it; a place that names the model already (a cell, the model itself) stands alone."""
    return where if where == model or where.startswith(f"{model}/") else f"{model}: {where}"


def _print_findings(console: Console, report: Report, *, all_findings: bool) -> None:
    from rich.text import Text

    frame = report.frames["Findings"]
    if frame.empty:
        return
    console.print(Text("\nFindings", style="bold"))
    folded = 0 if all_findings else int((frame["severity"] == "info").sum())
    if folded:
        frame = frame[frame["severity"] != "info"]
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in frame.to_dict("records"):
        key = (row["severity"], row["what"], row["fix"])
        grouped.setdefault(key, []).append(_found_at(f"{row['workload']}/{row['recipe']}", row["where"]))
    for (severity, what, fix), places in grouped.items():
        shown = list(dict.fromkeys(places))
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        console.print(
            Text.assemble((severity, _SEVERITY_STYLES[severity]), " ", what, (f" -> {fix}" if fix else "", "dim"))
        )
        console.print(Text(f"    {'; '.join(shown[:3])}{more}", style="dim"))
    if folded:
        shown_by = f"harness report{f' {report.run}' if report.run else ''} --all-findings"
        console.print(Text(f"{folded_text(folded)} not shown; `{shown_by}` shows them", style="dim"))
