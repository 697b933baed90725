"""Scores compared in pairs on the same samples, and which differences are more than chance.

Every two cells whose answers differ are compared by their metric's own paired test, on the samples that both have (a test set
is ordered such that the first N are a sample of all). Equal answers are no comparison: p is 1 by definition, and they take no
part of the error budget. The others share one: Holm (1979) over all of them, so that with a chance of 95 % not one
difference of the whole answer is claimed that is none, whichever cells come out best.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.core.errors import HarnessError
from harness.reports.answer.evidence import Answers

#: the chance that anything at all is claimed which is none
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The first one's score against the second one's, in the score's unit.

    Attributes:
        samples: how many both have; these were compared.
        delta, low, high: first minus second with its 95 % interval; None where the metric tells none.
        p: two-sided, of this comparison alone; 1 for equal answers.
        p_holm: adjusted for all comparisons of the family; below ALPHA the difference is more than chance.
        gain: delta such that positive is better.
        test: the test's name.
    """

    samples: int
    delta: float
    low: float | None
    high: float | None
    p: float
    p_holm: float
    gain: float
    test: str

    @property
    def told_apart(self) -> bool:
        """Whether the difference is more than chance explains."""
        return self.p_holm < ALPHA

    @property
    def better(self) -> bool:
        """Whether the first one is shown to be better."""
        return self.told_apart and self.gain > 0

    @property
    def worse(self) -> bool:
        """Whether the first one is shown to be worse."""
        return self.told_apart and self.gain < 0


class Comparisons:
    """All pairs of some cells and of the float model, tested as one family.

    Cells are named by their position; FLOAT is the float model, as it answers on the samples of the cell it is compared with.
    """

    FLOAT = -1

    def __init__(self, cells: Sequence[Answers | str]) -> None:
        self._cells = list(cells)
        self._pairs: dict[tuple[int, int], Compared | str] = {}
        positions = range(len(self._cells))
        wanted = [(i, self.FLOAT) for i in positions] + [(i, j) for i in positions for j in positions if i < j]
        # Of two cells nothing but who is better is told; the difference to the float model is shown with its interval.
        sides, shown = [self._sides(*pair) for pair in wanted], [second == self.FLOAT for _, second in wanted]
        # The other outputs of models with several are compared as well, in the same family.
        others = [(pair, number) for pair in wanted for number in range(self._further(*pair))]
        sides += [self._sides(*pair, number) for pair, number in others]
        found = compare_together(sides, [*shown, *[False] * len(others)])
        self._pairs = dict(zip(wanted, found[: len(wanted)], strict=True))
        self._others: dict[tuple[int, int], list[Compared | str]] = {}
        for (pair, _), tested in zip(others, found[len(wanted) :], strict=True):
            self._others.setdefault(pair, []).append(tested)

    def of(self, first: int, second: int) -> Compared | str:
        """The first against the second, or in words why they cannot be compared."""
        if (first, second) in self._pairs:
            return self._pairs[first, second]
        found = self._pairs[second, first]
        return found if isinstance(found, str) else turned(found)

    def shown_better(self, first: int, second: int) -> bool:
        """Whether the first one's score is better by more than chance: of several outputs one's, and no other's worse."""
        found = self.of(first, second)
        if isinstance(found, str):
            return False
        together = [found, *self._of_others(first, second)]
        return any(one.better for one in together) and not any(one.worse for one in together)

    def _of_others(self, first: int, second: int) -> list[Compared]:
        """The comparisons of the further outputs."""
        if (first, second) in self._others:
            return [one for one in self._others[first, second] if not isinstance(one, str)]
        return [turned(one) for one in self._others.get((second, first), []) if not isinstance(one, str)]

    def _further(self, first: int, second: int) -> int:
        """How many outputs beside the main one both have."""
        sides = [self._cells[number] for number in (first, second) if number != self.FLOAT]
        return min(0 if isinstance(side, str) else len(side.further) for side in sides)

    def _sides(self, first: int, second: int, further: int | None = None) -> tuple[Answers, Answers] | str:
        """What is compared: of the main output, or of the further one of that number."""
        mine = self._cells[first]
        if isinstance(mine, str):
            return mine
        if further is not None:
            mine = mine.further[further]
        if second == self.FLOAT:
            floats = float_side(mine)
            return "there is no float model to compare with" if floats is None else (mine, floats)
        theirs = self._cells[second]
        if isinstance(theirs, str):
            return theirs
        return mine, theirs if further is None else theirs.further[further]


def float_side(cell: Answers) -> Answers | None:
    """The float model on a cell's samples; None where there is none."""
    if cell.float_answers is None:
        return None
    return Answers(
        metric=cell.metric,
        ids=cell.ids,
        labels=cell.labels,
        answers=cell.float_answers,
        float_answers=cell.float_answers,
        outputs="float",
    )


def compare_together(
    pairs: Sequence[tuple[Answers, Answers] | str], shown: Sequence[bool] | None = None
) -> list[Compared | str]:
    """The paired test of each pair, adjusted for all of them; texts that say why there is no pair are handed through.

    The same two sets of answers are one comparison, however many cells gave them and in whichever order they are asked for.

    Args:
        shown: of each pair whether its difference is shown with an interval, which takes long for some metrics; None: of all.
    """
    sides: dict[_Key, tuple[Answers, Answers]] = {}
    with_interval: set[_Key] = set()
    asked: list[tuple[_Key, bool] | str] = []
    for pair, is_shown in zip(pairs, shown or [True] * len(pairs), strict=True):
        if isinstance(pair, str):
            asked.append(pair)
            continue
        key = _key(*pair)
        if isinstance(key, str):
            asked.append(key)
            continue
        turn = key.first > key.second
        key = _Key(samples=key.samples, first=key.second, second=key.first) if turn else key
        sides.setdefault(key, pair[::-1] if turn else pair)
        if is_shown:
            with_interval.add(key)
        asked.append((key, turn))
    alone = {key: _test(*pair, with_interval=key in with_interval) for key, pair in sides.items()}
    adjusted = _holm({key: c.p for key, c in alone.items() if isinstance(c, Compared) and key.first != key.second})
    for key, compared in alone.items():
        if isinstance(compared, Compared) and key in adjusted:
            alone[key] = replace(compared, p_holm=adjusted[key])
    found: list[Compared | str] = []
    for one in asked:
        tested = one if isinstance(one, str) else alone[one[0]]
        found.append(turned(tested) if isinstance(tested, Compared) and one[1] else tested)
    return found


@dataclass(frozen=True, kw_only=True)
class _Key:
    """What makes two comparisons one: the samples' digest and the output's name, and the digests of either side's answers."""

    samples: bytes
    first: bytes
    second: bytes


def turned(tested: Compared) -> Compared:
    """The same comparison from the other side."""
    low, high = tested.low, tested.high
    return replace(
        tested,
        delta=-tested.delta,
        low=None if high is None else -high,
        high=None if low is None else -low,
        gain=-tested.gain,
    )


def _key(first: Answers, second: Answers) -> _Key | str:
    """The comparison, or why there is none."""
    n = min(first.samples, second.samples)
    if first.metric != second.metric:
        return f"one is judged by {first.metric.name}, the other by {second.metric.name}"
    same = np.array_equal(first.ids[:n], second.ids[:n]) and np.array_equal(first.labels[:n], second.labels[:n])
    if n == 0 or not same:
        return "they ran on different samples"
    samples = _digest(first.ids[:n]) + first.output.encode()
    return _Key(samples=samples, first=_digest(first.answers[:n]), second=_digest(second.answers[:n]))


def _digest(array: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()


def _test(first: Answers, second: Answers, *, with_interval: bool) -> Compared | str:
    n = min(first.samples, second.samples)
    test = first.metric.paired if with_interval else first.metric.tested
    try:
        paired = test(first.answers[:n], second.answers[:n], first.labels[:n])
    except (HarnessError, ValueError) as error:
        return f"their answers cannot be compared ({error})"
    if not np.isfinite([paired.delta, paired.p]).all():
        return "the difference of their scores is no number"
    return Compared(
        samples=n,
        delta=paired.delta,
        low=paired.low,
        high=paired.high,
        p=paired.p,
        p_holm=paired.p,
        gain=-first.metric.loss_of(paired.delta),
        test=paired.test,
    )


def _holm(p: dict[_Key, float]) -> dict[_Key, float]:
    """Holm's adjusted p of each."""
    if len(p) < 2:
        return dict(p)
    from statsmodels.stats.multitest import multipletests

    return dict(zip(p, map(float, multipletests(list(p.values()), method="holm")[1]), strict=True))
