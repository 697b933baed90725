"""What `run`, `measure` and `nightly` share: run a session under a progress display, then print and export."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from harness.cli.out import echo
from harness.core.errors import ExitCode
from harness.results.record import OUTCOMES
from harness.run.matrix import Plan
from harness.run.options import RunOptions
from harness.session.session import RunResult, run_session


def run_and_report(
    options: RunOptions,
    results: Path,
    *,
    resume: str | None = None,
    plan: Plan | None = None,
    series: str | None = None,
    noted: Mapping[str, Any] | None = None,
    begun: Callable[[str], None] = lambda run: None,
    json_file: str | None = None,
) -> RunResult:
    """Runs, prints the tables, writes the JSON if asked for, and says where everything is.

    Raises:
        HarnessError: for wrong input or failing results folder.
        click.exceptions.Exit: after an interruption, with 130; how to resume has been said then.
    """

    from harness.cli.options import command_line
    from harness.cli.progress import RunProgress
    from harness.results.place import command_options

    with RunProgress() as progress:
        try:
            result = run_session(
                options,
                results,
                watcher=progress.watcher(),
                say=progress.say,
                command=command_line(),
                resume=resume,
                plan=plan,
                series=series,
                noted=noted,
                begun=begun,
                planned=lambda count: setattr(progress, "total_cells", count),
                resumed=_say_resumed,
            )
        except KeyboardInterrupt:
            echo(
                "interrupted; every finished cell is stored. Continue with:\n"
                f"  harness run --resume {command_options(results)}",
                err=True,
            )
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    print_result(result, json_file)
    say_what_was_lost()
    return result


def _say_resumed(run: str, left: int, total: int) -> None:
    if left:
        echo(f"resuming run {run}: {left} of {total} cells are left", err=True)
    else:
        echo(f"run {run} is finished: all of its {total} cells have run, and nothing is left to run", err=True)


def say_what_was_lost() -> None:
    """Says that a shared store was given up on the way, and where the records are."""
    shared = sys.modules.get("harness.results.shared")  # loaded only where a store is shared
    for text in shared.lost_stores() if shared is not None else ():
        echo(f"warning: {text}", err=True)


def print_result(result: RunResult, json_file: str | None) -> None:
    """The tables of a finished run on stdout, and where they are."""

    from harness.reports.console import make_console, print_report
    from harness.reports.report import Report

    # With JSON on stdout the tables go beside it, so that a pipe gets JSON and nothing else.
    to_stderr = json_file == "-"
    report = Report.of(result.records, result.info, results=result.results)
    print_report(report, console=make_console(stderr=to_stderr))
    if json_file:
        from harness.reports.jsonout import write_json

        write_json("-" if to_stderr else Path(json_file), result.run, list(result.records), report.answers)
        echo(f"JSON: {json_file}", err=True)
    echo(f"run {result.run}: {counted(result)}", err=to_stderr)
    if result.export:
        echo(f"tables: {result.export}", err=to_stderr)


def counted(result: RunResult) -> str:
    """`38 ok, 2 unsupported, 1 failed, 3 not run`."""
    counts = Counter[str](record.outcome for record in result.records)
    counts["not run"] = result.not_run
    return ", ".join(f"{counts[name]} {name}" for name in (*OUTCOMES, "not run") if counts[name]) or "no cells"
