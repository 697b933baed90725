"""`harness compare RUN_A RUN_B`: what got worse between any two runs."""

from __future__ import annotations

import click

from harness.cli.options import results_options
from harness.cli.out import echo
from harness.cli.targets import Target

FORMATS = ("console", "markdown", "junit", "json")


@click.command("compare")
@click.argument("run_a")
@click.argument("run_b", default="latest")
@results_options
@click.option("--cell", "cells", multiple=True, metavar="CELL", help="Only this cell; repeatable.")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="console", show_default=True, help="What to print."
)
@click.option("--output", type=Target(), help="Write it to this file instead of stdout.")
def command(
    run_a: str, run_b: str, results: str | None, cells: tuple[str, ...], format_: str, output: str | None
) -> int:
    """What got worse from RUN_A to RUN_B: ids, unique beginnings, names of baselines, or `latest` (RUN_B's default).

    Outcomes, placement, counts and sizes are compared exactly, scores paired on the same samples. Times of two runs alone tell
    changes from 25 % on; smaller ones take a nightly history. Reads records only.

    Exit code 3 when something got worse, else 0.
    """
    from harness.core.paths import results_dir
    from harness.verdict.compared import compare_stored

    found = compare_stored(results_dir(results), run_a, run_b, cells)
    for text in found.notes:
        echo(f"warning: {text}", err=True)
    _write(_formatted(found.judgement, found.records, format_, found.exit_code), output)
    return found.exit_code


def _formatted(judgement, records, format_: str, code: int) -> str:
    import json

    from harness.reports.verdicts.export import verdict_json
    from harness.reports.verdicts.junit import junit
    from harness.reports.verdicts.text import markdown, plain_lines
    from harness.reports.verdicts.words import counts

    if format_ == "markdown":
        return markdown(judgement, title=f"Comparison with {judgement.series.split(' -> ')[0]}:")
    if format_ == "junit":
        return junit(judgement, records).decode()
    if format_ == "json":
        return json.dumps(verdict_json(judgement, exit_code=code), indent=1, allow_nan=False)
    return "\n".join([judgement.series, *plain_lines(judgement), counts(judgement.verdicts)])


def _write(text: str, output: str | None) -> None:
    if output is None or output == "-":
        echo(text)
        return
    from pathlib import Path

    from harness.core.files import write_named
    from harness.results.faults import storage_faults

    with storage_faults(Path(output), option="--output"):
        write_named(Path(output), f"{text}\n".encode())
    echo(f"written: {output}", err=True)
