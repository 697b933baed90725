"""Mean average precision: pycocotools' values, an interval that holds, paired images; labels that are no boxes."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.detection import DetectionMap
from harness.workloads.metrics.detection_match import class_hits
from harness.workloads.metrics.registry import get_metric

MAP, AT_50 = get_metric("detection_map"), get_metric("detection_map_50")
WHERE = Ends(units=4, squashed=False, where="samples.npz", key="y")


def scene(seed: int, images: int, *, crowds: bool = False, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Detections and labels of images with up to 4 objects of 3 classes; some are missed, doubled, moved or made up."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((images, 4, 6), np.float32)
    labels[..., 4] = -1
    found = np.zeros((images, 12, 6), np.float32)
    found[..., 4] = -1
    for image in range(images):
        rows = []
        for number in range(rng.integers(0, 5)):
            corner, size = rng.random(2) * 0.6, 0.1 + 0.3 * rng.random(2)
            box = [*corner, *(corner + size)]
            kind = int(rng.integers(0, 3))
            labels[image, number] = [*box, kind, float(crowds and rng.random() < 0.2)]
            for _ in range(int(rng.choice([0, 1, 2], p=[0.15, 0.7, 0.15]))):
                moved = np.array(box) + rng.normal(scale=0.03 / skill, size=4)
                wrong = rng.random() < 0.1 / skill
                rows.append([*moved, (kind + wrong) % 3, rng.beta(4, 2)])
        for _ in range(rng.poisson(1.0 / skill)):
            corner = rng.random(2) * 0.7
            rows.append([*corner, *(corner + 0.2), rng.integers(0, 3), rng.beta(2, 4)])
        if rows:
            rows = rows[:12]
            found[image, : len(rows)] = np.round(rows, 2)
    return found, labels


def theirs(found: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> float:
    """pycocotools' average precision over all classes that are labelled."""
    images = [{"id": number + 1} for number in range(len(labels))]
    boxes, detections = [], []
    for image, (mine, given) in enumerate(zip(found, labels, strict=True), 1):
        for top, left, bottom, right, kind, crowd in given[given[:, 4] >= 0].astype(float):
            box = [left, top, right - left, bottom - top]
            boxes.append({"id": len(boxes) + 1, "image_id": image, "category_id": int(kind) + 1, "bbox": box,
                          "area": box[2] * box[3], "iscrowd": int(crowd)})  # fmt: skip
        for top, left, bottom, right, kind, score in mine[mine[:, 4] >= 0].astype(float):
            box = [left, top, right - left, bottom - top]
            detections.append({"image_id": image, "category_id": int(kind) + 1, "bbox": box, "score": score})
    truth = COCO()
    truth.dataset = {"images": images, "annotations": boxes, "categories": [{"id": kind + 1} for kind in range(3)]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(detections), "bbox")
        judge.params.iouThrs = thresholds
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return float(precision[:, :, (precision > -1).any(axis=(0, 1))].mean())


@pytest.mark.parametrize("crowds", [False, True])
def test_average_precision_is_pycocotools(crowds):
    for seed in range(3):
        found, labels = scene(seed, 25, crowds=crowds)
        for metric in (MAP, AT_50):
            mine = metric.score(found, labels).value
            assert mine == pytest.approx(theirs(found, labels, np.array(metric.thresholds)), abs=1e-6)


def test_a_score_without_an_image_is_that_of_the_others():
    found, labels = scene(4, 12, crowds=True)
    _, without = MAP._left_out(found, labels)
    for image in range(12):
        rest = np.arange(12) != image
        assert without[image] == pytest.approx(MAP.score(found[rest], labels[rest]).value)


def test_the_interval_holds_the_true_score_as_often_as_it_says():
    truth = AT_50.score(*scene(0, 2000)).value
    scores = [AT_50.score(*scene(seed, 40)) for seed in range(1, 61)]
    held = sum(score.low <= truth <= score.high for score in scores)
    assert 52 <= held <= 60, held


def test_two_models_are_told_apart_by_their_images():
    found, labels = scene(7, 60)
    worse = found.copy()
    worse[:, :, :4] += np.where(np.arange(60) % 2, 0.06, 0)[:, None, None]
    result = MAP.paired(worse, found, labels)
    assert result.delta < -0.1 and result.p < 0.001 and result.high < 0 and MAP.loss_of(result.delta) > 0
    same = MAP.paired(found, found, labels)
    assert (same.delta, same.p) == (0.0, 1.0)


def test_two_models_alike_are_told_apart_as_rarely_as_p_says():
    ps = []
    for seed in range(40):
        found, labels = scene(seed, 25)
        rng = np.random.default_rng(seed + 1000)
        sides = [found.copy(), found.copy()]
        for side in sides:
            side[..., :4] += rng.normal(scale=0.02, size=side[..., :4].shape)
        ps.append(AT_50.paired(*sides, labels).p)
    assert sum(p <= 0.05 for p in ps) <= 6, sorted(ps)[:12]


def test_what_the_ops_four_outputs_answer_in_whatever_order_they_come():
    boxes = np.array([[[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.6, 0.6], [0.0, 0.0, 1.0, 1.0]]])
    classes, scores, count = np.array([[1.0, 0.0, 2.0]]), np.array([[0.9, 0.8, 0.7]]), np.array([2.0])
    expected = np.float32([[[0.1, 0.2, 0.3, 0.4, 1, 0.9], [0.5, 0.5, 0.6, 0.6, 0, 0.8], [0, 0, 0, 0, -1, 0]]])
    assert np.array_equal(MAP.answers_of([boxes, classes, scores, count]), expected)
    name = "TFLite_Detection_PostProcess"
    places = [Ends(units=1, squashed=False, made_by=name, made_at=number) for number in (2, 0, 3, 1)]
    other = MAP.fitted(Ends(units=1, squashed=False, together=tuple(places)))
    assert np.array_equal(other.answers_of([scores, boxes, count, classes]), expected)


def test_labels_get_a_sixth_number_and_rows_of_no_box_are_alike():
    checked = DetectionMap().checked(np.array([[[0, 0, 1, 1, 2], [5, 5, 1, 1, -1]]], np.float64), together())
    assert checked.tolist() == [[[0, 0, 1, 1, 2, 0], [0, 0, 0, 0, -1, 0]]]


def together(**settings) -> Ends:
    each = [
        Ends(units=1, squashed=False, made_by="TFLite_Detection_PostProcess", made_at=number) for number in range(4)
    ]
    return Ends(units=1, squashed=False, together=tuple(each), where="samples.npz", key="y", **settings)


BOX = [0.1, 0.1, 0.4, 0.4, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 3)), r"samples.npz: array 'y' is float64 of shape \[2, 3\].*\[2, M, 5\]: top, left, bottom, right, class"),
        (np.array([[[0.4, 0.1, 0.1, 0.4, 1]]]), "bottom before top or right before left, first in box 0 of image 0"),
        (np.array([[BOX], [[0.1, 0.1, 0.4, 0.4, 1.5]]]), "a class that is no whole number from 0 on, first in box 0 of image 1"),
        (np.array([[[0.1, np.nan, 0.4, 0.4, 1]]]), "NaN or infinite"),
        (np.array([[[10, 20, 90, 100, 1]], [BOX]]), "boxes in 0.1..100, and .* gives shares of the image"),
        (np.array([[[*BOX, 3]]]), "a sixth number that is neither 0 nor 1"),
        (np.array([[[0, 0, 0, 0, -1]]]), "no box in any image"),
    ],
)  # fmt: skip
def test_labels_that_are_no_boxes_are_named(labels, message):
    with pytest.raises(UserInputError, match=message):
        MAP.checked(labels, together())


def test_outputs_that_are_not_the_ops_are_refused():
    with pytest.raises(UserInputError, match="output is not made by TFLite_Detection_PostProcess.*SsdMap or YoloMap"):
        MAP.checked(np.array([[BOX]]), WHERE)


def test_crowds_alone_are_no_class():
    labels = np.array([[[0, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 0]]], np.float32)
    classes, _ = class_hits(np.zeros((1, 1, 6), np.float32), labels, np.array([0.5]))
    assert classes.tolist() == [1]
