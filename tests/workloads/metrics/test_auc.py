"""AUC of scores and of an autoencoder's error: scikit-learn's value, an interval that holds, DeLong's test."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from harness.core.errors import UserInputError
from harness.workloads.metrics.auc import Placements
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.registry import get_metric

AUC, AD = get_metric("auc"), get_metric("autoencoder_auc")
ONE = Ends(units=1, places=1, squashed=True, where="samples.npz", key="y")
BACK = Ends(units=6, places=1, squashed=False, shape=(6,), input_shape=(6,), where="samples.npz", key="y")


def scores(seed: int, count: int, apart: float = 1.2, steps: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels; with `steps` scores have ties, as those of an int8 output."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.3).astype(np.int64)
    values = rng.normal(size=count) + apart * labels
    return (np.round(values / steps) * steps if steps else values), labels


@pytest.mark.parametrize("steps", [None, 0.25])
def test_the_score_is_scikit_learns_also_with_ties(steps):
    for seed in range(3):
        answers, labels = scores(seed, 80, steps=steps)
        assert AUC.score(answers, labels).value == pytest.approx(roc_auc_score(labels, answers))


def test_delongs_variance_is_that_of_the_pairs_one_by_one():
    answers, labels = scores(4, 60, steps=0.5)
    ones, zeros = answers[labels == 1], answers[labels == 0]
    pairs = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    places = Placements.of(answers, labels == 1)
    assert places.ones == pytest.approx(pairs.mean(axis=1)) and places.zeros == pytest.approx(pairs.mean(axis=0))


def test_the_interval_holds_the_true_score_as_often_as_it_says():
    truth = stats.norm.cdf(1.2 / 2**0.5)
    found = [AUC.score(*scores(seed, 120)) for seed in range(200)]
    held = sum(score.low <= truth <= score.high for score in found)
    assert 181 <= held <= 199, held


def test_perfect_scores_have_a_width():
    score = AUC.score(np.arange(12.0), (np.arange(12) > 7).astype(int))
    assert (score.value, score.high) == (1.0, 1.0) and 0.4 < score.low < 0.7


def test_p_of_two_models_alike_is_uniform_and_a_clear_loss_is_found():
    ps = []
    for seed in range(200):
        answers, labels = scores(seed, 120)
        rng = np.random.default_rng(seed + 1000)
        ps.append(AUC.paired(*(answers + 0.5 * rng.normal(size=(2, 120))), labels).p)
    assert stats.kstest(ps, "uniform").pvalue > 0.01 and 2 <= sum(p <= 0.05 for p in ps) <= 20
    answers, labels = scores(1, 400)
    found = AUC.paired(answers + 2 * np.random.default_rng(1).normal(size=400), answers, labels)
    assert found.delta < 0 and found.p < 1e-4 and found.high < 0 and found.test == "DeLong"
    assert found.delta == pytest.approx(roc_auc_score(labels, answers + 2 * np.random.default_rng(1).normal(size=400))
                                        - roc_auc_score(labels, answers))  # fmt: skip


def test_where_delongs_variance_says_nothing_every_exchange_is_looked_at():
    labels = np.array([0, 0, 1, 1])
    right, turned = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 1.0])
    found = AUC.paired(right, turned, labels)
    deltas = []
    for swaps in itertools.product((False, True), repeat=4):
        sides = np.array([np.where(swaps, turned, right), np.where(swaps, right, turned)])
        deltas.append(roc_auc_score(labels, sides[0]) - roc_auc_score(labels, sides[1]))
    assert (found.delta, found.test) == (1.0, "exact paired permutation")
    assert found.p == np.mean(np.abs(deltas) >= 1 - 1e-9)
    same = AUC.paired(right, right * 2, labels)
    assert (same.delta, same.p) == (0.0, 1.0)


def test_two_outputs_are_ordered_by_the_second_ones_lead():
    logits = np.array([[0.0, 1.0], [2.0, 1.5]])
    assert AUC.answers(logits).tolist() == [1.0, -0.5] and AUC.answers(logits[:, :1]).tolist() == [0.0, 2.0]


def windows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs [N, 2, 3], what an autoencoder gives back, and which samples are anomalies."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, 2, 3)).astype(np.float32)
    anomaly = (rng.random(count) < 0.4).astype(np.int64)
    given = inputs + (0.2 + 0.3 * anomaly)[:, None, None] * rng.normal(size=inputs.shape)
    return inputs, given, anomaly


def test_an_autoencoder_is_judged_by_its_error_against_its_input():
    inputs, given, anomaly = windows(1, 90)
    labels = AD.with_inputs(AD.checked(anomaly, BACK), inputs)
    answers = AD.answers(given)
    errors = ((given - inputs) ** 2).reshape(90, -1).mean(axis=1)
    assert AD.score(answers, labels).value == pytest.approx(roc_auc_score(anomaly, errors))
    worse = AD.answers(given + np.random.default_rng(3).normal(size=given.shape))
    found = AD.paired(worse, answers, labels)
    assert found.delta < 0 and found.p < 0.01 and found.test == "DeLong"
    assert AD.strata(labels).tolist() == anomaly.tolist() and AD.targets(labels) == pytest.approx(
        inputs.reshape(90, -1)
    )
    assert AD.beats_guessing(answers, labels) and not AD.beats_guessing(np.zeros_like(answers), labels)


@pytest.mark.parametrize(
    ("metric", "labels", "ends", "message"),
    [
        (AUC, np.array([0, 1, 2]), ONE, "samples.npz: array 'y' holds the label 2, expected 0..1"),
        (AUC, np.array([1, 1]), ONE, "every label of array 'y' is 1, and AUC compares"),
        (AUC, np.array([0, 1]), Ends(units=10, places=1, squashed=True), "gives 10 values.*top1 or f1"),
        (AD, np.array([0, 1]), Ends(units=10, places=1, squashed=False, input_shape=(6,)), "gives 10 values for an input of 6"),
        (AD, np.array([0, 2]), BACK, "holds the label 2, expected 0..1"),
        (AD, np.array([0, 0]), BACK, "every label of array 'y' is 0"),
    ],
)  # fmt: skip
def test_labels_and_outputs_that_it_does_not_take_are_named(metric, labels, ends, message):
    with pytest.raises(UserInputError, match=message):
        metric.checked(labels, ends)


def test_a_part_of_one_class_has_no_score():
    with pytest.raises(UserInputError, match="all 2 samples are of one class.*--samples"):
        AUC.score(np.array([0.1, 0.2]), np.array([1, 1]))
