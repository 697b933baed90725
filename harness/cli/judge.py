"""`harness judge`: today's rules on the raw facts of a stored run, with neither TensorFlow nor a board nor the models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import results_options
from harness.cli.out import echo
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.judge.again import Change
    from harness.session.again import RunJudgedAgain

#: a value longer than this is cut in what is printed; the JSON export has all of it
_LONGEST = 300


@click.command("judge")
@click.argument("run", default="latest")
@results_options
@click.option("--write", is_flag=True, help="Store what differs as a revision of each record; the old ones stay.")
@click.option("--revisions", is_flag=True, help="Show the revisions that the run's records have, and end.")
def command(run: str, results: str | None, write: bool, revisions: bool) -> None:
    """Judge a stored RUN again, by today's rules: an id, the unique beginning of one, a baseline, or `latest`.

    Reads what the run stored and nothing else. Prints, for each cell, the fields that come out otherwise; where none does, how
    many cells were judged. Cells that were stored before raw facts were kept say what is missing; the exit code is then 1.
    """
    from harness.core.errors import UserInputError
    from harness.core.paths import results_dir

    folder = results_dir(results)
    if revisions and write:
        raise UserInputError("--revisions shows what is stored; it goes with no --write")
    if revisions:
        _show_revisions(folder, run)
        return
    from harness.session.again import judge_run

    judged = judge_run(folder, run, write=write, say=lambda text: echo(text, err=True))
    _show(judged)
    if judged.unjudged or judged.damaged:
        raise click.exceptions.Exit(ExitCode.WRONG_INPUT)


def _show(judged: RunJudgedAgain) -> None:
    from harness.judge.rules import RULES_VERSION

    for cell in judged.changed:
        echo(cell.record.key.text_with_seed)
        for line in _lines(cell.changes):
            echo(f"  {line}")
    for text in judged.damaged:
        echo(f"not judged again: {text}", err=True)
    for cell in judged.unjudged:
        echo(f"{cell.record.key.text_with_seed}: not judged again: {cell.problem}", err=True)
    if judged.changed:
        what = "stored as revisions" if judged.written else "`--write` stores them as revisions"
        echo(f"{len(judged.changed)} of {len(judged.cells)} cells of run {judged.run} differ; {what}", err=True)
    elif count := len(judged.cells) - len(judged.unjudged):
        cells = f"{count} cell{'' if count == 1 else 's'}"
        echo(f"nothing differs: {cells} of run {judged.run} judged again by rules {RULES_VERSION}", err=True)
    if judged.written:
        echo(f"`harness report {judged.run} --export` makes its tables anew", err=True)


def _show_revisions(folder: Path, run: str) -> None:
    """Every judgement of the cells that have more than one, oldest first, with what it changed."""
    from harness.judge.again import changes
    from harness.results.store import Store

    with Store.open(folder, create=False) as store:
        info = store.run(run)
        found = False
        for newest in store.cells(run=info.run):
            if not newest.revision:
                continue
            found = True
            history = store.revisions(info.run, newest.key)
            echo(newest.key.text_with_seed)
            echo(f"  0, rules {history[0].rules_version}: {history[0].outcome}")
            for old, new in zip(history, history[1:], strict=False):
                echo(f"  {new.revision}, rules {new.rules_version}: {new.outcome}")
                for line in _lines(changes(old, new)):
                    echo(f"    {line}")
        if not found:
            echo(f"no record of run {info.run} has been judged again", err=True)


def _lines(found: Sequence[Change]) -> Iterator[str]:
    """A line per field; findings one by one, those that came and those that went."""
    for change in found:
        if change.field != "findings":
            yield f"{change.field}: {_text(change.old)} -> {_text(change.new)}"
            continue
        yield from (f"finding gone: {_finding(f)}" for f in change.old or () if f not in change.new)
        yield from (f"finding new: {_finding(f)}" for f in change.new if f not in (change.old or ()))


def _finding(finding: dict[str, Any]) -> str:
    return f"{finding['severity']} {finding['code']}: {_text(finding['what'])}"


def _text(value: Any) -> str:
    """A JSON value on one line; what a board said cannot do anything to a terminal then."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
