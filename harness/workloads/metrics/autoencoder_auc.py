"""AUC of an autoencoder: the error with which a model gives back its input is the score of an anomaly (MLPerf Tiny's `ad`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.auc import Auc, both_classes
from harness.workloads.metrics.base import Ends, Loss
from harness.workloads.metrics.classes import class_numbers


@dataclass(frozen=True, kw_only=True)
class AutoencoderAuc(Auc):
    """AUC of the mean square error between a model's output and its input, over all values of a sample; label 1 is an anomaly.

    What has to be given back belongs to a sample's label: column 0 says whether it is an anomaly, the others are its input. So a
    cell is judged by its stored outputs and labels alone, like any other. MLPerf Tiny takes the mean error of all windows of a
    recording; here a sample is a window, and recordings of one window each give MLPerf's figure.
    """

    name: ClassVar[str] = "autoencoder_auc"
    title: ClassVar[str] = "AUC of the reconstruction error"
    loss: ClassVar[Loss] = Loss(name="MeanSquaredError")
    takes: ClassVar[str] = "labels 0 and 1 (an anomaly), [N], by an output as large as the input that it gives back"

    reads_inputs: ClassVar[bool] = True

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        sizes = ends.values, _size(ends.input_shape)
        if ends.numbers or ends.units == 1 and ends.places == 1 or (None not in sizes and sizes[0] != sizes[1]):
            gives, takes = ("an unknown number of" if size is None else f"{size:,}" for size in sizes)
            raise UserInputError(
                f"the model gives {gives} values for an input of {takes}, so it does not give its input back",
                where=ends.where,
                hint="a score of class 1 is judged by auc",
            )
        one_answer = replace(ends, units=2, places=1, numbers=False)
        numbers = class_numbers(labels, one_answer, classes=2)
        # What an autoencoder is trained on is normal, all of it.
        return numbers if ends.key.startswith("y_train") else both_classes(numbers, ends)

    def with_inputs(self, labels: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """float32 [N, 1 + values]: whether each sample is an anomaly, and what has to be given back."""
        return np.concatenate([labels[:, None], inputs.reshape(len(inputs), -1)], axis=1).astype(np.float32)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """What was given back, float32 [N, values]; or the error itself, [N, 1], of firmware that tells nothing else."""
        return outputs.reshape(len(outputs), -1).astype(np.float32)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        return labels[:, 1:]

    def strata(self, labels: np.ndarray) -> np.ndarray | None:
        return self.anomaly(labels).astype(np.int64)

    def anomaly(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray((labels if labels.ndim == 1 else labels[:, 0]) == 1)

    def ranked(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        wanted = labels[:, 1:]
        if answers.shape[1] == 1 < wanted.shape[1]:
            return super().ranked(answers[:, 0].astype(np.float64), labels)
        if answers.shape != wanted.shape:
            raise ValueError(f"outputs of {answers.shape[1]:,} values for inputs of {wanted.shape[1]:,}")
        errors = ((answers.astype(np.float64) - wanted) ** 2).mean(axis=1)
        # An output that is no number is as far from the input as can be.
        return np.where(np.isfinite(errors), errors, np.inf)


def _size(shape: tuple[int, ...] | None) -> int | None:
    return None if shape is None or -1 in shape else int(np.prod(shape, dtype=np.int64))


METRIC = AutoencoderAuc()
