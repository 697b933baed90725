"""Top-1, binary and F1: answers, scores with their intervals, paired comparisons, and labels that they do not take."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import f1_score

from harness.core.errors import UserInputError
from harness.workloads.metrics import f1
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.permutation import RANDOM
from harness.workloads.metrics.registry import get_metric

TOP1, BINARY, F1, F1_POSITIVE = (get_metric(name) for name in ("top1", "binary", "f1", "f1_positive"))
TEN = Ends(units=10, squashed=True, where="samples.npz", key="y_test")
ONE = Ends(units=1, squashed=True, where="samples.npz", key="y_test")


def test_top1_answers_are_the_largest_output_and_the_first_of_equals():
    assert TOP1.answers(np.array([[1.0, 5.0, 5.0], [-3.0, -2.0, -9.0]])).tolist() == [1, 1]


def test_an_output_that_is_nan_is_never_right():
    assert TOP1.answers(np.array([[np.nan, 0.0], [1.0, 0.0]])).tolist() == [-1, 0]


def test_binary_answers_compare_the_probability_with_one_half():
    assert BINARY.answers(np.array([[0.49], [0.5]])).tolist() == [0, 1]
    assert F1_POSITIVE.answers(np.array([[0.49], [0.5]])).tolist() == [0, 1]


def test_wilson_interval_matches_the_published_example():
    # Newcombe 1998, table I: 81 of 263 -> 0.2553 to 0.3662 without continuity correction
    score = TOP1.score(np.where(np.arange(263) < 81, 1, 0), np.ones(263, np.int64))
    assert score.value == pytest.approx(81 / 263)
    assert (score.low, score.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_the_interval_of_a_perfect_score_still_has_a_lower_bound():
    right = np.arange(100) % 2
    for metric in (TOP1, BINARY, F1, F1_POSITIVE):
        score = metric.score(right, right)
        assert score.value == score.high == 1.0
        assert 0.96 < score.low < 0.97, metric.name


@pytest.mark.parametrize("metric", [TOP1, BINARY, F1, F1_POSITIVE])
def test_no_samples_is_an_error_not_a_number(metric):
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(UserInputError, match="at least one"):
        metric.score(nothing, nothing)


def test_mcnemar_counts_only_discordant_samples():
    labels = np.ones(100, np.int64)
    cell = np.array([1] * 90 + [0] * 8 + [1] * 2)
    float_ = np.array([1] * 90 + [1] * 8 + [0] * 2)
    result = TOP1.paired(cell, float_, labels)
    assert (result.only_baseline_right, result.only_cell_right) == (8, 2)
    assert result.delta == pytest.approx(-0.06)
    # exact two-sided binomial of 2 in 10
    assert (result.p, result.test) == (pytest.approx(0.109375), "exact McNemar")


@pytest.mark.parametrize("metric", [TOP1, BINARY, F1, F1_POSITIVE])
def test_identical_answers_have_no_difference(metric):
    answers, labels = np.array([1, 0, 1]), np.array([1, 1, 1])
    result = metric.paired(answers, answers, labels)
    assert (result.delta, result.p) == (0.0, 1.0)


def _answers(seed: int, classes: int, count: int, right: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return np.where(rng.random(count) < right, labels, rng.integers(0, classes, count)), labels


@pytest.mark.parametrize("seed", range(4))
def test_f1_is_scikit_learns(seed):
    answers, labels = _answers(seed, 7, 200, 0.7)
    assert F1.score(answers, labels).value == pytest.approx(f1_score(labels, answers, average="macro"))
    answers, labels = _answers(seed, 2, 200, 0.7)
    assert F1_POSITIVE.score(answers, labels).value == pytest.approx(f1_score(labels, answers))


def test_the_interval_of_f1_holds_the_true_score_as_often_as_it_says():
    for metric, classes in ((F1, 5), (F1_POSITIVE, 2)):
        truth = metric.score(*_answers(0, classes, 400_000, 0.85)).value
        scores = [metric.score(*_answers(seed, classes, 200, 0.85)) for seed in range(1, 201)]
        held = sum(score.low <= truth <= score.high for score in scores)
        assert 181 <= held <= 199, (metric.name, held)
        assert all(score.low < score.value < score.high for score in scores)


def test_the_exchange_of_few_answers_is_looked_at_in_every_way():
    labels = np.array([0, 0, 1, 1, 2, 2, 2, 0])
    cell, baseline = np.array([0, 1, 1, 1, 2, 2, 1, 0]), np.array([0, 0, 1, 2, 2, 0, 2, 0])
    result = F1.paired(cell, baseline, labels)
    differing = np.flatnonzero(cell != baseline)
    deltas = []
    for choice in range(1 << len(differing)):
        a, b = cell.copy(), baseline.copy()
        for bit, sample in enumerate(differing):
            if choice >> bit & 1:
                a[sample], b[sample] = b[sample], a[sample]
        deltas.append(f1_score(labels, a, average="macro") - f1_score(labels, b, average="macro"))
    assert result.delta == pytest.approx(deltas[0])
    assert result.p == pytest.approx(np.mean(np.abs(deltas) >= abs(deltas[0]) - 1e-12))
    assert result.test == "exact paired permutation"


def test_a_clear_loss_of_f1_has_a_small_p_and_noise_has_not():
    answers, labels = _answers(1, 4, 600, 0.9)
    worse = np.where(np.arange(600) % 10 == 0, 0, answers)
    assert F1.paired(worse, answers, labels).p < 0.01
    swapped = answers.copy()
    wrong, right = np.flatnonzero(answers != labels)[:15], np.flatnonzero(answers == labels)[:15]
    swapped[wrong], swapped[right] = labels[wrong], (labels[right] + 1) % 4
    noise = F1.paired(swapped, answers, labels)
    assert noise.p > 0.2 and "seeded" in noise.test
    assert noise == F1.paired(swapped, answers, labels)


@pytest.mark.parametrize("classes", [5, 90])
def test_exchanged_answers_are_counted_as_if_they_were_judged_anew(classes):
    answers, labels = _answers(2, classes, 400, 0.7)
    baseline = np.where(np.arange(400) % 3 == 0, _answers(3, classes, 400, 0.7)[0], answers)
    kinds, counts = f1._kinds(labels, answers, baseline)
    differ = kinds[:, 1] != kinds[:, 2]
    exchanged = np.random.default_rng(4).integers(0, counts[differ] + 1, size=(3, int(differ.sum())))
    expected = []
    for row in exchanged:
        mine, theirs = answers.copy(), baseline.copy()
        for kind, count in zip(kinds[differ], row, strict=True):
            chosen = np.flatnonzero((labels == kind[0]) & (answers == kind[1]) & (baseline == kind[2]))[:count]
            mine[chosen], theirs[chosen] = baseline[chosen], answers[chosen]
        expected.append(F1.score(mine, labels).value - F1.score(theirs, labels).value)
    assert F1._exchanger(kinds, counts, differ)(exchanged.T.astype(np.float32)) == pytest.approx(expected, abs=1e-12)


def test_of_each_kind_every_sample_is_exchanged_half_of_the_time():
    counts = np.array([1, 7, 8, 9, 300, 1, 2050])
    drawn = np.concatenate(list(f1._random_exchanges(counts)), axis=1).T
    assert drawn.shape == (RANDOM, len(counts)) and (drawn >= 0).all() and (drawn <= counts).all()
    assert drawn.mean(axis=0) == pytest.approx(counts / 2, abs=4 * (2050 / 4 / RANDOM) ** 0.5)
    assert drawn.var(axis=0) == pytest.approx(counts / 4, rel=0.08)


@pytest.mark.parametrize(
    ("seed", "classes", "count", "share", "expected"),
    [
        (2, 100, 500, 0.02, (0.009129655693429717, 0.129, -0.0030178798615157483, 0.024467781083206196)),
        (3, 2, 4000, 0.4, (0.10964322170114754, 0.0001, 0.1010005889599949, 0.11748110363709899)),
    ],
)
def test_the_figures_of_stored_runs_come_out_again(seed, classes, count, share, expected):
    """Random numbers are drawn in one order for ever: a run that is judged again must not change by itself."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    answers = np.where(rng.random(count) < 0.7, labels, rng.integers(0, classes + 1, count))
    baseline = np.where(rng.random(count) < share, rng.integers(-1, classes, count), answers)
    found = F1.paired(answers, baseline, labels)
    assert (found.delta, found.p, found.low, found.high) == pytest.approx(expected, abs=1e-12)
    alone = F1.tested(answers, baseline, labels)
    assert (alone.delta, alone.p, alone.low, alone.high) == (found.delta, found.p, None, None)


@pytest.mark.parametrize(
    ("metric", "labels", "ends", "message"),
    [
        (TOP1, np.array([0, 10]), TEN, r"samples.npz: array 'y_test' holds the label 10, expected 0..9"),
        (TOP1, np.array([0, -1]), TEN, "holds the label -1"),
        (TOP1, np.array([0.5, 1.0]), TEN, "dtype float64, expected integer class numbers"),
        (TOP1, np.eye(10), TEN, r"shape \[10, 10\].*argmax"),
        (TOP1, np.array(["a", "b"]), TEN, "expected integer class numbers"),
        (F1, np.array([0, 10]), TEN, "expected 0..9"),
        (BINARY, np.array([0, 2]), ONE, "holds the label 2, expected 0..1"),
        (BINARY, np.array([0, 1]), Ends(units=1, squashed=False), "without a sigmoid.*as floats"),
        (F1_POSITIVE, np.array([0, 1]), Ends(units=1, squashed=False), "without a sigmoid"),
    ],
)
def test_labels_that_a_metric_does_not_take_are_named(metric, labels, ends, message):
    with pytest.raises(UserInputError, match=message):
        metric.checked(labels, ends)


def test_labels_come_out_as_class_numbers():
    for labels in (np.array([[1], [3]], np.uint8), np.array([1.0, 3.0], np.float32)):
        checked = TOP1.checked(labels, TEN)
        assert (checked.dtype, checked.tolist()) == (np.int64, [1, 3])
    assert BINARY.targets(np.array([0, 1])).tolist() == [[0.0], [1.0]]


def test_agreement_is_of_answers_and_needs_more_than_one_class():
    a, b = np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([[0.4, 0.6], [0.2, 0.8]])
    assert TOP1.agreement(a, b) == 0.5 == F1.agreement(a, b)
    assert TOP1.agreement(a[:, :1], b[:, :1]) is None
    assert BINARY.agreement(np.array([[0.1], [0.9]]), np.array([[0.2], [0.3]])) == 0.5


@pytest.mark.parametrize(
    "metric, labels, ends, words",
    [
        # The largest of one output is class 0, which labels of 0 alone would make an accuracy of 1.
        ("top1", [0, 0, 0], Ends(units=1, squashed=True), "the largest of one is always the same"),
        ("f1", [0, 0, 0], Ends(units=1, squashed=False), "the largest of one is always the same"),
        ("binary", [0, 1, 1], Ends(units=3, squashed=True), "3 values per sample, and not the probability"),
        ("f1_positive", [0, 1, 1], Ends(units=3, squashed=True), "3 values per sample, and not the probability"),
        ("class_number", [0, 1, 1], Ends(units=1, squashed=True), "a probability, and not the class itself"),
        (
            "class_number",
            np.array([1, 2**63], np.uint64),
            Ends(units=1, squashed=False),
            "holds 9.22337e\\+18 for sample 1",
        ),
        ("top1", [0.0, 1e300], Ends(units=3, squashed=True), "holds 1e\\+300 for sample 1, which numbers no class"),
    ],
)
def test_a_score_of_another_kind_is_refused(metric, labels, ends, words):
    with pytest.raises(UserInputError, match=words):
        get_metric(metric).checked(np.array(labels), ends)


def test_two_outputs_may_be_the_two_classes_of_a_binary_task():
    assert BINARY.checked(np.array([0, 1]), Ends(units=2, squashed=True)).tolist() == [0, 1]


MAP = Ends(units=3, places=24, squashed=True, shape=(4, 6, 3), key="y_test")


@pytest.mark.parametrize(
    "shape, words",
    [
        ((6, 4), "maps of 6x4, and the model gives 4x6: rows and columns are exchanged"),
        ((8, 3), "maps of 8x3, and the model gives 4x6$"),
        ((4, 6), None),
        ((4, 6, 1), None),
        ((24,), None),
    ],
)
def test_maps_of_classes_that_lie_otherwise_are_refused(shape, words):
    labels = np.random.default_rng(0).integers(0, 3, (5, *shape))
    if words is None:
        assert get_metric("mean_iou").checked(labels, MAP).shape == (5, 24)
        return
    with pytest.raises(UserInputError) as caught:
        get_metric("mean_iou").checked(labels, MAP)
    assert re.search(words, caught.value.what)
