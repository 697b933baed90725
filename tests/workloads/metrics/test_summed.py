"""Scores that are functions of sums: values of another library, intervals that hold, exchanges looked at in every way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as theirs

from harness.core.errors import UserInputError
from harness.workloads.metrics import exchange
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.metrics.permutation import RANDOM
from harness.workloads.metrics.registry import get_metric

RMSE, R2 = get_metric("rmse", unit="K"), get_metric("r2")
MACRO, MICRO = get_metric("multilabel_f1_macro"), get_metric("multilabel_f1_micro")
IOU, MAP_IOU = get_metric("mean_iou"), get_metric("class_map_iou")
TWO = Ends(units=2, places=1, squashed=False, where="samples.npz", key="y")
SIGMOIDS = Ends(units=3, places=1, squashed=True, squashed_by="sigmoid", where="samples.npz", key="y")
MAP = Ends(units=4, places=6, squashed=False, shape=(2, 3, 4), where="samples.npz", key="y")


def numbers(seed: int, count: int, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Answers and labels, [count, 2]."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=(count, 2)) * [1, 3] + [0, 50]
    return labels + noise * rng.normal(size=labels.shape), labels


def several(seed: int, count: int, right: float = 0.85) -> tuple[np.ndarray, np.ndarray]:
    """Yes and no to 4 labels, one of them rare."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 4)) < [0.5, 0.3, 0.2, 0.1]).astype(np.int8)
    return np.where(rng.random(labels.shape) < right, labels, 1 - labels).astype(np.int8), labels


def maps(seed: int, count: int, right: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Class maps of 30 pixels whose errors differ from image to image."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 4, (count, 6)), 5, axis=1).astype(np.int16)
    share = np.clip(right + 0.15 * rng.normal(size=(count, 1)), 0, 1)
    return np.where(rng.random(labels.shape) < share, labels, rng.integers(0, 4, labels.shape)).astype(np.int16), labels


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learns(seed):
    answers, labels = numbers(seed, 60)
    assert RMSE.score(answers, labels).value == pytest.approx(
        theirs.root_mean_squared_error(labels.ravel(), answers.ravel())
    )
    assert R2.score(answers, labels).value == pytest.approx(theirs.r2_score(labels, answers))
    answers, labels = several(seed, 60)
    for metric, average in ((MACRO, "macro"), (MICRO, "micro")):
        expected = theirs.f1_score(labels, answers, average=average)
        assert metric.score(answers, labels).value == pytest.approx(expected)
    answers, labels = maps(seed, 20)
    assert IOU.score(answers, labels).value == pytest.approx(
        theirs.jaccard_score(labels.ravel(), answers.ravel(), average="macro")
    )


def test_pixels_with_the_ignored_label_count_nowhere():
    answers, labels = maps(1, 20)
    given = labels.reshape(20, 5, 6).astype(np.int64)
    given[:, 0] = 255
    kept = given.reshape(20, -1) != 255
    checked = IOU.checked(given, Ends(units=4, places=30, squashed=False))
    assert np.array_equal(IOU.checked(checked, Ends(units=4, places=30, squashed=False)), checked)
    expected = theirs.jaccard_score(labels[kept], answers[kept], average="macro")
    assert IOU.score(answers, checked).value == pytest.approx(expected)
    assert get_metric("mean_iou(ignore=0)").checked(given, Ends(units=256, places=30, squashed=False)).min() == -1


def test_a_class_that_only_the_answers_name_counts_as_missed():
    labels, answers = np.array([[0, 0, 1, 1]], np.int16), np.array([[0, 0, 1, 3]], np.int16)
    assert IOU.score(answers, labels).value == pytest.approx((1 + 1 / 2 + 0) / 3)


CASES: list[tuple[Metric, Callable[..., Any], int, dict[str, float]]] = [
    (RMSE, numbers, 80, {}),
    (R2, numbers, 80, {"noise": 1.0}),
    (MACRO, several, 150, {}),
    (MICRO, several, 150, {}),
    (IOU, maps, 60, {}),
]


@pytest.mark.parametrize(("metric", "draw", "count", "settings"), CASES, ids=lambda value: getattr(value, "name", None))
def test_the_interval_holds_the_true_score_as_often_as_it_says(metric, draw, count, settings):
    truth = metric.score(*draw(0, 20_000, **settings)).value
    scores = [metric.score(*draw(seed, count, **settings)) for seed in range(1, 201)]
    held = sum(score.low <= truth <= score.high for score in scores)
    assert 180 <= held <= 199, held
    assert all(score.low < score.value < score.high for score in scores)


@pytest.mark.parametrize(("metric", "draw", "count", "settings"), CASES, ids=lambda value: getattr(value, "name", None))
def test_two_models_alike_are_told_apart_as_rarely_as_p_says(metric, draw, count, settings):
    ps = []
    for seed in range(60):
        answers, labels = draw(seed, 40, **settings)
        rng = np.random.default_rng(seed + 500)
        mine, baseline = jitter(metric, answers, labels, rng), jitter(metric, answers, labels, rng)
        ps.append(metric.paired(mine, baseline, labels).p)
    assert sum(p <= 0.05 for p in ps) <= 8


def jitter(metric: Metric, answers: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Answers moved at random, in one way for both models of a pair."""
    if answers.dtype.kind == "f":
        return answers + 0.3 * rng.normal(size=answers.shape)
    wrong = rng.random(answers.shape) < 0.1
    return np.where(wrong, (labels + 1) % (int(labels.max()) + 1), answers).astype(answers.dtype)


@pytest.mark.parametrize(("metric", "draw", "count", "settings"), CASES, ids=lambda value: getattr(value, "name", None))
def test_an_exchange_of_few_samples_is_looked_at_in_every_way(metric, draw, count, settings):
    answers, labels = draw(3, 9, **settings)
    baseline, moved = answers.copy(), [1, 4, 6, 7]
    baseline[moved] = jitter(metric, answers, labels, np.random.default_rng(9))[moved]
    differing = [row for row in moved if (answers[row] != baseline[row]).any()]
    deltas = []
    for swaps in itertools.product((False, True), repeat=len(differing)):
        mine, other = answers.copy(), baseline.copy()
        for row, swap in zip(differing, swaps, strict=True):
            if swap:
                mine[row], other[row] = baseline[row], answers[row]
        deltas.append(metric.score(mine, labels).value - metric.score(other, labels).value)
    found = metric.paired(answers, baseline, labels)
    assert found.test == "exact paired permutation" and found.delta == pytest.approx(deltas[0])
    assert found.p == pytest.approx(np.mean(np.abs(deltas) >= abs(deltas[0]) - 1e-9))
    assert found.low < found.delta < found.high


def test_many_samples_are_exchanged_at_random_and_the_same_each_time():
    answers, labels = numbers(5, 3000)
    worse = answers + 0.1 * np.sign(answers - labels)
    found = RMSE.paired(worse, answers, labels)
    assert found.delta > 0 and found.p == 1 / (RANDOM + 1) and found == RMSE.paired(worse, answers, labels)
    assert RMSE.loss_of(found.delta) > 0
    same = RMSE.paired(answers, answers, labels)
    assert (same.delta, same.p, same.low) == (0.0, 1.0, None)


def test_random_exchanges_of_many_samples_give_the_p_of_the_ones_that_are_made_one_by_one(monkeypatch):
    answers, labels = numbers(6, 1200)
    other = answers + np.random.default_rng(1).normal(size=answers.shape) * 0.06
    together = RMSE.paired(other, answers, labels).p
    monkeypatch.setattr(exchange, "_FEW", 5000)
    assert RMSE.paired(other, answers, labels).p == pytest.approx(together, abs=0.02)


def test_p_of_the_mean_square_error_is_scipys():
    rng = np.random.default_rng(8)
    labels, cell, baseline = (rng.normal(size=(9, 1)) for _ in range(3))
    difference = ((cell - labels) ** 2 - (baseline - labels) ** 2)[:, 0]
    test = stats.permutation_test(
        (difference, np.zeros(9)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    # The root orders exchanges as the mean does only where both sums are one; it is near enough to tell a wrong table.
    assert RMSE.paired(cell, baseline, labels).p == pytest.approx(test.pvalue, abs=0.05)


@pytest.mark.parametrize(
    ("metric", "labels", "ends", "message"),
    [
        (RMSE, np.zeros((3, 4)), TWO, r"samples.npz: array 'y' has 4 numbers per sample, the model gives 2"),
        (R2, np.ones((3, 2)), TWO, "number 0 of array 'y' is the same for all 3 samples.*rmse"),
        (MACRO, np.array([0, 1, 2]), SIGMOIDS, r"int64 of shape \[3\], expected 0 and 1 of shape \[3, K\]"),
        (MACRO, np.array([[0, 1, 2]]), SIGMOIDS, "holds 2, expected 0 and 1"),
        (MACRO, np.array([[0, 1]]), SIGMOIDS, "has 2 labels per sample, the model gives 3"),
        (
            MACRO,
            np.array([[0, 1, 1]]),
            Ends(units=3, places=1, squashed=True, squashed_by="softmax"),
            "a softmax makes them shares of one answer",
        ),
        (MACRO, np.array([[0, 1, 1]]), Ends(units=3, places=1, squashed=False), "end in no sigmoid"),
        (
            MACRO,
            np.array([[0, 1, 1]]),
            Ends(units=1, places=1, squashed=True),
            "one sigmoid output is judged by binary",
        ),
        (IOU, np.zeros((2, 4, 4), int), MAP, "has 4x4 pixels per sample, the model answers at 6.*nearest"),
        (IOU, np.full((2, 2, 3), 4), MAP, r"holds the label 4, expected 0..3, or 255.*ignore=NUMBER"),
        (IOU, np.full((2, 2, 3), 255), MAP, "every pixel of array 'y' is 255"),
        (IOU, np.zeros((2, 2, 3)) + 0.5, MAP, r"float64 of shape \[2, 2, 3\], expected whole class numbers"),
        (IOU, np.array([0, 1]), Ends(units=4, places=1, squashed=True), "answers once per sample, and gives no map"),
        (IOU, np.zeros((2, 2, 3), int), Ends(units=1, places=6, squashed=False, numbers=True), "class_map_iou"),
        (MAP_IOU, np.zeros((2, 2, 3), int), MAP, "gives no class numbers"),
        (get_metric("top1"), np.array([[0, 1, 1]]), SIGMOIDS, "several labels per sample.*multilabel_f1_macro"),
    ],
)
def test_labels_and_outputs_that_a_metric_does_not_take_are_named(metric, labels, ends, message):
    with pytest.raises(UserInputError, match=message):
        metric.checked(labels, ends)


def test_a_score_is_told_from_what_needs_no_model():
    answers, labels = numbers(2, 80)
    assert RMSE.beats_guessing(answers, labels) and R2.beats_guessing(answers, labels)
    mean = np.broadcast_to(labels.mean(axis=0), labels.shape)
    assert not RMSE.beats_guessing(mean, labels) and not R2.beats_guessing(mean, labels)
    answers, labels = several(2, 80)
    assert MACRO.beats_guessing(answers, labels) and not MACRO.beats_guessing(np.ones_like(labels), labels)
    answers, labels = maps(2, 30)
    assert IOU.beats_guessing(answers, labels) and not IOU.beats_guessing(np.zeros_like(labels), labels)


def test_what_outputs_answer():
    assert MACRO.answers(np.array([[0.5, 0.49, np.nan]])).tolist() == [[1, 0, 0]]
    scores = np.zeros((1, 2, 2, 3))
    scores[0, 0, 0, 2] = scores[0, 1, 1, 1] = 1
    scores[0, 0, 1, 0] = np.nan
    assert IOU.answers(scores).tolist() == [[2, -1, 0, 1]]
    assert MAP_IOU.answers(np.array([[[0, 3], [0.5, np.inf]]])).tolist() == [[0, 3, -1, -1]]
