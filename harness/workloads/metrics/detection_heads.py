"""Raw heads of detectors: the decoder that makes boxes of them, stated in the workload, and non-maximum suppression.

    SsdMap   values that move anchors, as TensorFlow's object detection API trains them (Liu and others 2016)
    YoloMap  cells of grids (Redmon and Farhadi 2018; version 5's formula too), or boxes that the model has decoded itself

On the device and against the reference raw values are compared; boxes are made of them here, by the same code for every board.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.detection import NOTHING, DetectionMap
from harness.workloads.metrics.detection_match import overlaps
from harness.workloads.outputs import built_position

#: boxes of an image that suppression looks at, the surest ones
_MOST_CANDIDATES = 1000


@dataclass(frozen=True, kw_only=True)
class RawHeads(DetectionMap):
    """mAP@[.5:.95] of boxes that are decoded and suppressed here.

    Attributes:
        iou_threshold: of two boxes of a class that overlap by more, the less sure one goes.
        score_threshold: boxes that are less sure are none.
        most: boxes that are kept of an image.
    """

    takes: ClassVar[str] = "boxes [N, M, 5] by raw heads, in a workload that states the decoder"

    iou_threshold: float = 0.6
    score_threshold: float = 0.01
    most: int = 100

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _frozen(getattr(self, field.name)))

    def _check_units(self, rows: np.ndarray, ends: Ends) -> None:
        """Nothing: a head of one's own may give boxes in any unit, and labels have the same."""

    @abstractmethod
    def decoded(self, outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes, float64 [N, A, 4] (top, left, bottom, right), and the score of each class, float64 [N, A, C].

        Raises:
            ValueError: outputs that the settings do not fit.
        """

    def answers_of(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        boxes, scores = self.decoded(outputs)
        found = np.zeros((len(boxes), self.most, 6), np.float32)
        found[..., 4] = NOTHING
        for row, image_boxes, image_scores in zip(found, boxes, scores, strict=True):
            kept = self._suppressed(image_boxes, image_scores)
            row[: len(kept)] = kept
        return found

    def _suppressed(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """What is left of one image's boxes, [K, 6], the surest first: class by class, greedily."""
        sure = np.argwhere(np.isfinite(scores) & (scores >= self.score_threshold))
        sure = sure[np.argsort(-scores[sure[:, 0], sure[:, 1]], kind="stable")[:_MOST_CANDIDATES]]
        places, classes = sure[:, 0], sure[:, 1]
        chosen = boxes[places]
        left = np.isfinite(chosen).all(axis=1)
        kept: list[int] = []
        for place in range(len(sure)):
            if not left[place]:
                continue
            kept.append(place)
            if len(kept) == self.most:
                break
            near = overlaps(chosen[place : place + 1], chosen)[0] > self.iou_threshold
            left &= ~(near & (classes == classes[place]))
        values = scores[places, classes]
        return np.concatenate([chosen[kept], classes[kept, None], values[kept, None]], axis=1)


@dataclass(frozen=True, kw_only=True)
class SsdMap(RawHeads):
    """Two outputs: how anchors are moved, [A, 4] as (y, x, height, width), and the score of each class, [A, C].

    Anchors are those of the object detection API's `ssd_anchor_generator`: at every place of each feature map one for each aspect
    ratio, and one square of the scale between this map's and the next (the last one's: 1).

    Attributes:
        feature_maps: (height, width) of each, the largest first.
        min_scale, max_scale: of the first and the last map, as a share of the image; those between are evenly spaced.
        aspect_ratios: width / height.
        between: whether there is the square of the scale between two maps.
        reduced: the first map has three anchors only: .1 at ratio 1, and its scale at 2 and 1/2.
        coder: what the four values are divided by: y, x, height, width.
        activation: what makes scores of the second output's values.
        background: the first class is none.
        boxes_at, scores_at: which output is which.
    """

    name: ClassVar[str] = "ssd_map"

    feature_maps: tuple[tuple[int, int], ...] = ()
    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 1 / 3)
    between: bool = True
    reduced: bool = True
    coder: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    activation: Literal["sigmoid", "softmax", "none"] = "sigmoid"
    background: bool = True
    scores_at: int = 1

    def fitted(self, ends: Ends) -> Self:
        """The same with its outputs where a built file has them."""
        places = [built_position(ends.together, place) for place in (self.boxes_at, self.scores_at)]
        return replace(self, boxes_at=places[0], scores_at=places[1])

    def check_outputs(self, ends: Ends) -> None:
        outputs = ends.together or (ends,)
        wanted = len(self.anchors())
        shapes = [_rows(output.shape) for output in outputs]
        right = max(self.boxes_at, self.scores_at) < len(shapes)
        right = (
            right
            and shapes[self.boxes_at] in (None, (wanted, 4))
            and (shapes[self.scores_at] or (wanted,))[0] == wanted
        )
        if not right:
            given = ", ".join(str(list(output.shape or ())) for output in outputs)
            raise UserInputError(
                f"outputs of {given} are not boxes [{wanted}, 4] and scores [{wanted}, C] of {wanted} anchors",
                where=ends.where,
                hint="`feature_maps`, `aspect_ratios` and `reduced` of SsdMap say how many anchors there are",
            )

    def anchors(self) -> np.ndarray:
        """The boxes that are moved, float64 [A, 4]: y and x of the centre, height, width."""
        count = len(self.feature_maps)
        if not count:
            raise UserInputError("the metric 'ssd_map' needs `feature_maps`", hint="state it in a workload of your own")
        step = (self.max_scale - self.min_scale) / max(1, count - 1)
        scales = [self.min_scale + step * number for number in range(count)] + [1.0]
        found = []
        for number, (height, width) in enumerate(self.feature_maps):
            sizes = [(scales[number], ratio) for ratio in self.aspect_ratios]
            if self.between:
                sizes.append(((scales[number] * scales[number + 1]) ** 0.5, 1.0))
            if number == 0 and self.reduced:
                sizes = [(0.1, 1.0), (scales[0], 2.0), (scales[0], 0.5)]
            y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
            each = [
                np.stack([y, x, np.full_like(y, scale / ratio**0.5), np.full_like(y, scale * ratio**0.5)], axis=-1)
                for scale, ratio in sizes
            ]
            found.append(np.stack(each, axis=2).reshape(-1, 4))
        return np.concatenate(found)

    def decoded(self, outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        anchors, count = self.anchors(), len(outputs[0])
        moved = outputs[self.boxes_at].reshape(count, len(anchors), 4) / np.array(self.coder)
        centre = moved[..., :2] * anchors[:, 2:] + anchors[:, :2]
        half = np.exp(np.clip(moved[..., 2:], None, 20)) * anchors[:, 2:] / 2
        scores = outputs[self.scores_at].reshape(count, len(anchors), -1)
        if self.activation == "sigmoid":
            scores = sigmoid(scores)
        elif self.activation == "softmax":
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores = shares / shares.sum(axis=-1, keepdims=True)
        return np.concatenate([centre - half, centre + half], axis=-1), scores[..., int(self.background) :]


@dataclass(frozen=True, kw_only=True)
class YoloMap(RawHeads):
    """One output per grid, [H, W, A (5 + C)] or the same with H W A rows: x, y, width, height, objectness, classes. Or one output
    of boxes that are decoded, [4 + C, A] or [A, 4 + C]: x and y of the centre, width, height as shares of the image, classes.

    Attributes:
        grids: (height, width) of each output; empty for decoded boxes.
        anchors: of each output (width, height) of its anchors as shares of the image.
        coder: how values move anchors: version 3's exponential, version 5's square, or `decoded`.
        places: where the file has the outputs; empty for their own order.
    """

    name: ClassVar[str] = "yolo_map"

    grids: tuple[tuple[int, int], ...] = ()
    anchors: tuple[tuple[tuple[float, float], ...], ...] = ()
    coder: Literal["v3", "v5", "decoded"] = "v3"
    places: tuple[int, ...] = ()

    def fitted(self, ends: Ends) -> Self:
        """The same with its outputs where a built file has them."""
        return replace(self, places=tuple(built_position(ends.together, place) for place in range(len(self.grids))))

    def check_outputs(self, ends: Ends) -> None:
        outputs = ends.together or (ends,)
        if self.coder == "decoded":
            if len(outputs) != 1:
                raise UserInputError(f"decoded boxes are one output, the model has {len(outputs)}", where=ends.where)
            return
        if not self.grids or len(self.grids) != len(self.anchors):
            raise UserInputError(
                "the metric 'yolo_map' needs `grids` and as many `anchors`", hint="state it in a workload of your own"
            )
        if self.places and max(self.places) < len(outputs):
            outputs = tuple(outputs[place] for place in self.places)
        for output, (height, width), anchors in zip(outputs, self.grids, self.anchors, strict=False):
            cells = height * width * len(anchors)
            size = None if output.shape is None or -1 in output.shape else int(np.prod(output.shape))
            if len(outputs) != len(self.grids) or (size is not None and (size % cells or size // cells < 6)):
                raise UserInputError(
                    f"the outputs are not values of grids {list(self.grids)} with {len(anchors)} anchors",
                    where=ends.where,
                    hint="`grids` and `anchors` of YoloMap are in the order of the model's outputs",
                )

    def decoded(self, outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if self.coder == "decoded":
            return _decoded(outputs[0])
        outputs = [outputs[place] for place in self.places] if self.places else outputs
        parts = [
            self._grid(values, grid, np.array(anchors))
            for values, grid, anchors in zip(outputs, self.grids, self.anchors, strict=True)
        ]
        boxes, scores = zip(*parts, strict=True)
        return np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1)

    def _grid(self, values: np.ndarray, grid: tuple[int, int], anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = grid
        cells = values.reshape(len(values), height, width, len(anchors), -1)
        y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        corner = np.stack([x, y], axis=-1)[:, :, None]
        if self.coder == "v3":
            centre, size = sigmoid(cells[..., :2]), anchors * np.exp(np.clip(cells[..., 2:4], None, 20))
        else:
            centre, size = 2 * sigmoid(cells[..., :2]) - 0.5, anchors * (2 * sigmoid(cells[..., 2:4])) ** 2
        centre = (centre + corner) / [width, height]
        scores = sigmoid(cells[..., 4:5]) * sigmoid(cells[..., 5:])
        count = len(values)
        return _corners(centre, size).reshape(count, -1, 4), scores.reshape(count, -1, scores.shape[-1])


def _decoded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = values.reshape(len(values), *values.shape[-2:])
    if rows.shape[1] < rows.shape[2]:
        rows = rows.transpose(0, 2, 1)
    return _corners(rows[..., :2], rows[..., 2:4]), rows[..., 4:]


def _corners(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(top, left, bottom, right) of boxes by (x, y) and (width, height)."""
    return np.concatenate([(centre - size / 2)[..., ::-1], (centre + size / 2)[..., ::-1]], axis=-1)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return 0.5 * (1 + np.tanh(values / 2))


def _rows(shape: tuple[int, ...] | None) -> tuple[int, int] | None:
    """An output as rows of values, where its shape says how many."""
    if shape is None or -1 in shape or not shape:
        return None
    return int(np.prod(shape[:-1], dtype=np.int64)), shape[-1]


def _frozen(value: Any) -> Any:
    """Lists, which JSON makes of tuples, as tuples again."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


SSD = SsdMap()
YOLO = YoloMap()
