"""Accuracy of a model that answers with the class itself: one whole number per sample, as an ARG_MAX at its end gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.metrics.classes import NO_ANSWER, class_numbers
from harness.workloads.metrics.top1 import Top1


@dataclass(frozen=True, kw_only=True)
class ClassNumber(Top1):
    """Share of right answers, with its 95 % Wilson interval."""

    name: ClassVar[str] = "class_number"
    takes: ClassVar[str] = "class numbers [N] by one whole number per sample, as ARG_MAX gives it"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        if ends.units is not None and ends.units != 1:
            raise UserInputError(
                f"the model gives {ends.units} values per sample, and no single class",
                where=ends.where,
                hint="scores of classes are judged by the metric top1",
            )
        if ends.squashed:
            raise UserInputError(
                "the model gives a probability, and not the class itself",
                where=ends.where,
                hint="binary judges one sigmoid; end the model in a comparison where it should answer with the class",
            )
        return class_numbers(labels, ends, classes=None)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        first = outputs.reshape(len(outputs), -1)[:, 0]
        whole = np.isfinite(first) & (first == np.round(first)) & (np.abs(first) < 2**53)
        return np.where(whole, first, NO_ANSWER).astype(np.int64)

    def agreement(self, outputs: np.ndarray, reference: np.ndarray) -> float | None:
        return Metric.agreement(self, outputs, reference)


METRIC = ClassNumber()
