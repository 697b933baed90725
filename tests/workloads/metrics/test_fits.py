"""Which metrics fit labels and an output, with the reason of each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.fits import fits, usual_metric
from harness.workloads.metrics.registry import metric_names

SCORES = Ends(units=4, places=1, squashed=True, squashed_by="softmax")
ONE_SHARE = Ends(units=1, places=1, squashed=True, squashed_by="sigmoid")
NUMBER = Ends(units=1, places=1, squashed=False)


@pytest.mark.parametrize(
    ("labels", "ends", "usual"),
    [
        (np.array([0, 1, 3]), SCORES, "top1"),
        (np.array([0, 1, 1]), ONE_SHARE, "binary"),
        (np.array([0.5, 1.25]), NUMBER, "mean_absolute_error"),
    ],
)
def test_the_usual_metric_comes_first_and_every_metric_has_a_reason(labels, ends, usual):
    found = fits(labels, ends)
    assert found[0].metric == usual == usual_metric(labels, ends) and found[0].fits
    assert {fit.metric for fit in found} >= set(metric_names())
    assert all(fit.reason for fit in found)
    assert [fit.fits for fit in found] == sorted((fit.fits for fit in found), reverse=True)


def test_what_does_not_fit_says_what_of_the_labels_or_of_the_output_it_cannot_take():
    reasons = {fit.metric: fit.reason for fit in fits(np.array([0, 1, 3]), SCORES)}
    assert reasons["mean_absolute_error"] == "array 'labels' has 1 numbers per sample, the model gives 4"
    assert "one number" in reasons["class_number"] or "no single class" in reasons["class_number"]


SIGMOIDS = Ends(units=3, places=1, squashed=True, squashed_by="sigmoid")
MAP = Ends(units=3, places=6, squashed=True, shape=(2, 3, 3))
CLASS_MAP = Ends(units=1, places=6, squashed=False, numbers=True, shape=(2, 3))
BACK = Ends(units=6, places=1, squashed=False, shape=(6,), input_shape=(6,))


@pytest.mark.parametrize(
    ("labels", "ends", "usual"),
    [
        (np.array([[1, 1, 0], [0, 0, 0]]), SIGMOIDS, "multilabel_f1_macro"),
        (np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32), SIGMOIDS, "multilabel_f1_macro"),
        (np.zeros((2, 2, 3), np.uint8), MAP, "mean_iou"),
        (np.zeros((2, 2, 3), np.uint8), replace(MAP, places=None, shape=(-1, -1, 3)), "mean_iou"),
        (np.zeros((2, 2, 3, 1), np.int64), CLASS_MAP, "class_map_iou"),
        (np.array([0, 1]), BACK, "autoencoder_auc"),
        (np.array([0, 5]), BACK, "top1"),
    ],
)
def test_shapes_that_say_for_themselves_what_is_asked(labels, ends, usual):
    assert usual_metric(labels, ends) == usual
    assert fits(labels, ends)[0].fits


def test_a_metric_of_another_kind_is_refused_with_those_that_fit(tmp_path):
    from harness.core.errors import UserInputError
    from harness.workloads.user_metric import metric_for

    with pytest.raises(UserInputError, match="'top1' does not fit.*fit: multilabel_f1_macro, ") as caught:
        metric_for(np.array([[1, 1, 0], [0, 0, 1]]), SIGMOIDS, "top1", tmp_path / "s.npz", "y")
    assert "top1" not in caught.value.hint
