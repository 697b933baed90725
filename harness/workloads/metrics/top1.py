"""Top-1 accuracy: the share of samples whose largest output is the labelled class.

A difference of two accuracies on the same samples is judged by the samples on which the two models disagree (McNemar
1947, exact binomial form), not by two separate intervals: pairing sees changes an order of magnitude smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored, same_number
from harness.workloads.metrics.classes import class_numbers, largest, scores_only

#: the standard normal distribution's 97.5 % point
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Top1(Metric):
    """Share of right answers, with its 95 % Wilson interval (Wilson 1927)."""

    name: ClassVar[str] = "top1"
    title: ClassVar[str] = "accuracy"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="SparseCategoricalCrossentropy", takes_logits=True)
    classes: ClassVar[bool] = True
    accuracy: ClassVar[bool] = True
    takes: ClassVar[str] = "class numbers [N] by scores of several classes"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        scores_only(ends)
        return class_numbers(labels, ends, classes=ends.units)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return largest(outputs)

    def agreement(self, outputs: np.ndarray, reference: np.ndarray) -> float | None:
        # One output has one largest value: everything would agree.
        if outputs.reshape(len(outputs), -1).shape[1] < 2:
            return None
        return super().agreement(outputs, reference)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        from scipy.stats import binomtest

        total = same_number(answers, labels)
        count = int((answers == labels).sum())
        interval = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
        return Scored(value=count / total, low=float(interval.low), high=float(interval.high), samples=total)

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        from scipy.stats import binomtest

        total = same_number(answers, labels)
        same_number(baseline, labels)
        cell_right, baseline_right = answers == labels, baseline == labels
        only_baseline = int((baseline_right & ~cell_right).sum())
        only_cell = int((cell_right & ~baseline_right).sum())
        discordant = only_baseline + only_cell
        low, high = difference_interval(only_baseline, only_cell, total)
        return Paired(
            delta=(only_cell - only_baseline) / total,
            low=low,
            high=high,
            p=float(binomtest(only_cell, discordant, 0.5).pvalue) if discordant else 1.0,
            test="exact McNemar",
            only_baseline_right=only_baseline,
            only_cell_right=only_cell,
        )


def difference_interval(only_baseline: int, only_cell: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a paired difference of two shares, cell's minus baseline's (Bonett and Price 2012, Adjusted Wald
    confidence interval for a difference of binomial proportions based on paired data). It has a width also where no sample is
    judged differently: so many samples cannot show that none would be.
    """
    lost, won = (only_baseline + 1) / (total + 2), (only_cell + 1) / (total + 2)
    reach = _Z * ((lost + won - (won - lost) ** 2) / (total + 2)) ** 0.5
    return max(-1.0, won - lost - reach), min(1.0, won - lost + reach)


METRIC = Top1()
