"""Decoders of raw heads: anchors and cells become the boxes that formulas worked out by hand give; overlapping ones go."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.detection_heads import SsdMap, YoloMap
from harness.workloads.metrics.registry import described, get_metric, restored

SSD = SsdMap(feature_maps=((2, 2), (1, 1)))


def test_anchors_are_those_of_the_object_detection_api():
    """`ssd_anchor_generator` with its usual settings: 3 at each place of the first map, 6 of the others."""
    anchors = SSD.anchors()
    assert anchors.shape == (2 * 2 * 3 + 6, 4)
    assert anchors[:3] == pytest.approx(
        np.array([[0.25, 0.25, 0.1, 0.1], [0.25, 0.25, 0.2 / 2**0.5, 0.2 * 2**0.5], [0.25, 0.25, 0.2 * 2**0.5, 0.2 / 2**0.5]])
    )  # fmt: skip
    assert anchors[3, :2].tolist() == [0.25, 0.75] and anchors[6, :2].tolist() == [0.75, 0.25]
    assert anchors[12] == pytest.approx([0.5, 0.5, 0.95, 0.95])
    assert anchors[17] == pytest.approx([0.5, 0.5, (0.95 * 1.0) ** 0.5, (0.95 * 1.0) ** 0.5])


def test_an_anchor_is_moved_by_its_four_values():
    moved, scores = np.zeros((1, 18, 4)), np.full((1, 18, 3), -9.0)
    moved[0, 12] = [1.0, -2.0, 5 * np.log(0.5), 5 * np.log(0.2)]
    scores[0, 12, 2] = 2.0
    found = SSD.answers_of([moved, scores])
    y, x, height, width = 0.5 + 0.1 * 0.95, 0.5 - 0.2 * 0.95, 0.95 * 0.5, 0.95 * 0.2
    expected = [y - height / 2, x - width / 2, y + height / 2, x + width / 2, 1, 1 / (1 + np.exp(-2.0))]
    assert found.shape == (1, 100, 6)
    assert found[0, 0] == pytest.approx(expected, abs=1e-6) and (found[0, 1:, 4] == -1).all()


def test_of_two_boxes_of_a_class_that_overlap_the_less_sure_one_goes():
    moved, scores = np.zeros((1, 18, 4)), np.full((1, 18, 3), -9.0)
    scores[0, 12, 1], scores[0, 17, 1], scores[0, 17, 2] = 3.0, 2.0, 1.0
    found = SSD.answers_of([moved, scores])[0]
    assert found[found[:, 4] >= 0][:, 4].tolist() == [0, 1]
    assert len(SsdMap(feature_maps=((2, 2), (1, 1)), iou_threshold=0.99).answers_of([moved, scores])[0]) == 100


@pytest.mark.parametrize("coder", ["v3", "v5"])
def test_a_cell_of_a_grid_is_a_box(coder):
    metric = YoloMap(grids=((2, 4),), anchors=(((0.2, 0.3), (0.5, 0.4)),), coder=coder)
    values = np.full((1, 2, 4, 2, 7), -9.0)
    values[0, 1, 2, 1] = [0.4, -0.4, 0.3, -0.2, 4.0, -9.0, 3.0]
    found = metric.answers_of([values.reshape(1, 2, 4, 14)])[0]

    def share(value: float) -> float:
        return 1 / (1 + np.exp(-value))

    if coder == "v3":
        x, y = (share(0.4) + 2) / 4, (share(-0.4) + 1) / 2
        width, height = 0.5 * np.exp(0.3), 0.4 * np.exp(-0.2)
    else:
        x, y = (2 * share(0.4) - 0.5 + 2) / 4, (2 * share(-0.4) - 0.5 + 1) / 2
        width, height = 0.5 * (2 * share(0.3)) ** 2, 0.4 * (2 * share(-0.2)) ** 2
    expected = [y - height / 2, x - width / 2, y + height / 2, x + width / 2, 1, share(4.0) * share(3.0)]
    assert found[0] == pytest.approx(expected, abs=1e-5) and (found[1:, 4] == -1).all()


def test_boxes_that_the_model_decoded_are_taken_as_they_are_in_either_layout():
    metric = YoloMap(coder="decoded")
    values = np.zeros((1, 6, 8))
    values[0, :, 3] = [0.5, 0.4, 0.2, 0.1, 0.9, 0.0]
    for given in (values, values.transpose(0, 2, 1)):
        assert metric.answers_of([given])[0, 0] == pytest.approx([0.35, 0.4, 0.45, 0.6, 0, 0.9])


def test_settings_come_back_from_a_record():
    assert restored(described(SSD), "any") == SSD
    metric = YoloMap(grids=((2, 4),), anchors=(((0.2, 0.3),),))
    again = described(metric)
    again["settings"]["anchors"] = [[[0.2, 0.3]]]
    again["settings"]["grids"] = [[2, 4]]
    assert restored(again, "any") == metric


BOXES = np.array([[[0.1, 0.1, 0.4, 0.4, 1]]])


@pytest.mark.parametrize(
    ("metric", "shapes", "message"),
    [
        (SSD, [(17, 4), (17, 3)], r"outputs of \[17, 4\], \[17, 3\] are not boxes \[18, 4\] and scores \[18, C\] of 18 anchors"),
        (SSD, [(18, 4)], "are not boxes"),
        (get_metric("ssd_map"), [(18, 4), (18, 3)], "needs `feature_maps`.*workload of your own"),
        (get_metric("yolo_map"), [(2, 4, 14)], "needs `grids` and as many `anchors`"),
        (YoloMap(grids=((3, 4),), anchors=(((0.2, 0.3),),)), [(2, 4, 7)], "are not values of grids"),
    ],
)  # fmt: skip
def test_outputs_that_the_settings_do_not_fit_are_refused(metric, shapes, message):
    each = tuple(Ends(units=shape[-1], squashed=False, shape=shape) for shape in shapes)
    with pytest.raises(UserInputError, match=message):
        metric.checked(BOXES, Ends(units=4, squashed=False, together=each))
    SSD.checked(BOXES, Ends(units=4, squashed=False, together=tuple(
        Ends(units=shape[-1], squashed=False, shape=shape) for shape in ((18, 4), (18, 3)))))  # fmt: skip
