"""R2, the coefficient of determination: the share of the labels' variance that a model's numbers explain; below 0 where the
labels' mean would do better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Direction, Ends, Loss
from harness.workloads.metrics.numbers import number_rows, output_rows, same_shape
from harness.workloads.metrics.summed import Range, Summed


@dataclass(frozen=True, kw_only=True)
class R2(Summed):
    """1 - (sum of squared errors) / (sum of squared distances of the labels from their mean); of several outputs the mean of
    theirs. Where all labels of an output are alike it is 1 for all right and else 0, as scikit-learn has it.
    """

    name: ClassVar[str] = "r2"
    title: ClassVar[str] = "R2"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="MeanSquaredError")
    numbers: ClassVar[bool] = True
    takes: ClassVar[str] = "numbers that differ between samples, [N] or [N, K], by as many numbers"
    range: ClassVar[Range] = "below one"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        rows = number_rows(labels, ends)
        alike = np.flatnonzero((rows == rows[:1]).all(axis=0))
        if len(alike):
            which = f"number {alike[0]} of array '{ends.key}'" if rows.shape[1] > 1 else f"array '{ends.key}'"
            raise UserInputError(
                f"{which} is the same for all {len(rows):,} samples, so there is no variance to explain",
                where=ends.where,
                hint="judge it by mean_absolute_error or rmse",
            )
        return rows

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return output_rows(outputs)

    def parts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        same_shape(answers, labels)
        wanted = labels.astype(np.float64)
        # The variance does not depend on where 0 is; far from the mean its two sums would cancel each other.
        centred = wanted - wanted.mean(axis=0)
        squares = (answers.astype(np.float64) - wanted) ** 2
        return np.concatenate([squares, centred, centred**2, np.ones((len(wanted), 1))], axis=1)

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether it beats giving the labels' mean for every sample."""
        low = self.score(answers, labels).low
        return low is not None and low > 0

    def value(self, sums: np.ndarray) -> np.ndarray:
        errors, first, second = np.split(sums[:, :-1], 3, axis=1)
        total = second - first**2 / np.maximum(sums[:, -1:], 1.0)
        usable = total > 1e-12 * np.maximum(second, 1e-300)
        ratio = np.divide(errors, total, out=np.where(errors <= 0, 0.0, 1.0), where=usable)
        return np.asarray((1 - ratio).mean(axis=1))


METRIC = R2()
