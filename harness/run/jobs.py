"""What is to run on which device, who is told of it, and the state that the devices of a run share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.boards.base import Board
from harness.boards.profile.model import Profile
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellKey, CellRecord
from harness.results.store import Store
from harness.run.measurement import CellContext, Measurement

Finish = Callable[[Measurement, PreparedModel, CellContext], CellRecord]
"""Makes the record of a measured cell. It comes from above: running knows no rules."""


@dataclass(kw_only=True)
class Watcher:
    """Who wants to know how a run goes. Every call may come from a device's own thread."""

    cell_started: Callable[[CellKey], None] = lambda key: None
    stage: Callable[[CellKey, str], None] = lambda key, text: None
    progress: Callable[[CellKey, int, int], None] = lambda key, done, total: None
    cell_finished: Callable[[CellRecord], None] = lambda record: None
    note: Callable[[str], None] = lambda text: None


@dataclass(frozen=True, kw_only=True)
class PlannedCell:
    """A cell to run: its key and its prepared model."""

    key: CellKey
    model: PreparedModel


@dataclass(frozen=True, kw_only=True)
class DeviceJob:
    """All cells of one device, in order."""

    profile: Profile
    device: str
    cells: tuple[PlannedCell, ...]
    #: the command line's samples per cell: None as the profile says, 0 for all
    samples: int | None
    #: the command line's limit of one inference, seconds; None as the profile says
    inference_s: float | None = None
    #: bring its firmware onto the board before it is connected, where the board can be flashed
    flash: bool = False
    #: with the loops of MLPerf Tiny's rules
    mlperf: bool = False


def samples_per_cell(profile: Profile, backend: str, asked: int | None) -> int | None:
    """Samples per cell: the command line's, else the backend's, else the device's; None for all.

    Args:
        asked: the command line's: None as the profile says, 0 for all.
    """
    if asked is not None:
        return asked or None
    own = profile.backends[backend].samples
    return profile.samples_count if own is None else None if own == "all" else own


@dataclass(kw_only=True)
class Execution:
    """The state that the device threads of one run share."""

    run: str
    store: Store
    finish: Finish
    watcher: Watcher = field(default_factory=Watcher)
    #: a folder of the user's own profiles and delegate tables, searched first
    devices_dir: str | None = None
    lease_wait_s: float = 3600.0
    stop: threading.Event = field(default_factory=threading.Event)
    _store_lock: threading.Lock = field(default_factory=threading.Lock)
    _boards: dict[str, Board] = field(default_factory=dict)

    def save(self, record: CellRecord) -> None:
        """Commits a finished cell before anything else is said about it."""
        with self._store_lock:
            self.store.add_cell(record)
        self.watcher.cell_finished(record)

    def interrupt(self) -> None:
        """Stops every device: no new cell starts, and what is under way ends at once."""
        self.stop.set()
        for board in list(self._boards.values()):
            board.interrupt()
