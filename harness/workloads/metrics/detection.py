"""Detection: mean average precision of boxes, as COCO has it, after non-maximum suppression.

A model gives boxes that are already suppressed (the four outputs of TFLite_Detection_PostProcess), or raw ones that a stated
decoder makes boxes of (detection_heads.py). Against the reference the raw values are judged, before suppression: it drops one of
two boxes by which is a hair surer, so that a right device may give another list.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from harness.core.errors import UnsupportedError, UserInputError
from harness.tflite.post_process import POST_PROCESS
from harness.workloads.metrics.base import Direction, Ends, Loss, Metric, Paired, Scored, same_number
from harness.workloads.metrics.detection_match import class_hits
from harness.workloads.metrics.permutation import EXACT_NAME, sign_flip_p
from harness.workloads.metrics.summed import jackknife_error, share_interval, student

#: a class that nothing is of: rows that fill an array up
NOTHING = -1.0
#: an edge may lie beyond the image, but half of all boxes do not end at twice its size
_MOST_SHARE = 2.0


@dataclass(frozen=True, kw_only=True)
class DetectionMap(Metric):
    """mAP over IoU thresholds .5, .55, ... .95, all classes that are labelled, 101 recalls, 100 detections a class and image.

    The interval takes the standard error from leaving out one image after the other (jackknife), on the logit scale. Two models
    are compared by their images' pseudo-values (Tukey 1958), whose differences get random signs (permutation.py).

    Attributes:
        boxes_at, classes_at, scores_at, count_at: which output is which, of a model that ends in TFLite_Detection_PostProcess.
    """

    name: ClassVar[str] = "detection_map"
    title: ClassVar[str] = "mAP@[.5:.95]"
    direction: ClassVar[Direction] = "higher"
    loss: ClassVar[Loss] = Loss(name="")
    takes: ClassVar[str] = (
        "boxes [N, M, 5] (top, left, bottom, right, class) by the outputs of TFLite_Detection_PostProcess"
    )
    all_outputs: ClassVar[bool] = True
    thresholds: ClassVar[tuple[float, ...]] = tuple(np.linspace(0.5, 0.95, 10))

    boxes_at: int = 0
    classes_at: int = 1
    scores_at: int = 2
    count_at: int = 3

    def fitted(self, ends: Ends) -> Self:
        """The same with the places of the outputs as this model has them."""
        places = {output.made_at: place for place, output in enumerate(ends.together) if output.made_by == POST_PROCESS}
        if set(places) != {0, 1, 2, 3}:
            return self
        boxes, classes, scores, count = (places[number] for number in range(4))
        return replace(self, boxes_at=boxes, classes_at=classes, scores_at=scores, count_at=count)

    def checked(self, labels: np.ndarray, ends: Ends) -> np.ndarray:
        self.check_outputs(ends)
        rows = checked_boxes(labels, ends)
        self._check_units(rows, ends)
        return rows

    def _check_units(self, rows: np.ndarray, ends: Ends) -> None:
        """Refuses boxes in pixels for an op that gives shares of the image: none would overlap, which is no mAP of 0.

        Raises:
            UserInputError: with the range that they lie in.
        """
        boxes = rows[rows[..., 4] != NOTHING][:, :4]
        if float(np.median(boxes.max(axis=1))) > _MOST_SHARE:
            raise UserInputError(
                f"array '{ends.key}' has boxes in {boxes.min():.4g}..{boxes.max():.4g}, and {POST_PROCESS} gives shares of the "
                "image, 0..1",
                where=ends.where,
                hint="divide top and bottom by the image's height, left and right by its width",
            )

    def check_outputs(self, ends: Ends) -> None:
        """Refuses outputs that are no boxes, classes, scores and count.

        Raises:
            UserInputError: says what they are.
        """
        made = {output.made_by for output in ends.together}
        if len(ends.together) != 4 or made != {POST_PROCESS}:
            count = len(ends.together) or 1
            own = f"{count} outputs are" if count > 1 else "output is"
            raise UserInputError(
                f"the model's {own} not made by {POST_PROCESS}",
                where=ends.where,
                hint="raw heads are judged in a workload of your own by SsdMap or YoloMap, which say how boxes are decoded",
            )

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        raise ValueError(f"the metric {self.name} is of all outputs of a model together")

    def answers_of(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Detections, float32 [N, D, 6]: top, left, bottom, right, class, score; a class of NOTHING fills up."""
        count = len(outputs[0])
        boxes = outputs[self.boxes_at].reshape(count, -1, 4)
        classes, scores = (outputs[place].reshape(count, -1) for place in (self.classes_at, self.scores_at))
        number = outputs[self.count_at].reshape(count, -1)[:, :1]
        found = np.concatenate([boxes, classes[..., None], scores[..., None]], axis=2).astype(np.float32)
        there = (np.arange(boxes.shape[1]) < number) & np.isfinite(found).all(axis=2)
        found[~there] = (0, 0, 0, 0, NOTHING, 0)
        return found

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Scored:
        samples = same_number(answers, labels)
        value, left_out = self._left_out(answers, labels)
        if samples < 2:
            return Scored(value=value, low=None, high=None, samples=samples)
        low, high = share_interval(value, student(samples) * jackknife_error(left_out), samples)
        return Scored(value=value, low=low, high=high, samples=samples)

    def paired(self, answers: np.ndarray, baseline: np.ndarray, labels: np.ndarray) -> Paired:
        samples = same_number(answers, labels)
        same_number(baseline, labels)
        (mine, left), (theirs, other) = (self._left_out(side, labels) for side in (answers, baseline))
        delta = mine - theirs
        if np.array_equal(answers, baseline):
            return Paired(delta=0.0, p=1.0, test=EXACT_NAME)
        p, test = sign_flip_p(samples * delta - (samples - 1) * (left - other))
        if samples < 2:
            return Paired(delta=delta, p=p, test=test)
        reach = student(samples) * jackknife_error(left - other)
        return Paired(delta=delta, p=p, test=test, low=max(-1.0, delta - reach), high=min(1.0, delta + reach))

    def targets(self, labels: np.ndarray) -> np.ndarray:
        raise UnsupportedError(
            "a detector's training (its anchors and losses) is not known here",
            hint="ask for ptq recipes, or give the .tflite of a model that was trained quantized",
        )

    def beats_guessing(self, answers: np.ndarray, labels: np.ndarray) -> bool | None:
        """Whether anything at all is shown to be found: boxes by chance hit almost nothing."""
        scored = self.score(answers, labels)
        return scored.low is not None and scored.low > 0 and scored.value > 0

    def _left_out(self, answers: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """The score, and that without each of the images, float64 [N].

        Raises:
            UserInputError: no box is labelled.
        """
        key = tuple((side.shape, side.tobytes()) for side in (answers, labels))
        return _scores_without_each(self.thresholds, *key)


@functools.lru_cache(maxsize=32)
def _scores_without_each(
    thresholds: tuple[float, ...], answers: tuple[tuple[int, ...], bytes], labels: tuple[tuple[int, ...], bytes]
) -> tuple[float, np.ndarray]:
    """Made once for the same detections: a cell is compared with many others."""
    found, given = (np.frombuffer(data, np.float32).reshape(shape) for shape, data in (answers, labels))
    classes, hits = class_hits(found, given, np.array(thresholds))
    if not len(classes):
        raise UserInputError("no box is labelled in these samples", hint="take more samples (--samples)")
    whole = np.array([one.average_precision()[0] for one in hits])
    without = np.tile(whole[:, None], (1, len(given)))
    for row, one in zip(without, hits, strict=True):
        touched = np.union1d(np.unique(one.image), np.flatnonzero(one.wanted)).astype(np.int64)
        row[touched] = one.average_precision(touched)
    # A class that only one image shows is none without it.
    present = ~np.isnan(without)
    sums, numbers = np.where(present, without, 0.0).sum(axis=0), present.sum(axis=0)
    mean = np.divide(sums, numbers, out=np.zeros(len(given)), where=numbers > 0)
    return float(whole.mean()), mean


@dataclass(frozen=True, kw_only=True)
class DetectionMap50(DetectionMap):
    """The same at an IoU of .5 alone, as PASCAL VOC counts a hit."""

    name: ClassVar[str] = "detection_map_50"
    title: ClassVar[str] = "mAP@.5"
    thresholds: ClassVar[tuple[float, ...]] = (0.5,)


def checked_boxes(labels: np.ndarray, ends: Ends) -> np.ndarray:
    """Labelled boxes, float32 [N, M, 6]: top, left, bottom, right, class, 1 for a crowd.

    Args:
        labels: numbers [N, M, 5] or [N, M, 6]; a class of -1 fills up images with fewer boxes.

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    expected = f"[{len(labels) if labels.ndim else 'N'}, M, 5]: top, left, bottom, right, class (and 1 for a crowd)"
    if labels.dtype.kind not in "uif" or labels.ndim != 3 or labels.shape[2] not in (5, 6) or labels.size == 0:
        raise UserInputError(
            f"array '{ends.key}' is {labels.dtype} of shape {list(labels.shape)}, expected numbers {expected}",
            where=ends.where,
            hint="images with fewer than M boxes are filled up with rows of class -1",
        )
    rows = labels.astype(np.float32)
    if rows.shape[2] == 5:
        rows = np.concatenate([rows, np.zeros((*rows.shape[:2], 1), np.float32)], axis=2)
    there = rows[..., 4] != NOTHING
    _refuse_boxes(rows, there, ends)
    rows[~there] = (0, 0, 0, 0, NOTHING, 0)
    return rows


def _refuse_boxes(rows: np.ndarray, there: np.ndarray, ends: Ends) -> None:
    """The first box that is none, with its image."""
    low, high, number, crowd = rows[..., :2], rows[..., 2:4], rows[..., 4], rows[..., 5]
    faults = (
        (~np.isfinite(rows).all(axis=2), "NaN or infinite values", None),
        ((number < 0) | (number != np.round(number)), "a class that is no whole number from 0 on", None),
        ((high < low).any(axis=2), "bottom before top or right before left", "boxes are (top, left, bottom, right)"),
        ((crowd != 0) & (crowd != 1), "a sixth number that is neither 0 nor 1", "it says whether the box is a crowd"),
    )
    for bad, what, hint in faults:
        places = np.argwhere(bad & there)
        if len(places):
            image, box = places[0]
            raise UserInputError(
                f"array '{ends.key}' has {what}, first in box {box} of image {image}", where=ends.where, hint=hint
            )
    if not (there & (crowd == 0)).any():
        raise UserInputError(f"array '{ends.key}' has no box in any image", where=ends.where)


METRIC = DetectionMap()
AT_50 = DetectionMap50()
