"""Root of the mean square error: how far numbers are from the labels, large misses weighing more, in the labels' unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.workloads.metrics.base import Direction, Ends, Loss
from harness.workloads.metrics.numbers import number_rows, output_rows, same_shape
from harness.workloads.metrics.summed import Range, Summed


@dataclass(frozen=True, kw_only=True)
class Rmse(Summed):
    """The root of the mean square error over all numbers of all samples; of several outputs per sample over all together."""

    name: ClassVar[str] = "rmse"
    title: ClassVar[str] = "RMSE"
    direction: ClassVar[Direction] = "lower"
    loss: ClassVar[Loss] = Loss(name="MeanSquaredError")
    numbers: ClassVar[bool] = True
    takes: ClassVar[str] = "numbers, [N] or [N, K], by as many numbers"
    range: ClassVar[Range] = "positive"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        return number_rows(labels, ends)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return output_rows(outputs)

    def parts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        same_shape(answers, labels)
        squares = (answers.astype(np.float64) - labels.astype(np.float64)) ** 2
        return np.stack([squares.mean(axis=1), np.ones(len(squares))], axis=1)

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether it beats giving the labels' mean for every sample, by the paired test on the same samples."""
        mean = np.broadcast_to(labels.mean(axis=0, dtype=np.float64).astype(np.float32), labels.shape)
        against = self.paired(answers, mean, labels)
        return against.delta < 0 and against.p <= 0.05

    def value(self, sums: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(sums[:, 0], 0.0) / np.maximum(sums[:, 1], 1.0))


METRIC = Rmse()
