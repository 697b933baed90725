"""Top-k accuracy: scikit-learn's value, judged as an accuracy is, and never written as one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.registry import described, get_metric, restored

TEN = Ends(units=10, places=1, squashed=True, where="samples.npz", key="y")


def outputs(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    return rng.normal(size=(count, 10)) + 1.2 * np.eye(10)[labels], labels


@pytest.mark.parametrize("k", [2, 3, 5])
def test_the_score_is_scikit_learns_and_k_stands_in_its_name(k):
    metric = get_metric(f"top-{k}")
    values, labels = outputs(k, 300)
    score = metric.score(metric.answers(values), labels)
    assert score.value == pytest.approx(top_k_accuracy_score(labels, values, k=k, labels=np.arange(10)))
    assert score.low < score.value < score.high
    assert (metric.name, metric.title, metric.accuracy) == (f"top-{k}", f"top-{k} accuracy", False)
    assert metric is get_metric(f"top-{k}") and restored(described(metric), "any") == metric


def test_top_1_is_the_accuracy_and_other_k_are_other_metrics():
    assert get_metric("top-1") == get_metric("top1") and get_metric("top-3") != get_metric("top-5")
    for name in ("top-0", "top-x", "top5", "top-"):
        with pytest.raises(UserInputError, match="unknown metric"):
            get_metric(name)


def test_two_models_are_compared_by_the_samples_that_one_of_them_meets():
    metric = get_metric("top-2")
    labels = np.zeros(10, int)
    met, missed = np.array([1, 0]), np.array([1, 2])
    cell = np.array([met] * 8 + [missed] * 2)
    baseline = np.array([met] * 5 + [missed] * 3 + [met] * 2)
    found = metric.paired(cell, baseline, labels)
    assert (found.only_cell_right, found.only_baseline_right, found.test) == (3, 2, "exact McNemar")
    assert found.delta == pytest.approx(0.1) and found.p == pytest.approx(1.0)


def test_of_equal_outputs_the_first_is_the_larger_and_a_nan_answers_nothing():
    metric = get_metric("top-2")
    assert metric.answers(np.array([[1.0, 3.0, 3.0, 3.0], [np.nan, 1, 2, 3]])).tolist() == [[1, 2], [-1, -1]]
    assert metric.agreement(np.array([[1.0, 3.0, 2.0]]), np.array([[1.0, 2.0, 3.0]])) == 0.0


def test_a_k_that_no_sample_can_miss_is_refused():
    with pytest.raises(UserInputError, match="has 10 classes, so that all of them are among the 10 largest"):
        get_metric("top-10").checked(np.array([0, 1]), TEN)


def test_it_is_told_from_naming_the_most_frequent_classes():
    metric = get_metric("top-2")
    values, labels = outputs(1, 200)
    assert metric.beats_guessing(metric.answers(values), labels)
    assert not metric.beats_guessing(np.tile([0, 1], (200, 1)), labels)
