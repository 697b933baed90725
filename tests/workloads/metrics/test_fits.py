"""Which metrics fit labels and an output, with the reason of each."""

from __future__ import annotations

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
