"""Scores: two runs' answers on the same samples, paired; Holm's correction over the cells that changed.

Pairing sees changes an order of magnitude smaller than two intervals side by side. Cells whose answers are the same on every
sample are no tests at all, and take nothing of the error budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from harness.workloads.metrics.base import Metric, Paired
from harness.workloads.metrics.permutation import RANDOM, RANDOM_NAME

#: the share of a night's error budget that scores have
SCORE_BUDGET = 0.004
#: the smallest p of a random permutation test: below it, only more permutations would tell
_LEAST_P = 1 / (RANDOM + 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a cell answered.

    Attributes:
        metric: what judges it.
        answers: [N, ...] as the metric sees them.
        labels: [N, ...] in the same order.
        sample_ids: int64 [N], positions in the dataset's test set.
        output: the name of the output that they are of; empty where the model has one.
    """

    metric: Metric
    answers: np.ndarray
    labels: np.ndarray
    sample_ids: np.ndarray
    output: str = ""

    def first(self, count: int) -> Answers:
        """The same of the first samples."""
        return Answers(
            metric=self.metric,
            answers=self.answers[:count],
            labels=self.labels[:count],
            sample_ids=self.sample_ids[:count],
            output=self.output,
        )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two scores on the same samples.

    Attributes:
        loss: how much worse the later one is, in the score's unit; negative for better.
        p: two-sided; 1.0 where no answer that counts differs.
        test: its name.
        samples: how many were common.
        cut: True where one of the two has more samples than the common ones.
        before, after: scores on the common samples.
        only_before_right, only_after_right: None where answers are not right or wrong.
        least_p: the smallest p that the test can give; 0 for one that has none.
        output: the name of the output that was compared; empty where the model has one.
        title, unit: what its score is, where it is not the record's own.
    """

    loss: float
    p: float
    test: str
    samples: int
    cut: bool
    before: float
    after: float
    only_before_right: int | None = None
    only_after_right: int | None = None
    least_p: float = 0.0
    output: str = ""
    title: str | None = None
    unit: str | None = None

    @property
    def moved(self) -> bool:
        """Whether any answer that counts differs."""
        return self.p < 1.0 or bool(self.only_before_right) or bool(self.only_after_right)


def compare_scores(before: Answers, after: Answers) -> Compared | None:
    """The paired comparison on the common beginning of the samples; None where there is none."""
    count = common(before.sample_ids, after.sample_ids)
    if count == 0 or before.metric.name != after.metric.name:
        return None
    metric, labels = after.metric, after.labels[:count]
    old, new = before.answers[:count], after.answers[:count]
    if not np.array_equal(labels, before.labels[:count]):
        return None  # other labels: another question
    paired: Paired = metric.paired(new, old, labels)
    return Compared(
        loss=metric.loss_of(paired.delta),
        p=paired.p,
        test=paired.test,
        samples=count,
        cut=count < max(len(before.sample_ids), len(after.sample_ids)),
        before=metric.score(old, labels).value,
        after=metric.score(new, labels).value,
        only_before_right=paired.only_baseline_right,
        only_after_right=paired.only_cell_right,
        least_p=paired.least_p if paired.least_p is not None else _LEAST_P if paired.test == RANDOM_NAME else 0.0,
        output=after.output,
        title="accuracy" if metric.accuracy else metric.title,
        unit=metric.unit,
    )


def common(before: np.ndarray, after: np.ndarray) -> int:
    """How many samples two lists of ids begin with in common."""
    count = min(len(before), len(after))
    differ = np.flatnonzero(before[:count] != after[:count])
    return int(differ[0]) if len(differ) else count


def holm(p: Sequence[float], budget: float = SCORE_BUDGET) -> list[float]:
    """What each p may be at most for its test to reject, by Holm's step-down procedure (Holm 1979).

    The smallest p may be `budget / m`, the next `budget / (m - 1)`, and so on; after the first that is larger nothing rejects,
    which is told by a bound of that first one's.
    """
    bounds = [0.0] * len(p)
    stopped: float | None = None
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        bound = budget / (len(p) - rank)
        if stopped is None and not p[index] <= bound:
            stopped = bound
        bounds[index] = bound if stopped is None else min(stopped, bound)
    return bounds


def smallest_loss(compared: Compared, alpha: float) -> float | None:
    """The smallest loss that this test would have told from chance at level `alpha`; None where nothing tells it.

    Of right and wrong answers: with as many samples that only the later one got right, so many more had to be lost. Of other
    scores, by the spread that p and the loss themselves stand for.
    """
    if compared.samples == 0:
        return None
    if compared.only_after_right is not None:
        from scipy.stats import binomtest

        won = compared.only_after_right
        low, high = won + 1, won + 2
        while binomtest(won, won + high, 0.5).pvalue > alpha:
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            if binomtest(won, won + middle, 0.5).pvalue <= alpha:
                high = middle
            else:
                low = middle + 1
        return (high - won) / compared.samples if high <= compared.samples else None
    if not 0.0 < compared.p < 1.0 or compared.loss == 0:
        return None
    normal = NormalDist()
    spread = abs(compared.loss) / max(1e-9, -normal.inv_cdf(compared.p / 2))
    return -normal.inv_cdf(alpha / 2) * spread


def out_of_reach(compared: Compared, bound: float) -> bool:
    """True where the test's own smallest p lies above the bound, so that nothing could have been told."""
    return compared.only_after_right is None and bound < compared.least_p and compared.p <= 1.5 * compared.least_p
