"""A cell's bisection by name: its two nights and what is open between them, and what came of bringing things back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.core.errors import UserInputError, unknown_name
from harness.nightly.bisect import Bisector
from harness.results.cellname import find_cell
from harness.results.history import History
from harness.results.record import CellKey, CellRecord
from harness.results.store import Store
from harness.verdict.bisection import Bisection
from harness.verdict.quantities import BY_NAME
from harness.verdict.told import choose_series


def bisect_cell(
    results: Path,
    cell: str,
    *,
    quantity: str | None = None,
    good: str | None = None,
    bad: str | None = None,
    series: str | None = None,
    devices_dir: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> list[Bisection]:
    """What made a cell worse, one answer per quantity.

    Args:
        results: the results folder.
        cell: `WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN]`, of the newest dataset.
        quantity: None: every one of the cell that is open.
        good: the earlier night; None: the level that the regression is open against.
        bad: the later night; None: the newest in which the cell did not fail.
        series: None: the newest one that has the cell.
        devices_dir: profiles, searched first; None: those of the later night's run.
        note: told what is going on.

    Raises:
        HarnessError: an unknown name, nothing that is open, or a board that cannot be asked.
    """
    with Store.open(results, create=False) as store:
        history = History(store)
        key = find_cell(store, cell)
        after = _bad(history, key, choose_series(history, series, key), bad)
        wanted = _wanted(history, after, quantity, good)
        stored = store.run(after.run).environment.get("options") or {}
        found: list[Bisection] = []
        for run, quantities in wanted.items():
            before = _record(history, key, run)
            folder = devices_dir or stored.get("devices_dir")
            with Bisector(history=history, good=before, bad=after, devices_dir=folder, note=note) as bisector:
                found += [bisector.bisect(name) for name in quantities]
    return found


def _bad(history: History, key: CellKey, series: str, named: str | None) -> CellRecord:
    """The later night's record.

    Raises:
        UserInputError: there is none.
    """
    if named is not None:
        return _record(history, key, history.run_of(named))
    for night in reversed(history.nights(series)):
        record = history.records({key: night.run}).get(key)
        if record is not None and record.outcome != "failed":
            return record
    raise UserInputError(
        f"{key.text_with_seed} failed in every night of the series '{series}'",
        hint="`harness devices check` says what is wrong with the board",
    )


def _record(history: History, key: CellKey, run: str) -> CellRecord:
    record = history.records({key: run}).get(key)
    if record is None or record.outcome == "failed":
        what = "has no record" if record is None else "failed with its board or link"
        raise UserInputError(
            f"{key.text_with_seed} {what} in run {run}", hint=f"`harness history {key.text}` shows its nights"
        )
    return record


def _wanted(history: History, after: CellRecord, quantity: str | None, good: str | None) -> dict[str, list[str]]:
    """Run of the earlier night -> the quantities to bisect from it.

    Raises:
        UserInputError: an unknown quantity, or nothing is open and no night named.
    """
    if quantity is not None and quantity not in BY_NAME:
        raise unknown_name("quantity", quantity, BY_NAME)
    rows = [row for row in history.verdicts(run=after.run) if row.key == after.key and row.quantity in BY_NAME]
    told = [row for row in rows if (row.quantity == quantity if quantity is not None else row.is_open)]
    found: dict[str, list[str]] = {}
    for row in told:
        run = history.run_of(good) if good is not None else row.data.get("reference")
        if run:
            found.setdefault(str(run), []).append(row.quantity)
    if not found and good is not None and quantity is not None:
        found = {history.run_of(good): [quantity]}
    if not found:
        what = "nothing" if quantity is None else f"no {quantity}"
        raise UserInputError(
            f"{what} of {after.key.text_with_seed} is open in run {after.run}",
            hint="name what to look for and the earlier night: --quantity latency --good RUN",
        )
    if after.run in found:
        raise UserInputError(f"run {after.run} cannot be both nights", hint="name two nights: --good RUN --bad RUN")
    return found
