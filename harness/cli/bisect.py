"""`harness bisect CELL`: which of the things that differ between two nights made a cell worse."""

from __future__ import annotations

import json

import click

from harness.cli.options import results_options
from harness.cli.out import echo


@click.command("bisect")
@click.argument("cell")
@click.option("--quantity", help="Only this quantity, such as latency. Default: every one of the cell that is open.")
@click.option(
    "--good", metavar="RUN", help="The earlier night. Default: the level that the regression is open against."
)
@click.option("--bad", metavar="RUN", help="The later night. Default: the newest in which the cell did not fail.")
@click.option("--series", help="The series of nights. Default: the newest one that has the cell.")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@results_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(
    cell: str,
    quantity: str | None,
    good: str | None,
    bad: str | None,
    series: str | None,
    devices_dir: str | None,
    results: str | None,
    as_json: bool,
) -> None:
    """Names what made a CELL (WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN], newest dataset) worse between two nights.

    What differs and can be brought back (the artifact, the recipe that made it, the runtime of a host device or an emulated
    board) is brought back one at a time and run on the board, in random order. What cannot (agent, firmware, kernel) is listed
    as not tried, with both values. Nothing is stored.
    """
    from harness.core.paths import results_dir
    from harness.nightly.bisections import bisect_cell

    found = bisect_cell(
        results_dir(results), cell, quantity=quantity, good=good, bad=bad, series=series, devices_dir=devices_dir,
        note=lambda text: echo(text, err=True),
    )  # fmt: skip
    if as_json:
        echo(json.dumps([one.to_json() for one in found], indent=1, allow_nan=False))
        return
    for one in found:
        for line in one.lines():
            echo(line)
