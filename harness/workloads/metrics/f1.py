"""F1: the harmonic mean of precision and recall, over all classes or of one (van Rijsbergen 1979).

    F1 of a class = 2 tp / (answered + labelled), tp: samples of the class that are answered so; 0 where nothing is either

Nothing but counts enters: how often which class was answered where which one was right. So exchanging the answers of two
models on some samples is moving counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored, same_number
from harness.workloads.metrics.binary import binary_labels
from harness.workloads.metrics.classes import NO_ANSWER, class_numbers, largest, likely, scores_only
from harness.workloads.metrics.permutation import EXACT_NAME, EXACT_SAMPLES, RANDOM, RANDOM_NAME

_SEED = 0
_RESAMPLES = 999
#: numbers held at a time
_CHUNK = 1 << 18
#: the standard normal distribution's 97.5 % point
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class F1(Metric):
    """Macro F1: the mean over the classes that are labelled or answered.

    The interval takes the score's variance by the delta method from the counts (Takahashi and others 2022, Confidence interval
    for micro-averaged F1 and macro-averaged F1 scores), on the logit scale, which keeps it within 0..1; where every answer is
    right, or none, that variance is 0, and the interval is Wilson's of such a share. The difference to a baseline is tested by
    exchanging the two models' answers sample by sample (permutation.py).
    """

    name: ClassVar[str] = "f1"
    title: ClassVar[str] = "macro F1"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="SparseCategoricalCrossentropy", takes_logits=True)
    classes: ClassVar[bool] = True
    takes: ClassVar[str] = "class numbers [N] by scores of several classes"
    #: the one class whose F1 is the score; None for the mean over all
    positive: ClassVar[int | None] = None

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        scores_only(ends)
        return class_numbers(labels, ends, classes=ends.units)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return largest(outputs)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        samples = same_number(answers, labels)
        pairs, counts = _kinds(labels, answers)
        value = float(self._value(pairs, counts[None])[0])
        low, high = self._interval(value, pairs, counts / samples, samples)
        return Scored(value=value, low=low, high=high, samples=samples)

    def _interval(self, value: float, pairs: np.ndarray, shares: np.ndarray, samples: int) -> tuple[float, float]:
        """The 95 % interval of a score by the shares of each (label, answer), float [P]."""
        labelled, answered, right = (shares @ table for table in self._tables(pairs))
        either = labelled + answered
        there = either > 0
        f1 = np.divide(2 * right, either, out=np.zeros_like(either), where=there)
        per = np.divide(1.0, either, out=np.zeros_like(either), where=there)
        # The score's slope in each share, s = answered + labelled: d F1 / d tp = 2 (1 - F1) / s, d F1 / d (fp or fn) = -F1 / s.
        rows, columns, diagonal = self._tables(pairs)
        slope = (diagonal @ (2 * per) - (rows + columns) @ (f1 * per)) / max(1, int(there.sum()))
        variance = float((shares @ slope**2 - (shares @ slope) ** 2) / samples)
        if not 0 < value < 1 or variance <= 0:
            far = _Z**2 / (samples + _Z**2)
            return (1 - far, 1.0) if value >= 1 else (0.0, far) if value <= 0 else (value, value)
        logit, reach = np.log(value / (1 - value)), _Z * variance**0.5 / (value * (1 - value))
        return float(1 / (1 + np.exp(reach - logit))), float(1 / (1 + np.exp(-reach - logit)))

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        found = self.tested(answers, baseline, labels)
        kinds, counts = _kinds(labels, answers, baseline)
        if (kinds[:, 1] == kinds[:, 2]).all():
            return found
        low, high = self._difference_interval(kinds, counts)
        return replace(found, low=low, high=high)

    def tested(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        same_number(answers, labels)
        same_number(baseline, labels)
        kinds, counts = _kinds(labels, answers, baseline)
        mine, theirs = (float(self._value(kinds[:, columns], counts[None])[0]) for columns in ([0, 1], [0, 2]))
        observed = mine - theirs
        differ = kinds[:, 1] != kinds[:, 2]
        movable = counts[differ]
        if not len(movable):
            return Paired(delta=observed, p=1.0, test=EXACT_NAME)
        exact = int(movable.sum()) <= EXACT_SAMPLES
        difference = self._exchanger(kinds, counts, differ)
        as_far = total = 0
        for exchanged in _all_exchanges(movable) if exact else _random_exchanges(movable):
            as_far += int((np.abs(difference(exchanged)) >= abs(observed) - 1e-12).sum())
            total += exchanged.shape[1]
        p = as_far / total if exact else (as_far + 1) / (total + 1)
        return Paired(delta=observed, p=p, test=EXACT_NAME if exact else RANDOM_NAME)

    def _difference_interval(self, kinds: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
        """The 95 % interval of the difference: samples drawn anew, whole (Efron 1979, percentile method).

        Args:
            kinds, counts: as in `_exchanger`.
        """
        rng = np.random.default_rng(_SEED)
        drawn = rng.multinomial(int(counts.sum()), counts / counts.sum(), size=_RESAMPLES)
        differences = self._value(kinds[:, [0, 1]], drawn) - self._value(kinds[:, [0, 2]], drawn)
        low, high = np.quantile(differences, [0.025, 0.975])
        return float(low), float(high)

    def _exchanger(
        self, kinds: np.ndarray, counts: np.ndarray, differ: np.ndarray
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Cell's minus baseline's score, float [R], as a function of how many samples have their answers exchanged, float32
        [M, R].

        Labels stay where they are, and so do answers that are alike; the rest is two sums that grow by what is exchanged. A
        class that is labelled is there in every exchange; one that is only answered is never right, and counts where it is
        answered.

        Args:
            kinds: int [K, 3]: label, the cell's answer, the baseline's.
            counts: int [K], samples of each kind.
            differ: bool [K], the M kinds that have two answers.
        """
        from scipy.sparse import csr_array, vstack

        pairs = np.concatenate([kinds[:, [0, 1]], kinds[:, [0, 2]]])
        labelled, *tables = self._tables(pairs)
        known = len(kinds)
        in_class = counts @ labelled[:known]
        is_labelled = in_class > 0
        mine, theirs = (
            [(counts @ table[part])[:, None] for table in tables] for part in (slice(known), slice(known, None))
        )
        # float32 holds these counts exactly: they are far below 2^24.
        moves = csr_array(vstack([(table[known:] - table[:known])[differ].T for table in tables]).astype(np.float32))

        def f1(answers: np.ndarray, hits: np.ndarray) -> np.ndarray:
            either = in_class[:, None] + answers
            total = (2.0 * hits[is_labelled] / either[is_labelled]).sum(axis=0)
            return np.asarray(total / np.maximum(is_labelled.sum() + (either[~is_labelled] > 0).sum(axis=0), 1))

        def difference(exchanged: np.ndarray) -> np.ndarray:
            answers, hits = np.split(moves @ exchanged, 2)
            return f1(mine[0] + answers, mine[1] + hits) - f1(theirs[0] - answers, theirs[1] - hits)

        return difference

    def _value(self, pairs: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The score, float [R], of so many samples of each (label, answer).

        Args:
            pairs: int [P, 2].
            counts: int [R, P].
        """
        columns = np.ascontiguousarray(counts.T, dtype=np.float64)
        labelled, answered, right = (np.ascontiguousarray((table.T @ columns).T) for table in self._tables(pairs))
        either = labelled + answered
        each = np.divide(2.0 * right, either, out=np.zeros(either.shape), where=either > 0)
        return np.asarray(each.sum(axis=1) / np.maximum((either > 0).sum(axis=1), 1))

    def _tables(self, pairs: np.ndarray) -> tuple[Any, Any, Any]:
        """Which (label, answer) counts for which class as labelled, as answered, as right: sparse 0/1 [P, classes] each."""
        from scipy.sparse import csr_array

        classes = np.unique(pairs[pairs >= 0]) if self.positive is None else np.array([self.positive])

        def table(chosen: np.ndarray) -> Any:
            """`chosen`: int [P], a class or anything else."""
            place = np.searchsorted(classes, chosen)
            known = np.isin(chosen, classes)
            rows = np.flatnonzero(known)
            return csr_array((np.ones(len(rows)), (rows, place[known])), shape=(len(pairs), len(classes)))

        labels, answers = pairs[:, 0], pairs[:, 1]
        return table(labels), table(answers), table(np.where(labels == answers, labels, NO_ANSWER))


@dataclass(frozen=True, kw_only=True)
class F1Positive(F1):
    """F1 of class 1, for a model with one sigmoid output."""

    name: ClassVar[str] = "f1_positive"
    title: ClassVar[str] = "F1"
    loss: ClassVar[Loss] = Loss(name="BinaryCrossentropy", takes_logits=True)
    positive: ClassVar[int | None] = 1
    takes: ClassVar[str] = "labels 0 and 1, [N], by one sigmoid output"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        return binary_labels(labels, ends)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return likely(outputs)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        return labels.astype(np.float32)[:, None]


def _kinds(*classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The combinations of class numbers that occur, int [K, columns] in ascending order, and how often, int [K].

    Args:
        classes: int [N] each. One number per sample is sorted far faster than rows are.
    """
    columns = np.stack(classes, axis=1)
    numbers, places = np.unique(columns, return_inverse=True)
    codes = places.reshape(columns.shape) @ (len(numbers) ** np.arange(len(classes))[::-1])
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return columns[first], counts


def _all_exchanges(counts: np.ndarray) -> Iterator[np.ndarray]:
    """How many samples of each kind have their answers exchanged, float32 [K, R], once for every choice of samples.

    Args:
        counts: int [K]; 0 for kinds whose answers are equal.
    """
    total = int(counts.sum())
    owner = np.repeat(np.arange(len(counts)), counts)
    bits = (np.arange(1 << total) >> np.arange(total)[:, None]) & 1
    yield ((np.arange(len(counts))[:, None] == owner) @ bits).astype(np.float32)


def _random_exchanges(counts: np.ndarray) -> Iterator[np.ndarray]:
    """The same for RANDOM choices in chunks: a sample is a random bit, eight of a kind a byte, and its ones count."""
    bytes_each = -(-counts // 8)
    ends = np.cumsum(bytes_each)
    used = np.full(int(ends[-1]), 0xFF, np.uint8)
    used[ends - 1] >>= np.uint8(8) * bytes_each.astype(np.uint8) - counts.astype(np.uint8)
    ones = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.float32)
    rng = np.random.default_rng(_SEED)
    chunk = max(1, _CHUNK // len(used))
    for start in range(0, RANDOM, chunk):
        rows = min(chunk, RANDOM - start)
        drawn = np.frombuffer(rng.bytes(rows * len(used)), np.uint8).reshape(rows, -1) & used
        drawn = np.ascontiguousarray(drawn.T)
        if len(used) > len(counts):
            yield np.add.reduceat(ones[drawn], ends - bytes_each, axis=0)
        else:
            yield drawn.astype(np.float32) if counts.max() == 1 else ones[drawn]


METRIC = F1()
POSITIVE = F1Positive()
