"""Mean absolute error: less is better, and a difference is tested sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.core.errors import UserInputError
from harness.workloads.metrics import permutation
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.permutation import RANDOM, exchange_p, sign_flip_p, signed_sums
from harness.workloads.metrics.registry import get_metric

MAE = get_metric("mean_absolute_error", unit="K")
ONE = Ends(units=1, squashed=False, where="samples.npz", key="y")


def test_the_score_is_the_mean_distance_with_students_interval():
    labels = np.zeros((5, 1), np.float32)
    answers = np.array([[1.0], [-2.0], [3.0], [0.0], [4.0]], np.float32)
    score = MAE.score(answers, labels)
    expected = stats.t.interval(0.95, 4, loc=2.0, scale=stats.sem([1, 2, 3, 0, 4]))
    assert (score.value, score.samples) == (2.0, 5)
    assert (score.low, score.high) == (pytest.approx(max(0, expected[0])), pytest.approx(expected[1]))
    assert (MAE.unit, MAE.direction, MAE.name) == ("K", "lower", "mean_absolute_error")


def test_one_sample_has_a_score_and_no_interval():
    score = MAE.score(np.array([[1.0]]), np.array([[3.0]]))
    assert (score.value, score.low, score.high) == (2.0, None, None)


def test_several_numbers_per_sample_are_averaged_per_sample_first():
    score = MAE.score(np.array([[1.0, 3.0], [0.0, 0.0]]), np.zeros((2, 2)))
    assert score.value == 1.0


def test_an_exchange_of_few_samples_is_exact_and_scipys():
    rng = np.random.default_rng(3)
    labels, cell, baseline = (rng.normal(size=(10, 1)) for _ in range(3))
    difference = np.abs(cell - labels)[:, 0] - np.abs(baseline - labels)[:, 0]
    theirs = stats.permutation_test(
        (difference, np.zeros(10)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
    )
    result = MAE.paired(cell, baseline, labels)
    assert (result.delta, result.test) == (pytest.approx(difference.mean()), "exact paired permutation")
    assert result.p == pytest.approx(theirs.pvalue)
    assert result.only_cell_right is None


def test_a_clear_loss_among_many_samples_has_a_small_p_and_is_the_same_each_time():
    rng = np.random.default_rng(4)
    labels = rng.normal(size=(400, 1))
    baseline = labels + rng.normal(scale=0.1, size=labels.shape)
    worse = MAE.paired(baseline + 0.1, baseline, labels)
    assert worse.delta > 0.02 and worse.p < 0.001 and MAE.loss_of(worse.delta) > 0
    same = MAE.paired(labels + rng.normal(scale=0.1, size=labels.shape), baseline, labels)
    assert same.p > 0.05
    assert worse == MAE.paired(baseline + 0.1, baseline, labels)


def test_false_alarms_come_as_often_as_p_says():
    rng = np.random.default_rng(5)
    alarms = sum(sign_flip_p(rng.exponential(size=9) - rng.exponential(size=9))[0] <= 0.05 for _ in range(400))
    assert 5 <= alarms <= 32


def test_identical_answers_have_no_difference():
    answers = np.array([[1.0], [2.0]])
    result = MAE.paired(answers, answers, np.zeros((2, 1)))
    assert (result.delta, result.p) == (0.0, 1.0)


def test_an_output_that_is_no_number_gives_no_number():
    result = MAE.paired(np.array([[np.nan], [1.0]]), np.array([[1.0], [1.0]]), np.zeros((2, 1)))
    assert np.isnan(result.delta) and np.isnan(result.p)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.5, np.inf]), "NaN or infinite values in 1 of 2 labels, first in label 1"),
        (np.zeros((3, 2)), "has 2 numbers per sample, the model gives 1"),
        (np.array(["a"]), "expected numbers"),
        (np.zeros(0), "is empty"),
    ],
)
def test_labels_that_it_does_not_take_are_named(labels, message):
    with pytest.raises(UserInputError, match=f"samples.npz: array 'y' .*{message}"):
        MAE.checked(labels, ONE)


def test_a_suite_words_its_bound_by_direction_and_unit():
    assert MAE.bound_words(0.25, 0.1) == (
        "gained 0.2500 K mean absolute error against the float model, more than the accepted 0.1"
    )
    assert get_metric("top1").bound_words(-0.05, 0.02) == (
        "lost 0.0500 accuracy against the float model, more than the accepted 0.02"
    )


def test_models_held_against_each_other_in_pairs_cost_one_set_of_sums_each(monkeypatch):
    made = []
    monkeypatch.setattr(permutation, "signed_sums", lambda values, seed: made.append(seed) or signed_sums(values, seed))
    rng = np.random.default_rng(6)
    labels = rng.normal(size=(1500, 1))
    models = [labels + rng.normal(scale=0.1, size=labels.shape) for _ in range(5)]
    tested = [MAE.paired(models[i], models[j], labels) for i in range(5) for j in range(i)]
    assert len(made) == 5 and len({one.p for one in tested}) > 1
    assert tested[0].p == MAE.paired(models[0], models[1], labels).p, "it does not matter which is which"


def test_sums_with_random_signs_are_those_of_the_bits_that_were_drawn():
    values = np.random.default_rng(7).normal(size=1245)
    bits = np.unpackbits(np.frombuffer(np.random.default_rng(3).bytes(RANDOM * 156), np.uint8), bitorder="little")
    signs = 1.0 - 2.0 * bits.reshape(RANDOM, 156 * 8)[:, :1245]
    assert np.allclose(signed_sums(values, 3), signs @ values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("ahead", [30, 60, 120])
def test_the_p_of_many_samples_is_that_of_the_binomial_distribution_also_where_sums_are_equal(ahead, offset):
    """Differences of one size: how many are positive is binomial, and one sum in thirty is exactly the observed one."""
    size = 0.0007
    difference = np.where(np.arange(2000) < 1000 + ahead // 2, size, -size)
    second = offset + np.random.default_rng(8).normal(size=2000)
    p, test = exchange_p(second + difference, second)
    exact = stats.binomtest(1000 + ahead // 2, 2000).pvalue
    assert abs(p - exact) < 4 * (exact / RANDOM) ** 0.5 + 1 / RANDOM
    assert test == "paired permutation (9,999 random, seeded)"


def test_a_value_that_is_no_number_gives_no_p():
    first = np.zeros(3000)
    assert np.isnan(exchange_p(np.where(np.arange(3000) == 7, np.nan, first), first + 1.0)[0])
