"""Progress on the terminal: one bar for preparation, one for cells with what the current one is doing.

Bars go to stderr, so that tables on stdout can be piped. Without a terminal (CI, a log file) one line per finished cell
is printed instead, because a bar's carriage returns make logs unreadable:

    [17/180] 12:03:41 elapsed 0:02:11, remaining 0:20:33  mnist-cnn/ptq-int8/host-litert/cpu  ok  accuracy .9577 (n=360)  ...
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from harness.reports.scores import score_of, title_of, value_text
from harness.reports.values import clean, cost_text, count_of, misread_text
from harness.results.record import CellKey, CellRecord
from harness.run.jobs import Watcher

if TYPE_CHECKING:
    from rich.progress import TaskID

#: seconds between two lines of preparation in a log
_LINE_EVERY_S = 15.0


def describe(record: CellRecord) -> str:
    """A finished cell in one line: outcome, and the figures that belong to it."""
    parts = [record.key.text_with_seed, record.outcome]
    if (score := score_of(record)) is not None:
        parts.append(f"{title_of(record)} {value_text(record, score)} (n={record.samples})")
    if cost := cost_text(record):
        timed = count_of(record) is None and record.latency_median_ns is not None
        parts.append(f"median {cost}" if timed else cost)
    if text := misread_text(record):
        parts.append(text)
    if record.reason:
        parts.append(clean(record.reason.splitlines()[0], 160))
    return "  ".join(parts)


def clock_text(seconds: float) -> str:
    """A duration as clocks show it, to the second: `0:02:11`."""
    return str(timedelta(seconds=round(max(seconds, 0.0))))


class RunProgress:
    """Shows a run on stderr. Use as a context manager; `say` and `watcher` are what `run_session` takes."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        from harness.reports.console import make_console

        self.console = make_console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._lock = threading.Lock()
        self._preparing: dict[str, TaskID] = {}
        self._next_line_s = 0.0
        self._cells: TaskID | None = None
        self._started_s = time.monotonic()
        self._finished = 0
        self.total_cells: int | None = None

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, what: str, done: int, total: int) -> None:
        """Preparation progress."""
        with self._lock:
            new = what not in self._preparing
            if new:
                self._preparing[what] = self._bars.add_task(what, total=total, detail="")
            now_s = time.monotonic()
            if not self.console.is_terminal and (new or now_s >= self._next_line_s):
                self._next_line_s = now_s + _LINE_EVERY_S
                self._print(f"{_time_of_day()} {what}: {done} of {total}")
            self._bars.update(self._preparing[what], completed=done, total=total)

    def watcher(self) -> Watcher:
        """What the device threads report to."""
        return Watcher(
            cell_started=self._cell_started,
            stage=self._stage,
            progress=self._progress,
            cell_finished=self._cell_finished,
            note=self._note,
        )

    def _task(self) -> TaskID:
        """The bar of the cells; the time that they take counts from its making on."""
        if self._cells is None:
            self._cells = self._bars.add_task("cells", total=self.total_cells, detail="")
            self._started_s = time.monotonic()
        return self._cells

    def _cell_started(self, key: CellKey) -> None:
        with self._lock:
            self._bars.update(self._task(), detail=key.text_with_seed)

    def _stage(self, key: CellKey, text: str) -> None:
        with self._lock:
            self._bars.update(self._task(), detail=f"{key.text_with_seed}: {text}")

    def _progress(self, key: CellKey, done: int, total: int) -> None:
        with self._lock:
            self._bars.update(self._task(), detail=f"{key.text_with_seed}: {done} of {total}")

    def _cell_finished(self, record: CellRecord) -> None:
        with self._lock:
            self._finished += 1
            self._bars.update(self._task(), advance=1)
            if not self.console.is_terminal or record.outcome in ("failed", "wrong"):
                self._print(f"{self._place()}  {describe(record)}")

    def _place(self) -> str:
        """How far the run is: `[17/180] 12:03:41 elapsed 0:02:11, remaining 0:20:33`, the rest at the pace so far."""
        elapsed_s = time.monotonic() - self._started_s
        text = f"[{self._finished}/{self.total_cells or '?'}] {_time_of_day()} elapsed {clock_text(elapsed_s)}"
        if self.total_cells is None:
            return text
        left_s = elapsed_s / self._finished * max(self.total_cells - self._finished, 0)
        return f"{text}, remaining {clock_text(left_s)}"

    def _note(self, text: str) -> None:
        with self._lock:
            self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


def _time_of_day() -> str:
    return datetime.now().strftime("%H:%M:%S")
