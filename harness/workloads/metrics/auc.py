"""AUC: the chance that a sample of class 1 is scored above one of class 0, a tie counting half; the area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored, same_number
from harness.workloads.metrics.classes import class_numbers, scores_only
from harness.workloads.metrics.permutation import EXACT_NAME, RANDOM, RANDOM_NAME

#: the standard normal distribution's 97.5 % point
_Z = 1.959963984540054
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Auc(Metric):
    """AUC of two classes. Any number that grows with class 1 is a score: a probability or a logit, or of two outputs the second's
    lead over the first.

    Interval: DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988; computed by midranks, Sun and Xu 2014) on the logit
    scale; of perfect separation, Wilson's of so many samples as the rarer class has. Two models on the same samples: DeLong's
    test, which knows how their scores go together.
    """

    name: ClassVar[str] = "auc"
    title: ClassVar[str] = "AUC"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="BinaryCrossentropy", takes_logits=True)
    takes: ClassVar[str] = "labels 0 and 1, [N], by one score or the scores of two classes"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        scores_only(ends)
        if ends.units is not None and ends.units > 2:
            raise UserInputError(
                f"the model gives {ends.units} values per sample, and not the score of one class or of two",
                where=ends.where,
                hint="several classes are judged by top1 or f1; a model that gives its own input back by autoencoder_auc",
            )
        return both_classes(class_numbers(labels, ends, classes=2), ends)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """The score of class 1, float64 [N]. Of two shares the lead orders as the second one does, and of two logits as well."""
        flat = outputs.reshape(len(outputs), -1)
        return flat[:, 0] if flat.shape[1] == 1 else flat[:, 1] - flat[:, 0]

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        low = self.score(answers, labels).low
        return low is not None and low > 0.5

    def targets(self, labels: np.ndarray) -> np.ndarray:
        return labels.astype(np.float32)[:, None]

    def strata(self, labels: np.ndarray) -> np.ndarray | None:
        return labels

    def anomaly(self, labels: np.ndarray) -> np.ndarray:
        """Which samples are of class 1, bool [N]."""
        return labels == 1

    def ranked(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What samples are ordered by, float64 [N]; what is not finite stands before everything."""
        return np.where(np.isfinite(answers), answers, -np.inf)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        samples = same_number(answers, labels)
        of_one = self.anomaly(labels)
        if of_one.all() or not of_one.any():
            raise UserInputError(
                f"all {samples:,} samples are of one class, and AUC compares two", hint="take more samples (--samples)"
            )
        places = Placements.of(self.ranked(answers, labels), of_one)
        low, high = _interval(places)
        return Scored(value=places.auc, low=low, high=high, samples=samples)

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        same_number(answers, labels)
        same_number(baseline, labels)
        of_one = self.anomaly(labels)
        if of_one.all() or not of_one.any():
            raise UserInputError(f"all {len(labels):,} samples are of one class, and AUC compares two")
        scores = [self.ranked(side, labels) for side in (answers, baseline)]
        mine, theirs = (Placements.of(side, of_one) for side in scores)
        delta = mine.auc - theirs.auc
        ones, zeros = mine.ones - theirs.ones, mine.zeros - theirs.zeros
        if not ones.any() and not zeros.any():
            return Paired(delta=0.0, p=1.0, test="DeLong")
        variance = _variance(ones, zeros)
        if variance is None or variance <= 0:
            p, test = _exchanged(scores[0], scores[1], of_one, abs(delta))
            return Paired(delta=delta, p=p, test=test)
        from scipy.stats import norm

        reach = _Z * variance**0.5
        p = float(2 * norm.sf(abs(delta) / variance**0.5))
        return Paired(delta=delta, p=p, test="DeLong", low=max(-1.0, delta - reach), high=min(1.0, delta + reach))


@dataclass(frozen=True, kw_only=True, eq=False)
class Placements:
    """Each sample against the other class: the share of it that it stands on the right side of (DeLong's V10 and V01).

    Attributes:
        ones: of the samples of class 1, in their order, float64.
        zeros: of those of class 0.
    """

    ones: np.ndarray
    zeros: np.ndarray

    @property
    def auc(self) -> float:
        return float(self.ones.mean())

    @staticmethod
    def of(scores: np.ndarray, of_one: np.ndarray) -> Placements:
        """Args: scores, float64 [N]; of_one, bool [N], with samples of both."""
        from scipy.stats import rankdata

        together = rankdata(scores)
        ones, zeros = scores[of_one], scores[~of_one]
        return Placements(
            ones=(together[of_one] - rankdata(ones)) / len(zeros),
            zeros=1 - (together[~of_one] - rankdata(zeros)) / len(ones),
        )


def _variance(ones: np.ndarray, zeros: np.ndarray) -> float | None:
    """DeLong's variance of a mean of placements, or of a difference of two; None with fewer than two of a class."""
    if min(len(ones), len(zeros)) < 2:
        return None
    return float(ones.var(ddof=1) / len(ones) + zeros.var(ddof=1) / len(zeros))


def _interval(places: Placements) -> tuple[float | None, float | None]:
    value, variance = places.auc, _variance(places.ones, places.zeros)
    if variance is None:
        return None, None
    if not 0 < value < 1 or variance <= 0:
        far = _Z**2 / (min(len(places.ones), len(places.zeros)) + _Z**2)
        return (1 - far, 1.0) if value >= 1 else (0.0, far) if value <= 0 else (value, value)
    logit, reach = np.log(value / (1 - value)), _Z * variance**0.5 / (value * (1 - value))
    return float(1 / (1 + np.exp(reach - logit))), float(1 / (1 + np.exp(-reach - logit)))


def _exchanged(first: np.ndarray, second: np.ndarray, of_one: np.ndarray, observed: float) -> tuple[float, str]:
    """The two-sided p where DeLong's variance says nothing: the two models' ranks are exchanged sample by sample (Venkatraman and
    Begg 1996), in every way where few samples differ.
    """
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(first), rankdata(second)])
    moving = np.flatnonzero(ranks[0] != ranks[1])
    exact = len(moving) <= 10
    rng = np.random.default_rng(_SEED)
    total = 1 << len(moving) if exact else RANDOM // 10
    as_far = 0
    for number in range(total):
        swap = (number >> np.arange(len(moving))) & 1 if exact else rng.integers(0, 2, len(moving))
        sides = ranks.copy()
        chosen = moving[swap == 1]
        sides[:, chosen] = sides[::-1, chosen]
        delta = Placements.of(sides[0], of_one).auc - Placements.of(sides[1], of_one).auc
        as_far += abs(delta) >= observed - 1e-12
    if exact:
        return as_far / total, EXACT_NAME
    return (as_far + 1) / (total + 1), RANDOM_NAME.replace(f"{RANDOM:,}", f"{total:,}")


def both_classes(numbers: np.ndarray, ends: Ends) -> np.ndarray:
    """The labels, where both classes are among them.

    Raises:
        UserInputError: one is missing.
    """
    if (numbers == numbers[0]).all():
        raise UserInputError(
            f"every label of array '{ends.key}' is {numbers[0]}, and AUC compares samples of class 1 with those of class 0",
            where=ends.where,
        )
    return numbers


METRIC = Auc()
