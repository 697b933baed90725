"""Top-k accuracy: the share of samples whose labelled class is among the k largest outputs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored, same_number
from harness.workloads.metrics.classes import NO_ANSWER, class_numbers, largest, scores_only
from harness.workloads.metrics.top1 import Top1


@dataclass(frozen=True, kw_only=True)
class TopK(Metric):
    """Share of samples with the label among the k largest outputs, judged as an accuracy is: Wilson's interval and McNemar's
    test. Of equal outputs the first counts as the larger, as in top-1. Its score is not written under the name of accuracy.

    Attributes:
        k: of the class, which is called by it: `top-5`.
    """

    k: ClassVar[int] = 5
    name: ClassVar[str] = "top-5"
    title: ClassVar[str] = "top-5 accuracy"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="SparseCategoricalCrossentropy", takes_logits=True)
    takes: ClassVar[str] = "class numbers [N] by scores of more than 5 classes"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        scores_only(ends)
        if ends.units is not None and ends.units <= self.k:
            raise UserInputError(
                f"the model has {ends.units} classes, so that all of them are among the {self.k} largest",
                where=ends.where,
                hint="take a smaller k, or top1",
            )
        return class_numbers(labels, ends, classes=ends.units)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """The k classes of the largest outputs, the largest first, int32 [N, k]; NO_ANSWER where one is NaN."""
        flat = outputs.reshape(len(outputs), -1)
        order = np.argsort(-flat, axis=1, kind="stable")[:, : self.k].astype(np.int32)
        order[np.isnan(flat).any(axis=1)] = NO_ANSWER
        return order

    @property
    def chooses(self) -> bool:
        return True

    def chosen(self, outputs: np.ndarray) -> np.ndarray | None:
        return largest(outputs)

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        same_number(answers, labels)
        return Top1().score(self._met(answers, labels), np.ones(len(labels), np.int64))

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        same_number(answers, labels)
        same_number(baseline, labels)
        met = np.ones(len(labels), np.int64)
        return Top1().paired(self._met(answers, labels), self._met(baseline, labels), met)

    def strata(self, labels: np.ndarray) -> np.ndarray | None:
        return labels

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether it beats naming the k most frequent classes for every sample."""
        low = self.score(answers, labels).low
        frequent = np.sort(np.unique(labels, return_counts=True)[1])[::-1][: self.k].sum() / len(labels)
        return low is not None and low > frequent

    def _met(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """1 for each sample whose label is among the k, else 0, int64 [N]."""
        return (answers == labels[:, None]).any(axis=1).astype(np.int64)


@functools.cache
def top_k(k: int) -> TopK:
    """The metric of one k: a class of its own, because a metric's name is its class's, and cells of two k are not compared."""
    if k == TopK.k:
        return TopK()
    words = {
        "k": k,
        "name": f"top-{k}",
        "title": f"top-{k} accuracy",
        "takes": f"class numbers [N] by scores of more than {k} classes",
        "__module__": __name__,
    }
    made: type[TopK] = type(f"Top{k}", (TopK,), words)
    return made()


METRIC = TopK()
