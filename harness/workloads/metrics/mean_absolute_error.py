"""Mean absolute error: how far a model's numbers are from the labels, in the labels' unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored, same_number
from harness.workloads.metrics.numbers import number_rows, output_rows, same_shape
from harness.workloads.metrics.permutation import exchange_p


@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Metric):
    """The mean over samples of each one's mean absolute error over its outputs.

    The interval is Student's (1908) for the mean of the samples' errors, cut at 0. The difference to a baseline is tested by
    exchanging the two models' errors sample by sample (Fisher 1935; permutation.py).
    """

    name: ClassVar[str] = "mean_absolute_error"
    title: ClassVar[str] = "mean absolute error"
    direction: ClassVar[Direction] = "lower"
    loss: ClassVar[Loss] = Loss(name="MeanAbsoluteError")
    numbers: ClassVar[bool] = True
    takes: ClassVar[str] = "numbers, [N] or [N, K], by as many numbers"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        return number_rows(labels, ends)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return output_rows(outputs)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        samples = same_number(answers, labels)
        errors = _errors(answers, labels)
        mean = float(errors.mean())
        if samples < 2:
            return Scored(value=mean, low=None, high=None, samples=samples)
        reach = _reach(errors)
        return Scored(value=mean, low=max(0.0, mean - reach), high=mean + reach, samples=samples)

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        same_number(answers, labels)
        same_number(baseline, labels)
        mine, theirs = _errors(answers, labels), _errors(baseline, labels)
        p, test = exchange_p(mine, theirs)
        difference = mine - theirs
        delta = float(difference.mean())
        if len(difference) < 2:
            return Paired(delta=delta, p=p, test=test)
        reach = _reach(difference)
        return Paired(delta=delta, p=p, test=test, low=delta - reach, high=delta + reach)


def _errors(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each sample's mean absolute error, float64 [N].

    Raises:
        ValueError: answers and labels have different numbers of values per sample.
    """
    same_shape(answers, labels)
    return np.abs(answers.astype(np.float64) - labels.astype(np.float64)).mean(axis=1)


def _reach(values: np.ndarray) -> float:
    """How far the 95 % interval of the mean of float64 [N >= 2] reaches to either side (Student 1908)."""
    from scipy.stats import t

    return float(values.std(ddof=1) / len(values) ** 0.5 * t.ppf(0.975, len(values) - 1))


METRIC = MeanAbsoluteError()
