"""Accepting: a cell's figures of a night become its level, or a board is from now on compared with itself as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserInputError, unknown_name
from harness.results.cellname import find_cell
from harness.results.history import EVERY, History
from harness.results.record import CellKey
from harness.results.store import Store
from harness.verdict.quantities import BY_NAME
from harness.verdict.told import choose_series


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What was accepted.

    Attributes:
        name: of the cell with its seed, or of the device.
        run: the night whose figures they are.
        quantity: None: all of the cell.
        is_board: a whole board.
    """

    name: str
    run: str
    quantity: str | None = None
    is_board: bool = False

    def __str__(self) -> str:
        if self.is_board:
            return f"{self.name}: the board as it was in run {self.run} accepted"
        return f"{self.name}: {self.quantity or 'all its figures'} of run {self.run} accepted as its level"


def accept(
    results: Path,
    cells: Sequence[str] = (),
    *,
    boards: Sequence[str] = (),
    why: str,
    quantity: str | None = None,
    run: str | None = None,
    series: str | None = None,
) -> list[Accepted]:
    """Closes what is open against the old level; nothing is deleted, and nothing is accepted where one of them is wrong.

    Args:
        results: the results folder.
        cells: `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`, of the newest dataset.
        boards: devices, as their control cells found them.
        why: the reason, for whoever asks later.
        quantity: only this one of the cells; None: all.
        run: the night; None: the newest of the series that says something of the cell.
        series: None: the newest one that has the cell.

    Raises:
        UserInputError: no reason, nothing to accept, or a name that is none.
    """
    if not why.strip():
        raise UserInputError("--why needs a reason", hint="a sentence for whoever asks later why this is the level")
    if not cells and not boards:
        raise UserInputError("nothing to accept", hint="name a CELL, or a board with --board DEVICE")
    if quantity is not None and boards:
        raise UserInputError("--quantity is of cells", hint="leave it out: a board is accepted as a whole")
    if quantity is not None and quantity not in BY_NAME:
        raise unknown_name("quantity", quantity, BY_NAME)
    with Store.open(results, create=False):
        pass  # a mistyped folder must not be made
    with Store.open(results) as store:
        history = History(store)
        chosen = [(key, _night(store, key, run, series)) for key in (find_cell(store, text) for text in cells)]
        nights_of_boards = [(device, _board_night(history, device, series, run)) for device in boards]
        for device, name in nights_of_boards:
            history.accept_board(device, name, why.strip())
        for key, name in chosen:
            history.accept(key, quantity or EVERY, name, why.strip())
    return [
        *(Accepted(name=device, run=name, is_board=True) for device, name in nights_of_boards),
        *(Accepted(name=key.text_with_seed, run=name, quantity=quantity) for key, name in chosen),
    ]


def _night(store: Store, key: CellKey, run: str | None, series: str | None) -> str:
    """The night of a cell that is accepted.

    Raises:
        UserInputError: the one that is named is none of the series.
    """
    history = History(store)
    nights = [night.run for night in history.nights(choose_series(history, series, key))]
    if run is None:
        return _newest(store, key, nights)
    name = history.run_of(run)
    if name not in nights:
        raise UserInputError(f"run {name} is no night of this series", hint=f"nights: {', '.join(sorted(nights)[-5:])}")
    return name


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
