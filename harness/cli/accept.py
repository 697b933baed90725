"""`harness accept CELL --why TEXT`: a cell's figures of a night become its level; `--board DEVICE`: a board as it was."""

from __future__ import annotations

import click

from harness.cli.options import results_options
from harness.cli.out import echo


@click.command("accept")
@click.argument("cells", nargs=-1, metavar="[CELL...]")
@click.option(
    "--board",
    "boards",
    multiple=True,
    metavar="DEVICE",
    help="A whole board, as its control cells found it; repeatable.",
)
@click.option("--why", required=True, help="The reason, for whoever asks later.")
@click.option("--quantity", help="Only this quantity, such as latency. Default: all of the cell.")
@click.option("--run", help="The night whose figures are accepted. Default: the newest one of the series.")
@click.option("--series", help="The series of nights. Default: the newest one that has the cell.")
@results_options
def command(
    cells: tuple[str, ...],
    boards: tuple[str, ...],
    why: str,
    quantity: str | None,
    run: str | None,
    series: str | None,
    results: str | None,
) -> None:
    """Makes the figures of a CELL (WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN], newest dataset) its new level.

    What was open against the old level is closed, and later nights are compared with this one. Nothing is deleted. With --board a
    board that was told as changed is from now on compared with itself as it is.
    """
    from harness.core.paths import results_dir
    from harness.verdict.accept import accept

    for one in accept(results_dir(results), cells, boards=boards, why=why, quantity=quantity, run=run, series=series):
        echo(str(one))
