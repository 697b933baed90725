"""`--budget 8m` shrinks samples, never cells: how much time the next cell may take."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.boards.base import BenchPlan
from harness.core.errors import UserInputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

#: below these a latency or an accuracy says nothing, so a budget never goes lower
MIN_BENCH_SAMPLES = 30
MIN_BENCH_NS = 50_000_000
MIN_EVAL_SAMPLES = 256
#: what asking single ops may take at least, where outputs give a reason
MIN_CHECK_S = 10.0
#: what further starts of a worker may take of a cell's time
_STARTS_SHARE = 0.25


def parse_duration(text: str, where: str | None = None) -> float:
    """Seconds of `90s`, `8m`, `1.5h` or `1h30m`.

    Args:
        where: the option that it stands behind, for errors.

    Raises:
        UserInputError: for anything else: a number without its unit, which may mean seconds or minutes, and zero.
    """
    hint = "write it with its unit, like 90s, 8m or 1h30m"
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(n + u for n, u in parts) != text.strip() or not parts:
        bare = re.fullmatch(r"\d+(?:\.\d+)?", text.strip()) is not None
        what = f"'{text}' has no unit of time" if bare else f"'{text}' is not a duration"
        raise UserInputError(what, where=where, hint=hint)
    if seconds <= 0:
        raise UserInputError(
            f"'{text}' is no time at all", where=where, hint="leave the option out for no limit of your own"
        )
    return seconds


@dataclass
class Budget:
    """Shares what is left of a time budget among the cells that are left.

    Without a total, every cell gets its full plan. Fixed costs (starting the worker, loading) are learned as cells end,
    so that only what can shrink is shrunk.
    """

    total_s: float | None
    cells: int
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)
    _done: int = 0
    _overhead_s: float = 0.5

    def __post_init__(self) -> None:
        self._started = self.clock()

    def cell_done(self, *, overhead_s: float) -> None:
        """Notes a finished cell and the part of its time that samples had no share in."""
        self._done += 1
        self._overhead_s += 0.2 * (overhead_s - self._overhead_s)

    def waited(self, seconds: float) -> None:
        """Takes time that went by before a device could be had out of the account."""
        self._started += seconds

    def cell_skipped(self) -> None:
        """Notes a cell that ended without sampling; it says nothing about what the others cost."""
        self._done += 1

    def sampling_s(self) -> float | None:
        """Seconds the next cell may spend on timing and evaluation together; None for no limit."""
        if self.total_s is None:
            return None
        left = self.total_s - (self.clock() - self._started)
        return max(0.0, left / max(1, self.cells - self._done) - self._overhead_s)

    def check_s(self) -> float:
        """Seconds that asking single ops of the cell that has just run may take; infinite without a total."""
        share = self.sampling_s()
        return float("inf") if share is None else max(MIN_CHECK_S, share)

    def affords(self, seconds: float) -> bool:
        """Whether so much more for starting workers is at most a quarter of what the next cell may take in all."""
        share = self.sampling_s()
        return share is None or seconds <= _STARTS_SHARE * (share + self._overhead_s)

    def affords_more(self, seconds: float) -> bool:
        """Whether a cell that has had its starts may have one more: at most a quarter of what a cell's samples may still take."""
        share = self.sampling_s()
        return share is None or seconds <= _STARTS_SHARE * share

    def bench_plan(self, starts: int = 1) -> BenchPlan:
        """The timing plan of each of the next cell's starts: the full one's part, or that of 40 % of what the cell may spend."""
        plan = self._cell_plan()
        if starts == 1:
            return plan
        return BenchPlan(
            min_samples=-(-plan.min_samples // starts),
            min_ns=-(-plan.min_ns // starts),
            max_ns=-(-plan.max_ns // starts),
            warmup_max_ns=-(-plan.warmup_max_ns // starts),
        )

    def _cell_plan(self) -> BenchPlan:
        share = self.sampling_s()
        full = BenchPlan()
        if share is None:
            return full
        allowed_ns = int(share * 0.4e9)
        if allowed_ns >= full.min_ns * 2:
            return BenchPlan(
                max_ns=min(full.max_ns, allowed_ns), warmup_max_ns=min(full.warmup_max_ns, allowed_ns // 2)
            )
        return BenchPlan(
            min_samples=MIN_BENCH_SAMPLES,
            min_ns=max(MIN_BENCH_NS, min(full.min_ns, allowed_ns * 2 // 3)),
            max_ns=max(4 * MIN_BENCH_NS, allowed_ns),
            warmup_max_ns=max(MIN_BENCH_NS, allowed_ns // 3),
        )

    def eval_samples(self, wanted: int, sample_ns: float) -> int:
        """How many samples to evaluate, given the measured time per invoke."""
        share = self.sampling_s()
        if share is None:
            return wanted
        affordable = int(share * 0.6e9 / max(1.0, sample_ns))
        return min(wanted, max(MIN_EVAL_SAMPLES, affordable))
