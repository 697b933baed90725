"""A night on the terminal: its run under a progress display, then what got worse."""

from __future__ import annotations

from pathlib import Path

from harness.cli.out import echo
from harness.nightly.night import Night, NightOptions
from harness.results.store import Store
from harness.run.options import RunOptions
from harness.verdict.night import Judgement


def run_and_judge(
    options: RunOptions, asked: RunOptions, night_options: NightOptions, results: Path, *, json_file: str | None
) -> int:
    """Runs and judges a night, prints and writes what came of it; returns the exit code.

    Args:
        asked: the options with the devices that were asked for, of which some may not be there tonight.

    Raises:
        HarnessError: for wrong input or a failing results folder; KeyboardInterrupt after saying how to resume.
    """
    from harness.cli.running import run_and_report, say_what_was_lost
    from harness.reports.verdicts.export import JUNIT_NAME, MARKDOWN_NAME, export_verdict
    from harness.reports.verdicts.text import plain_lines

    night = Night(
        options=options,
        asked=asked,
        results=results,
        night=night_options,
        note=lambda text: echo(text, err=True),
    )
    plan = night.plan()
    with Store.open(results):
        pass  # a folder that cannot be written ends here, before boards are asked
    night.before()
    result = run_and_report(options, results, plan=plan, series=night.series, json_file=json_file)
    done = night.judge(result)
    to_stderr = json_file == "-"
    echo("", err=to_stderr)
    for line in plain_lines(done.judgement):
        echo(line, err=to_stderr)
    if result.export is not None:
        export_verdict(result.export, done.judgement, result.records, exit_code=done.exit_code)
        page = _page(results, result.export, done.judgement)
        echo(
            f"verdict: {result.export / MARKDOWN_NAME}, JUnit: {result.export / JUNIT_NAME}, page: {page}",
            err=to_stderr,
        )
    say_what_was_lost()
    return done.exit_code


def _page(results: Path, folder: Path, judgement: Judgement) -> Path:
    """Makes page and workbook again, which knew of no judgement when the run was exported."""
    from harness.reports.export import export_night

    with Store.open(results) as store:
        return export_night(store, results, folder, judgement)
