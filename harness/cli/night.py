"""A night on the terminal: its run under a progress display, then what got worse."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click

from harness.cli.out import echo
from harness.core.errors import ExitCode
from harness.nightly.night import Night, NightOptions, NightResult
from harness.results.layout import store_path
from harness.results.place import place_of
from harness.results.store import Store
from harness.run.options import RunOptions
from harness.session.session import RunResult


def run_and_judge(
    options: RunOptions, asked: RunOptions, night_options: NightOptions, results: Path, *, json_file: str | None
) -> int:
    """Runs and judges a night, prints and writes what came of it; returns the exit code.

    Args:
        asked: the options with the devices that were asked for, of which some may not be there tonight.

    Raises:
        HarnessError: for wrong input or a failing results folder; KeyboardInterrupt after saying how to resume.
    """
    night = Night(options=options, asked=asked, results=results, night=night_options, note=_note)
    return _run(night, resume=None, json_file=json_file)


def resume_night(name: str, results: Path, *, json_file: str | None) -> int | None:
    """Goes on with an interrupted night and judges it whole, as `run_and_judge` does; None where the run is no night.

    Args:
        name: of the run: its id, the id's unique beginning, or `latest`.

    Raises:
        HarnessError: as `run_and_judge`.
    """
    if not place_of(results).shared and not store_path(results).is_file():
        return None  # said by whoever resumes a run
    with Store.open(results, create=False) as store:
        info = store.run(name)
        left = store.pending(info.run) if info.series is not None else []
    if info.series is None:
        return None
    night = Night.resumed(info, results, _note)
    if not left:
        # Its control cells ran that night; sessions of today would tell of another one.
        night.night = replace(night.night, controls=False)
    return _run(night, resume=info.run, json_file=json_file)


def _note(text: str) -> None:
    echo(text, err=True)


def _run(night: Night, *, resume: str | None, json_file: str | None) -> int:
    from harness.cli.running import run_and_report, say_what_was_lost
    from harness.nightly.whole import run_night, write_verdict
    from harness.reports.verdicts.export import JUNIT_NAME, MARKDOWN_NAME
    from harness.reports.verdicts.text import plain_lines

    results = night.results
    done = run_night(
        night, lambda **steps: run_and_report(night.options, results, json_file=json_file, **steps), resume=resume,
        judge=lambda result: _judged(night, result),
    )  # fmt: skip
    result = done.result
    to_stderr = json_file == "-"
    echo("", err=to_stderr)
    for line in plain_lines(done.judgement):
        echo(line, err=to_stderr)
    if result.export is not None:
        page = write_verdict(results, done)
        echo(
            f"verdict: {result.export / MARKDOWN_NAME}, JUnit: {result.export / JUNIT_NAME}, page: {page}",
            err=to_stderr,
        )
    say_what_was_lost()
    return done.exit_code


def _judged(night: Night, result: RunResult) -> NightResult:
    """The night's verdict; an interruption says how to have it.

    Raises:
        click.exceptions.Exit: with 130, after an interruption.
    """
    try:
        return night.judge(result)
    except KeyboardInterrupt:
        results = shlex.quote(str(night.results))
        echo(
            "interrupted before the night's verdict; every cell is stored. Have it judged with:\n"
            f"  harness run --resume {result.run} --results {results}",
            err=True,
        )
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
