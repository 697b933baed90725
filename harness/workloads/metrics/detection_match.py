"""Boxes against labelled boxes: which detections hit, and average precision from it (COCO's rules; Lin and others 2014).

Of each class and IoU threshold the detections of an image, the surest first, each take the labelled box that they overlap most
and that nothing has taken. A crowd (a labelled region of many objects) is overlapped by its share of the detection, may be hit
again and again, and neither counts as found nor as missed. Precision is read off at 101 recalls, as the best of any recall that
is as high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: detections of a class in one image that count, the surest ones
MOST_DETECTIONS = 100
RECALLS = np.linspace(0.0, 1.0, 101)
#: numbers held at a time
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassHits:
    """All detections of one class, the surest first.

    Attributes:
        image: int [D], the image of each.
        hit: bool [T, D], whether it is right at each IoU threshold.
        counts: bool [T, D], False where it hit a crowd.
        wanted: int [N], labelled boxes of the class in each image, crowds left out.
    """

    image: np.ndarray
    hit: np.ndarray
    counts: np.ndarray
    wanted: np.ndarray

    def average_precision(self, left_out: np.ndarray | None = None) -> np.ndarray:
        """Its average precision over all thresholds, float64 [R]; NaN where no box is labelled.

        Args:
            left_out: int [R], an image that is not looked at; None: all are, once.
        """
        everything = left_out is None
        images = np.array([-1]) if left_out is None else left_out
        found = np.empty(len(images))
        useful = self._until_last_hit()
        rows = max(1, _CHUNK // max(1, self.hit[:, useful].size))
        total = int(self.wanted.sum())
        for start in range(0, len(images), rows):
            chosen = images[start : start + rows]
            kept = self.image[useful] != chosen[:, None]
            wanted = total - (0 if everything else self.wanted[chosen])
            found[start : start + rows] = _precisions(self.hit[:, useful], self.counts[:, useful], kept, wanted)
        return found

    def _until_last_hit(self) -> slice:
        """What comes after the last hit changes no precision that is read off."""
        hits = np.flatnonzero(self.hit.any(axis=0))
        return slice(0, int(hits[-1]) + 1 if len(hits) else 0)


def _precisions(hit: np.ndarray, counts: np.ndarray, kept: np.ndarray, wanted: np.ndarray | int) -> np.ndarray:
    """The mean over thresholds and recalls, float64 [R].

    Args:
        hit, counts: bool [T, D].
        kept: bool [R, D].
        wanted: int [R], or one for all.
    """
    rows, wanted = len(kept), np.broadcast_to(np.asarray(wanted, np.float64), len(kept))
    together = np.zeros(rows)
    for right, valid in zip(hit, counts, strict=True):
        found = np.cumsum(kept & right, axis=1)
        named = np.cumsum(kept & valid, axis=1)
        precision = found / np.maximum(named, 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = found / np.maximum(wanted, 1)[:, None]
        for row in range(rows):
            place = np.searchsorted(recall[row], RECALLS, side="left")
            inside = place < found.shape[1]
            together[row] += best[row, place[inside]].sum() / len(RECALLS)
    return np.where(wanted > 0, together / len(hit), np.nan)


def class_hits(answers: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, list[ClassHits]]:
    """The labelled classes, int [C], and what was detected of each.

    Args:
        answers: [N, D, 6]: box as (top, left, bottom, right), class, score; a class of -1 is no detection.
        labels: [N, M, 6]: box, class, 1 for a crowd; a class of -1 is no box.
        thresholds: float [T].
    """
    boxes = labels.reshape(-1, labels.shape[-1])
    classes = np.unique(boxes[(boxes[:, 4] >= 0) & (boxes[:, 5] == 0), 4]).astype(np.int64)
    return classes, [_hits_of(answers, labels, number, thresholds) for number in classes]


def _hits_of(answers: np.ndarray, labels: np.ndarray, number: int, thresholds: np.ndarray) -> ClassHits:
    images, scores, hits, counts = [], [], [], []
    wanted = np.zeros(len(labels), np.int64)
    for image, (mine, given) in enumerate(zip(answers, labels, strict=True)):
        boxes = given[given[:, 4] == number]
        wanted[image] = int((boxes[:, 5] == 0).sum())
        found = mine[mine[:, 4] == number]
        found = found[np.argsort(-found[:, 5], kind="stable")[:MOST_DETECTIONS]]
        if not len(found):
            continue
        hit, valid = _matched(found[:, :4], boxes, thresholds)
        images.append(np.full(len(found), image))
        scores.append(found[:, 5])
        hits.append(hit)
        counts.append(valid)
    if not images:
        none = np.zeros((len(thresholds), 0), bool)
        return ClassHits(image=np.zeros(0, np.int64), hit=none, counts=none, wanted=wanted)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return ClassHits(
        image=np.concatenate(images)[order],
        hit=np.concatenate(hits, axis=1)[:, order],
        counts=np.concatenate(counts, axis=1)[:, order],
        wanted=wanted,
    )


def _matched(found: np.ndarray, boxes: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which detections of one image hit, and which count, bool [T, D] each."""
    hit = np.zeros((len(thresholds), len(found)), bool)
    counts = np.ones_like(hit)
    if not len(boxes):
        return hit, counts
    boxes = boxes[np.argsort(boxes[:, 5], kind="stable")]
    crowd = boxes[:, 5] != 0
    overlap = overlaps(found, boxes[:, :4], crowd)
    near = np.flatnonzero(overlap.max(axis=1) >= thresholds.min())
    for row, threshold in enumerate(thresholds):
        free = np.ones(len(boxes), bool)
        for place in near:
            shares = overlap[place]
            # Boxes of objects first: a crowd is taken where no object is.
            for part in (~crowd & free, crowd):
                usable = np.where(part, shares, -1.0)
                # Of equals the last one, as COCO's own code takes it.
                best = len(usable) - 1 - int(np.argmax(usable[::-1]))
                if usable[best] >= min(threshold, 1 - 1e-10):
                    free[best] = crowd[best]
                    hit[row, place], counts[row, place] = not crowd[best], not crowd[best]
                    break
    return hit, counts


def overlaps(found: np.ndarray, boxes: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of every two boxes, float64 [D, M]; of a crowd intersection over the first one's own area.

    Args:
        found, boxes: (top, left, bottom, right), [D, 4] and [M, 4].
    """
    found, boxes = found.astype(np.float64), boxes.astype(np.float64)
    low = np.maximum(found[:, None, :2], boxes[None, :, :2])
    high = np.minimum(found[:, None, 2:], boxes[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    mine, theirs = (np.prod(np.clip(side[:, 2:] - side[:, :2], 0, None), axis=1) for side in (found, boxes))
    whole = mine[:, None] + theirs[None] - both
    if crowd is not None:
        whole = np.where(crowd[None], mine[:, None], whole)
    return np.divide(both, whole, out=np.zeros_like(both), where=whole > 0)
