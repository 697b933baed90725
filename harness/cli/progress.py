"""Progress on the terminal: one bar for preparation, one for cells with what the current one is doing.

Bars go to stderr, so that tables on stdout can be piped. Without a terminal (CI, a log file) one line per finished cell
is printed instead, because a bar's carriage returns make logs unreadable.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from harness.reports.scores import ACCURACY, is_share, metric_title, score_of, value_text
from harness.reports.values import misread_text
from harness.results.record import CellKey, CellRecord
from harness.run.jobs import Watcher

if TYPE_CHECKING:
    from rich.progress import TaskID


def describe(record: CellRecord) -> str:
    """A finished cell in one line: outcome, and the figures that belong to it."""
    parts = [record.key.text_with_seed, record.outcome]
    if (score := score_of(record)) is not None:
        name = ACCURACY if record.accuracy is not None or record.metric is None else metric_title(record.metric)
        value = f"{score:.4f}" if is_share(record) else value_text(record, score)
        parts.append(f"{name} {value} (n={record.samples})")
    if record.latency_median_ns is not None:
        source = "estimate" if record.time_basis == "estimate" else f"n={record.latency_samples}"
        parts.append(f"median {record.latency_median_ns / 1e6:.4g} ms ({source})")
    if text := misread_text(record):
        parts.append(text)
    if record.reason:
        parts.append(record.reason.splitlines()[0][:160])
    return "  ".join(parts)


class RunProgress:
    """Shows a run on stderr. Use as a context manager; `say` and `watcher` are what `run_session` takes."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from harness.core.safe_console import SafeConsole

        self.console = SafeConsole(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )
        self._lock = threading.Lock()
        self._preparing: dict[str, TaskID] = {}
        self._cells: TaskID | None = None
        self.total_cells: int | None = None

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def say(self, what: str, done: int, total: int) -> None:
        """Preparation progress."""
        with self._lock:
            if what not in self._preparing:
                self._preparing[what] = self._bars.add_task(what, total=total, detail="")
                if not self.console.is_terminal:
                    self.console.print(f"{what} ({total})", highlight=False)
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
        if self._cells is None:
            self._cells = self._bars.add_task("cells", total=self.total_cells, detail="")
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
            self._bars.update(self._task(), advance=1)
            if not self.console.is_terminal or record.outcome in ("failed", "wrong"):
                self.console.print(describe(record), highlight=False, soft_wrap=True, markup=False)

    def _note(self, text: str) -> None:
        with self._lock:
            self.console.print(text, highlight=False, soft_wrap=True, markup=False)
