"""`pytest -n 2` (pytest-xdist): many processes, one run. The controller names it, its workers fill it, the controller ends it.

All cells of one board, and of boards that share a machine, go to one worker: a worker keeps its boards until it ends, so two
workers that needed each other's would wait for ever. The leases hold all the same, against whoever else is on this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError
from harness.core.paths import results_dir
from harness.results.layout import STORE_NAME, ensure_writable, new_run_id, store_path
from harness.results.place import place_of
from harness.results.record import RunInfo
from harness.results.running import only_one
from harness.results.store import Store

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, kw_only=True)
class Share:
    """The run of one invocation, as a worker knows it: its id, among how many workers it is shared, and the command."""

    run: str
    workers: int
    command: tuple[str, ...]

    @staticmethod
    def of(workerinput: Mapping[str, Any]) -> Share | None:
        """What the controller told this worker; None where no device was named."""
        if "harness_run" not in workerinput:
            return None
        run, workers, command = (workerinput[name] for name in ("harness_run", "workercount", "mainargv"))
        return Share(run=run, workers=workers, command=tuple(command))


@dataclass(kw_only=True)
class SharedRun:
    """The run of one invocation, as the process knows it that hands the tests out and runs none itself."""

    run: str = field(default_factory=new_run_id)
    summary: str = ""
    _lock: ExitStack = field(default_factory=ExitStack)

    @staticmethod
    def begin(results: str | None) -> SharedRun:
        """A run for workers to fill; its lock says as long as this process lives that it is under way.

        Raises:
            UserInputError: the results folder cannot be written.
        """
        folder = results_dir(results)
        ensure_writable(folder, STORE_NAME)
        shared = SharedRun()
        shared._lock.enter_context(only_one(folder, shared.run))
        return shared

    def finish(self, results: str | None, *, interrupted: bool) -> None:
        """Closes the run and exports its tables, after all workers; nothing where no worker began it."""
        folder = results_dir(results)
        with self._lock:
            if not place_of(folder).shared and not store_path(folder).is_file():
                return
            with Store.open(folder) as store:
                if self.run in {info.run for info in store.runs()}:
                    state = "interrupted" if interrupted else "finished"
                    self.summary = tables_line(self.run, store, folder, state=state)


def tables_line(run: str, store: Store, results: Path, *, state: str) -> str:
    """Ends a run, exports its tables, and says where they are; an empty text where it has no cells."""
    from harness.session.conclude import conclude

    folder = conclude(store, run, results, state=state)
    return "" if folder is None else f"run {run}: tables in {folder}"


def begin_or_join(store: Store, info: RunInfo) -> None:
    """Begins the run, unless another worker of this invocation did.

    Raises:
        HarnessError: it can neither be begun nor joined.
    """
    try:
        store.begin_run(info)
    except HarnessError as error:
        if info.run not in {known.run for known in store.runs()}:
            raise error


def cells_of_busiest(locks: Iterable[str], workers: int) -> int:
    """How many cells the busiest of the workers will have, for sharing out a time budget.

    Args:
        locks: of each cell of the run, the machine that it keeps busy.
        workers: how many processes share the run.
    """
    counts: dict[str, int] = {}
    for lock in locks:
        counts[lock] = counts.get(lock, 0) + 1
    return max([ceil(sum(counts.values()) / max(1, workers)), *counts.values()], default=0)


def scheduler(config: pytest.Config, log: Any) -> Any:
    """pytest-xdist's scheduling by scope, with a board as the scope.

    Raises:
        pytest.UsageError: an unknown device, or `--dist each`, which would run each cell once per worker.
    """
    import pytest
    from xdist.scheduler import LoadScopeScheduling

    from harness.run.matrix import choose_devices
    from harness.suites.session import run_options

    if config.option.dist == "each":
        raise pytest.UsageError("--dist each would run every cell once per worker: leave it out")
    try:
        locks = {c.device: c.profile.lock_name for c in choose_devices(run_options(config.option))}
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None

    class BoardScheduling(LoadScopeScheduling):
        """Sends the tests of one machine to one worker, and any other test wherever there is room."""

        def _split_scope(self, nodeid: str) -> str:
            return machine_of(nodeid, locks) or nodeid

        def remove_node(self, node: Any) -> str | None:
            """Takes a worker away and says which test it crashed in, if it did: that test is not handed out again."""
            units = self.assigned_work[node].values()
            crashed = next(((unit, test) for unit in units for test, done in unit.items() if not done), None)
            if crashed is not None:
                # Left open, it would crash one worker after the other.
                unit, test = crashed
                unit[test] = True
            super().remove_node(node)
            return None if crashed is None else test

    return BoardScheduling(config, log)


def machine_of(nodeid: str, locks: Mapping[str, str]) -> str | None:
    """The machine that a test keeps busy; None for one without a cell.

    Args:
        nodeid: such as `test_mine.py::test_cell[mine/ptq-int8/desk/npu]`.
        locks: device -> the name of its machine's lease.
    """
    name = nodeid.rpartition("::")[2]
    return next((f"machine {lock}" for device, lock in locks.items() if f"/{device}/" in name), None)
