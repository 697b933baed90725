"""Metrics whose score is a function of sums over samples: of hits and misses, of squares, of pixels.

    score = value(parts of sample 1 + ... + parts of sample N)

That is all that an interval and a paired comparison need: a sample is left out, or two models' answers to it are exchanged, by
moving its parts from one sum to another.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from harness.workloads.metrics.base import Metric, Paired, Scored, same_number
from harness.workloads.metrics.exchange import exchanged_sums_p

#: where scores lie: a share in 0..1, a positive number, a number below 1
Range = Literal["share", "positive", "below one"]
#: the standard normal distribution's 97.5 % point
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Summed(Metric):
    """A score of sums over samples.

    The interval takes the standard error from leaving out one sample after the other (jackknife: Tukey 1958; Miller 1974, The
    jackknife, a review), with Student's t, on a scale that keeps it within the scores' range: logit of a share, logarithm of a
    positive number, logarithm of 1 - score below one. A sample is the whole of one: all pixels of an image count as one. The
    difference to a baseline is tested by exchanging the two models' parts sample by sample (exchange.py), and its interval is the
    jackknife's.

    Attributes:
        range: where the score lies.
    """

    range: ClassVar[Range] = "share"

    @abstractmethod
    def parts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What each sample adds to the sums, float64 [N, F]."""

    @abstractmethod
    def value(self, sums: np.ndarray) -> np.ndarray:
        """The score, float64 [R], of each row of sums, float64 [R, F]."""

    def pair_parts(
        self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The parts of two models, whose columns mean the same."""
        return self.parts(answers, labels), self.parts(baseline, labels)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        samples = same_number(answers, labels)
        parts = self.parts(answers, labels)
        value = float(self.value(parts.sum(axis=0)[None])[0])
        low, high = self._interval(value, parts)
        return Scored(value=value, low=low, high=high, samples=samples)

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        samples = same_number(answers, labels)
        same_number(baseline, labels)
        mine, theirs = self.pair_parts(answers, baseline, labels)
        delta = float((self.value(mine.sum(axis=0)[None]) - self.value(theirs.sum(axis=0)[None]))[0])
        p, test = exchanged_sums_p(mine, theirs, self.value)
        if samples < 2 or np.array_equal(mine, theirs):
            return Paired(delta=delta, p=p, test=test)
        reach = student(samples) * jackknife_error(self._left_out(mine) - self._left_out(theirs))
        return Paired(delta=delta, p=p, test=test, low=delta - reach, high=delta + reach)

    def _left_out(self, parts: np.ndarray) -> np.ndarray:
        """The score without each of the samples, float64 [N]."""
        return self.value(parts.sum(axis=0) - parts)

    def _interval(self, value: float, parts: np.ndarray) -> tuple[float | None, float | None]:
        samples = len(parts)
        if samples < 2 or not np.isfinite(value):
            return None, None
        reach = student(samples) * jackknife_error(self._left_out(parts))
        if self.range == "share":
            return share_interval(value, reach, samples)
        if self.range == "positive":
            if value <= 0:
                return value, value
            factor = float(np.exp(reach / value))
            return value / factor, value * factor
        if value >= 1:
            return value, value
        factor = float(np.exp(reach / (1 - value)))
        return 1 - (1 - value) * factor, 1 - (1 - value) / factor


def share_interval(value: float, reach: float, samples: int) -> tuple[float, float]:
    """On the logit scale; of all or nothing Wilson's (1927) for so many samples: they cannot show that it would stay so."""
    if not 0 < value < 1:
        far = _Z**2 / (samples + _Z**2)
        return (1 - far, 1.0) if value >= 1 else (0.0, far)
    logit, reach = float(np.log(value / (1 - value))), reach / (value * (1 - value))
    return float(1 / (1 + np.exp(reach - logit))), float(1 / (1 + np.exp(-reach - logit)))


def jackknife_error(left_out: np.ndarray) -> float:
    """The jackknife's standard error from the scores without each sample, float64 [N >= 2]."""
    samples = len(left_out)
    return float(((samples - 1) / samples * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5)


def student(samples: int) -> float:
    """The 97.5 % point of Student's distribution for so many samples, at least two."""
    from scipy.stats import t

    return float(t.ppf(0.975, samples - 1))
