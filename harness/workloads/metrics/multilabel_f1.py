"""F1 of a model that says yes or no to several labels of a sample at once: one sigmoid each, yes from a probability of .5 on.

F1 = 2 tp / (answered yes + labelled yes), over all labels together (micro), or the mean of the labels' own (macro)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Direction, Ends, Loss
from harness.workloads.metrics.classes import is_whole
from harness.workloads.metrics.summed import Summed


@dataclass(frozen=True, kw_only=True)
class MultilabelF1Macro(Summed):
    """The mean of F1 over the labels that are given or answered in any sample."""

    name: ClassVar[str] = "multilabel_f1_macro"
    title: ClassVar[str] = "multi-label macro F1"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="BinaryCrossentropy", takes_logits=True)
    takes: ClassVar[str] = "0 and 1 for each of several labels, [N, K], by as many sigmoid outputs"

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        if ends.units == 1 or (ends.places is not None and ends.places > 1):
            raise UserInputError(
                f"the model gives {ends.values or 'another number of'} values per sample, and not one for each of several labels",
                where=ends.where,
                hint="one sigmoid output is judged by binary, f1_positive or auc",
            )
        rows = multi_hot(labels, ends)
        if ends.numbers or ends.squashed_by == "softmax" or not ends.squashed:
            made = "a softmax makes them shares of one answer" if ends.squashed_by else "they end in no sigmoid"
            raise UserInputError(
                f"the model's outputs are not a probability for each label: {made}",
                where=ends.where,
                hint="end the model in a sigmoid per label; of one answer per sample, labels are class numbers [N] (top1, f1)",
            )
        return rows

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """Yes or no to each label, int8 [N, K]; a NaN is no."""
        return (outputs.reshape(len(outputs), -1) >= 0.5).astype(np.int8)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        return labels.astype(np.float32)

    def parts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Of each label whether it was found, and how often of two it was given or answered, float64 [N, 2 K]."""
        if answers.shape != labels.shape:
            raise ValueError(f"answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}")
        found = (answers == 1) & (labels == 1)
        return np.concatenate([found, answers.astype(np.float64) + labels], axis=1).astype(np.float64)

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether it beats yes to every label, and yes to those that are given more often than not."""
        low = self.score(answers, labels).low
        often = (labels.mean(axis=0) > 0.5).astype(np.int8)
        constants = (np.ones_like(labels), np.broadcast_to(often, labels.shape).copy())
        return low is not None and all(low > self.score(constant, labels).value for constant in constants)

    def value(self, sums: np.ndarray) -> np.ndarray:
        found, either = np.split(sums, 2, axis=1)
        there = either > 0
        each = np.divide(2 * found, either, out=np.zeros_like(found), where=there)
        return np.asarray(each.sum(axis=1) / np.maximum(there.sum(axis=1), 1))


@dataclass(frozen=True, kw_only=True)
class MultilabelF1Micro(MultilabelF1Macro):
    """F1 over all labels of all samples together: frequent labels weigh more."""

    name: ClassVar[str] = "multilabel_f1_micro"
    title: ClassVar[str] = "multi-label micro F1"

    def parts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        found, either = np.split(super().parts(answers, labels), 2, axis=1)
        return np.stack([found.sum(axis=1), either.sum(axis=1)], axis=1)


def multi_hot(labels: np.ndarray, ends: Ends) -> np.ndarray:
    """Labels that are 0 or 1 for each of several, int8 [N, K].

    Raises:
        UserInputError: other labels, or not as many as the model has outputs.
    """
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "uifb":
        raise UserInputError(
            f"array '{ends.key}' is {labels.dtype} of shape {list(labels.shape)}, expected 0 and 1 of shape [{len(labels)}, K]",
            where=ends.where,
            hint="one row per sample, with a column for each label",
        )
    if labels.size == 0:
        raise UserInputError(f"array '{ends.key}' is empty", where=ends.where)
    if ends.units is not None and labels.shape[1] != ends.units:
        what = f"array '{ends.key}' has {labels.shape[1]} labels per sample, the model gives {ends.units}"
        raise UserInputError(what, where=ends.where)
    if not is_whole(labels) or not np.isin(labels, (0, 1)).all():
        other = labels[~np.isin(labels, (0, 1))].flat[0]
        raise UserInputError(f"array '{ends.key}' holds {other:g}, expected 0 and 1", where=ends.where)
    return labels.astype(np.int8)


METRIC = MultilabelF1Macro()
MICRO = MultilabelF1Micro()
