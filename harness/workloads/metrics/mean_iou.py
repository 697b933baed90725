"""Mean intersection over union: how well a map of classes covers the labelled one, pixel by pixel, averaged over classes.

IoU of a class = pixels answered and labelled so / pixels answered or labelled so, over all samples together
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Direction, Ends, Loss
from harness.workloads.metrics.classes import NO_ANSWER, is_whole
from harness.workloads.metrics.summed import Summed


@dataclass(frozen=True, kw_only=True)
class MeanIou(Summed):
    """The mean IoU over the classes that are labelled or answered anywhere, as Keras' MeanIoU and scikit-learn's Jaccard have it.
    An image is one sample: its pixels are left out, and exchanged, together.

    Attributes:
        ignore: pixels of this label count nowhere: borders, and what nobody labelled.
    """

    name: ClassVar[str] = "mean_iou"
    title: ClassVar[str] = "mean IoU"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="SparseCategoricalCrossentropy", takes_logits=True, ignore_class=NO_ANSWER)
    takes: ClassVar[str] = "a class number for each pixel, [N, H, W], by a map of scores [H, W, classes]"

    ignore: int = 255

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        if ends.places is not None and ends.places < 2:
            raise UserInputError(
                "the model answers once per sample, and gives no map of classes",
                where=ends.where,
                hint="class numbers [N] are judged by top1, f1 or class_number",
            )
        self._check_output(ends)
        if labels.dtype.kind not in "uifb" or labels.ndim < 2 or labels.size == 0 or not is_whole(labels):
            raise UserInputError(
                f"array '{ends.key}' is {labels.dtype} of shape {list(labels.shape)}, expected whole class numbers, "
                f"[{len(labels) if labels.ndim else 'N'}, H, W], one for each pixel of the output",
                where=ends.where,
            )
        rows = labels.reshape(len(labels), -1)
        if ends.places is not None and rows.shape[1] != ends.places:
            shown = "x".join(map(str, labels.shape[1:]))
            raise UserInputError(
                f"array '{ends.key}' has {shown} pixels per sample, the model answers at {ends.places:,}",
                where=ends.where,
                hint="scale the label maps to the output's height and width, by the nearest neighbour",
            )
        self._check_layout(labels, ends)
        # What comes out here may come in again: a built file is asked, too.
        unlabelled = (rows == self.ignore) | ((rows == NO_ANSWER) & (labels.dtype == np.int16))
        return self._class_map(np.where(unlabelled, NO_ANSWER, rows).astype(np.int64), unlabelled, ends)

    def _check_layout(self, labels: np.ndarray, ends: Ends) -> None:
        """Refuses maps of as many pixels that lie otherwise: rows and columns exchanged, or reshaped.

        Raises:
            UserInputError: says the two shapes.
        """
        if ends.shape is None:
            return
        places = ends.shape if ends.numbers else ends.shape[:-1]
        have, want = (tuple(size for size in shape if size != 1) for shape in (labels.shape[1:], places))
        if len(have) < 2 or -1 in want or have == want:
            return  # flat maps lie in no other way
        exchanged = have == want[::-1]
        raise UserInputError(
            f"array '{ends.key}' has maps of {'x'.join(map(str, have))}, and the model gives {'x'.join(map(str, want))}"
            + (": rows and columns are exchanged" if exchanged else ""),
            where=ends.where,
            hint="transpose them, y.swapaxes(1, 2)"
            if exchanged
            else "give label maps of the output's height and width",
        )

    def _check_output(self, ends: Ends) -> None:
        if ends.numbers:
            raise UserInputError(
                "the model gives class numbers, and no scores", where=ends.where, hint="class_map_iou judges them"
            )
        if ends.units == 1:
            raise UserInputError(
                "the model gives one value per pixel, which is no score of several classes",
                where=ends.where,
                hint="give it an output for each class",
            )

    def _class_map(self, rows: np.ndarray, unlabelled: np.ndarray, ends: Ends) -> np.ndarray:
        """Class numbers, int16 [N, pixels], with NO_ANSWER where a pixel does not count."""
        kept = rows[~unlabelled]
        if not kept.size:
            what = f"every pixel of array '{ends.key}' is {self.ignore}, the label that is ignored"
            raise UserInputError(what, where=ends.where)
        most = 2**15 if ends.numbers or ends.units is None else ends.units
        low, high = int(kept.min()), int(kept.max())
        if low < 0 or high >= most:
            raise UserInputError(
                f"array '{ends.key}' holds the label {low if low < 0 else high}, expected 0..{most - 1}, or {self.ignore} for a "
                "pixel that does not count",
                where=ends.where,
                hint=f"`--metric '{self.name}(ignore=NUMBER)'` leaves another label out",
            )
        return rows.astype(np.int16)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """The class of the largest score of each pixel, int16 [N, pixels]; NO_ANSWER where one is NaN.

        Args:
            outputs: scores, float64 [N, ..., classes].
        """
        best = np.argmax(outputs, axis=-1).astype(np.int16)
        best[np.isnan(outputs).any(axis=-1)] = NO_ANSWER
        return best.reshape(len(outputs), -1)

    def parts(self, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return self._parts(answers, labels, int(max(answers.max(), labels.max())) + 1)

    def pair_parts(
        self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        classes = int(max(answers.max(), baseline.max(), labels.max())) + 1
        return self._parts(answers, labels, classes), self._parts(baseline, labels, classes)

    def _parts(self, answers: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
        """Of each class the pixels of its intersection and of its union, float64 [N, 2 * classes]."""
        if answers.shape != labels.shape:
            raise ValueError(f"answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}")
        found = np.empty((len(labels), 2, classes))
        for row, mine, wanted in zip(found, answers, labels, strict=True):
            counts = wanted != NO_ANSWER
            mine, wanted = mine[counts], wanted[counts]
            row[0] = np.bincount(wanted[mine == wanted], minlength=classes)
            answered = np.bincount(mine[mine != NO_ANSWER], minlength=classes)
            row[1] = answered + np.bincount(wanted, minlength=classes) - row[0]
        return found.reshape(len(labels), -1)

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether it beats the most frequent class at every pixel."""
        low = self.score(answers, labels).low
        frequent = np.bincount(labels[labels != NO_ANSWER].astype(np.int64)).argmax()
        return low is not None and low > self.score(np.full_like(labels, frequent), labels).value

    def value(self, sums: np.ndarray) -> np.ndarray:
        both, either = np.split(sums, 2, axis=1)
        there = either > 0
        each = np.divide(both, either, out=np.zeros_like(both), where=there)
        return np.asarray(each.sum(axis=1) / np.maximum(there.sum(axis=1), 1))


@dataclass(frozen=True, kw_only=True)
class ClassMapIou(MeanIou):
    """The same of a model that gives the class number of each pixel, as an ARG_MAX at its end does."""

    name: ClassVar[str] = "class_map_iou"
    takes: ClassVar[str] = "a class number for each pixel, [N, H, W], by a map of class numbers as ARG_MAX gives it"

    def _check_output(self, ends: Ends) -> None:
        if not ends.numbers:
            raise UserInputError("the model gives no class numbers", where=ends.where, hint="mean_iou judges scores")

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        flat = outputs.reshape(len(outputs), -1)
        whole = np.isfinite(flat) & (flat == np.round(flat)) & (flat >= 0) & (flat < 2**15)
        return np.where(whole, flat, NO_ANSWER).astype(np.int16)


METRIC = MeanIou()
CLASS_MAP = ClassMapIou()
