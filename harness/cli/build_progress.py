"""Progress of a build on stderr: a bar after two seconds on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

#: commands that end sooner show nothing
_QUIET_S = 2.0
#: seconds between two lines where a bar's carriage returns would spoil a log
_LINE_EVERY_S = 15.0


class BuildBar:
    """Shows what a build is doing. `update` is the progress callback; use as a context manager."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last_line = self._started
        self._terminal = sys.stderr.isatty()
        self._bars: Any = None
        self._bar: Any = None

    def __enter__(self) -> BuildBar:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` tasks are finished and what is being done."""
        now = time.monotonic()
        if now - self._started < _QUIET_S:
            return
        if self._terminal:
            self._draw(what, done, total)
        elif now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            print(f"[{now - self._started:4.0f} s] {done}/{total} {what}", file=sys.stderr, flush=True)

    def _draw(self, what: str, done: int, total: int) -> None:
        if self._bars is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            from harness.reports.console import make_console

            # Recipe names hold brackets, which are markup elsewhere.
            what_column = TextColumn("{task.description}", markup=False)
            elapsed = (TextColumn("elapsed"), TimeElapsedColumn())
            columns = (BarColumn(bar_width=24), MofNCompleteColumn(), *elapsed, what_column)
            self._bars = Progress(*columns, console=make_console(stderr=True), transient=True)
            self._bars.start()
            self._bar = self._bars.add_task("", total=total)
        self._bars.update(self._bar, description=what, completed=done, total=total)
