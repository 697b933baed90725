"""`harness accept CELL --why TEXT`: a cell's figures of a night become its level; `--board DEVICE`: a board as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli.options import results_options
from harness.cli.out import echo

if TYPE_CHECKING:
    from harness.results.history import History
    from harness.results.record import CellKey
    from harness.results.store import Store


def _newest(store: Store, key: CellKey, nights: list[str]) -> str:
    """The newest night that says something of a cell: in which it did not fail, or the last one, where that had no such cell."""
    if key not in store.run(nights[-1]).planned:
        return nights[-1]
    filters = {name: getattr(key, name) for name in ("workload", "recipe", "device", "backend")}
    told = {r.run for r in store.cells(**filters) if r.key == key and r.outcome != "failed"}
    return next((run for run in reversed(nights) if run in told), nights[-1])


def _board_night(history: History, device: str, series: str | None, run: str | None) -> str:
    """The night whose board is accepted: the named one, or the newest in which the control cells ran on it.

    Raises:
        UserInputError: there is none.
    """
    from harness.core.errors import UserInputError, unknown_name

    known = history.all_series()
    if series is not None and series not in known:
        raise unknown_name("series", series, known)
    rows = [row for name in ([series] if series else known) for row in history.controls(device, name)]
    wanted = None if run is None else history.run_of(run)
    found = [row for row in rows if wanted in (None, row.run)]
    if not found:
        where = f"in run {wanted}" if wanted is not None else "in any night"
        raise UserInputError(
            f"no control cell has run on {device} {where}", hint="`harness devices list` shows the devices' names"
        )
    return max(found, key=lambda row: row.number).run


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
    from harness.core.errors import UserInputError, unknown_name
    from harness.core.paths import results_dir
    from harness.results.cellname import find_cell
    from harness.results.history import EVERY, History
    from harness.results.store import Store
    from harness.verdict.quantities import BY_NAME
    from harness.verdict.told import choose_series

    if not why.strip():
        raise UserInputError("--why needs a reason", hint="a sentence for whoever asks later why this is the level")
    if not cells and not boards:
        raise UserInputError("nothing to accept", hint="name a CELL, or a board with --board DEVICE")
    if quantity is not None and boards:
        raise UserInputError("--quantity is of cells", hint="leave it out: a board is accepted as a whole")
    if quantity is not None and quantity not in BY_NAME:
        raise unknown_name("quantity", quantity, BY_NAME)
    folder = results_dir(results)
    with Store.open(folder, create=False):
        pass  # a mistyped folder must not be made
    with Store.open(folder) as store:
        history = History(store)
        chosen = []
        for text in cells:
            key = find_cell(store, text)
            nights = history.nights(choose_series(history, series, key))
            known = {night.run for night in nights}
            if run is not None:
                name = history.run_of(run)
                if name not in known:
                    raise UserInputError(
                        f"run {name} is no night of this series", hint=f"nights: {', '.join(sorted(known)[-5:])}"
                    )
            else:
                name = _newest(store, key, [night.run for night in nights])
            chosen.append((key, name))
        nights_of_boards = [(device, _board_night(history, device, series, run)) for device in boards]
        for device, name in nights_of_boards:
            history.accept_board(device, name, why.strip())
            echo(f"{device}: the board as it was in run {name} accepted")
        for key, name in chosen:
            history.accept(key, quantity or EVERY, name, why.strip())
            echo(f"{key.text_with_seed}: {quantity or 'all its figures'} of run {name} accepted as its level")
