"""The end of a run: its cells are judged together, and its tables exported; and the same for a run whose process was killed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from harness.core.errors import HarnessError, UserInputError
from harness.results.running import is_running, only_one
from harness.results.store import OPEN_STATES, Store


def add_cross_findings(store: Store, run: str) -> None:
    """Adds to the run's cells what they say together; safe to repeat after a resume."""
    from harness.judge.across import with_cross_findings

    before = store.cells(run=run)
    for old, new in zip(before, with_cross_findings(before, store.objects.get_arrays), strict=True):
        if new.findings != old.findings:
            store.add_cell(new)


def conclude(store: Store, run: str, results: Path, *, state: str) -> Path | None:
    """Ends a run, also one that was interrupted. Until its tables are there its state is `exporting`, so that the next command
    makes them where this one is killed (`conclude_killed`).

    Args:
        state: `finished` or `interrupted`.

    Returns:
        The folder with its tables; None when it has no cells.
    """
    from harness.reports.export import export_run

    store.finish_run(run, "exporting")
    add_cross_findings(store, run)
    folder = export_run(store, run, results, state=state) if store.cells(run=run) else None
    store.finish_run(run, state)
    return folder


def conclude_killed(store: Store, say: Callable[[str], None], *, but: str | None = None) -> None:
    """Ends the runs whose processes were killed, so that their tables and `results/latest` are there as after any other end.

    Called by every command that opens a results folder. Where nothing was killed it is one small query.

    Args:
        store: an open store; it may be read-only.
        say: told what is done, and what cannot be.
        but: a run that is left as it is, because it is about to go on.
    """
    for run in store.open_runs():
        if run != but and not is_running(store.results_dir, run):
            try:
                _conclude_killed(store.results_dir, run, say)
            except _Taken:
                continue
            except HarnessError as error:
                say(f"run {run} was killed, and its tables cannot be made now: {error}")
            except Exception as error:  # one run that nobody can end must not end every command after it
                say(f"run {run} was killed, and its tables cannot be made: {type(error).__name__}: {error}")


class _Taken(Exception):
    """Another process is at the run."""


def _conclude_killed(results: Path, run: str, say: Callable[[str], None]) -> None:
    with contextlib.ExitStack() as held:
        writable = held.enter_context(Store.open(results))
        try:
            held.enter_context(only_one(results, run))
        except UserInputError:
            raise _Taken from None
        info = writable.run(run)
        if info.state not in OPEN_STATES:
            return
        say(f"run {run} was killed before its end; its tables are made now")
        # The lock is held by this very process, so that the state is asked for as of a run that nobody is at.
        state = "finished" if writable.is_complete(run) else "interrupted"
        conclude(writable, run, results, state=state)
