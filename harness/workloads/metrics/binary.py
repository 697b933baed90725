"""Accuracy of a model with one sigmoid output: class 1 from a probability of .5 on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends, Loss, Metric
from harness.workloads.metrics.classes import class_numbers, likely, scores_only
from harness.workloads.metrics.top1 import Top1


@dataclass(frozen=True, kw_only=True)
class Binary(Top1):
    """Share of right answers of two, with its 95 % Wilson interval."""

    name: ClassVar[str] = "binary"
    loss: ClassVar[Loss] = Loss(name="BinaryCrossentropy", takes_logits=True)
    takes: ClassVar[str] = "labels 0 and 1, [N], by one sigmoid output"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        return binary_labels(labels, ends)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        return likely(outputs)

    def agreement(self, outputs: np.ndarray, reference: np.ndarray) -> float | None:
        return Metric.agreement(self, outputs, reference)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        return labels.astype(np.float32)[:, None]


def binary_labels(labels: np.ndarray, ends: Ends) -> np.ndarray:
    """Labels 0 and 1 for a model whose one output is a probability.

    Raises:
        UserInputError: other labels, or an output that is none.
    """
    scores_only(ends)
    if ends.units is not None and ends.units > 2:
        raise UserInputError(
            f"the model gives {ends.units} values per sample, and not the probability of one of two classes",
            where=ends.where,
            hint="scores of several classes are judged by top1 or f1, several labels per sample by multilabel_f1_macro",
        )
    numbers = class_numbers(labels, ends, classes=2)
    if not ends.squashed:
        raise UserInputError(
            "the model has one output without a sigmoid, so labels 0 and 1 cannot be compared with it",
            where=ends.where,
            hint="end the model in a sigmoid, or leave the labels out to measure agreement only; labels that are numbers to be "
            "met, and no classes, belong into the file as floats",
        )
    return numbers


METRIC = Binary()
