"""A cell that may be named, with what its score was found to be worth; and how two of them compare in time and size."""

from __future__ import annotations

from dataclasses import dataclass

from harness.reports.answer.candidates import cost_interval_ns, cost_ns
from harness.reports.answer.compare import Compared
from harness.results.record import CellRecord

#: medians so near to each other say nothing of two recipes: other weights of the same network are 1-5 % faster or slower by
#: themselves, and the same file at another place in memory 2-3 %
AS_FAST = 1.05
#: a file so little larger is as small: no user trains for the difference
AS_SMALL = 1.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A sound cell.

    Attributes:
        control: it is there to be compared with (`ft-*`, `*-float32`), and is no pick.
        to_float: its score against the float model's on the same samples; in words why that is not known.
        layer: the group of its score, 0 for the best; cells of one group cannot be told apart, or only in part.
    """

    record: CellRecord
    control: bool
    to_float: Compared | str
    layer: int

    @property
    def recipe(self) -> str:
        return self.record.key.recipe

    @property
    def backend(self) -> str:
        return self.record.key.backend

    @property
    def cost_ns(self) -> float | None:
        """The median latency on the board's own clock."""
        return cost_ns(self.record)

    @property
    def size_bytes(self) -> int | None:
        return self.record.size_bytes

    @property
    def delta(self) -> float | None:
        """The score minus the float model's, in the score's unit."""
        return None if isinstance(self.to_float, str) else self.to_float.delta

    @property
    def drop(self) -> float | None:
        """How much worse the score is than the float model's; negative for better."""
        return None if isinstance(self.to_float, str) else -self.to_float.gain

    @property
    def worst_drop(self) -> float | None:
        """The far end of the drop's interval: so much worse it may be; None where that is not known."""
        tested = self.to_float
        if isinstance(tested, str) or tested.low is None or tested.high is None:
            return None
        higher_is_better = tested.gain == tested.delta
        return -tested.low if higher_is_better else tested.high


def as_fast(first: Candidate, second: Candidate) -> bool:
    """Whether the first one's latency is not shown to be longer: their intervals meet, or the medians are within AS_FAST."""
    mine, theirs = first.cost_ns, second.cost_ns
    if mine is None or theirs is None:
        return mine is None and theirs is None
    one, other = cost_interval_ns(first.record), cost_interval_ns(second.record)
    assert one is not None and other is not None
    return mine <= theirs * AS_FAST or one[0] <= other[1]


def faster(first: Candidate, second: Candidate) -> bool:
    """Whether the first one is shown to be faster."""
    return first.cost_ns is not None and second.cost_ns is not None and not as_fast(second, first)
