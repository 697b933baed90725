"""`harness bisect CELL`: which of the things that differ between two nights made a cell worse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harness.cli.options import results_options
from harness.cli.out import echo

if TYPE_CHECKING:
    from harness.results.history import History
    from harness.results.record import CellKey, CellRecord


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
    from harness.nightly.bisect import Bisector
    from harness.results.cellname import find_cell
    from harness.results.history import History
    from harness.results.store import Store
    from harness.verdict.told import choose_series

    with Store.open(results_dir(results), create=False) as store:
        history = History(store)
        key = find_cell(store, cell)
        after = _bad(history, key, choose_series(history, series, key), bad)
        wanted = _wanted(history, after, quantity, good)
        stored = store.run(after.run).environment.get("options") or {}
        found = []
        for run, quantities in wanted.items():
            before = _record(history, key, run)
            with Bisector(
                history=history,
                good=before,
                bad=after,
                devices_dir=devices_dir or stored.get("devices_dir"),
                note=lambda text: echo(text, err=True),
            ) as bisector:
                found += [bisector.bisect(name) for name in quantities]
    if as_json:
        echo(json.dumps([one.to_json() for one in found], indent=1, allow_nan=False))
        return
    for one in found:
        for line in one.lines():
            echo(line)


def _bad(history: History, key: CellKey, series: str, named: str | None) -> CellRecord:
    """The later night's record.

    Raises:
        UserInputError: there is none.
    """
    from harness.core.errors import UserInputError

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
    from harness.core.errors import UserInputError

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
    from harness.core.errors import UserInputError, unknown_name
    from harness.verdict.quantities import BY_NAME

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
