"""Scores are compared in pairs on common samples, as one family; what cannot be told apart stands in one group."""

from __future__ import annotations

import numpy as np
import pytest

from harness.reports.answer.compare import Compared, Comparisons, compare_together
from harness.reports.answer.layers import layers
from tests.support.answered import Told, labels_of, wrong_at

LABELS = labels_of(500)


@pytest.fixture
def told() -> Told:
    return Told(LABELS, wrong_at(LABELS, range(20)))


def answers(told: Told, values: np.ndarray):
    return told.answers(told.cell("ptq-int8-io", values))


def test_the_test_is_the_metrics_own_and_exact(told):
    [tested] = compare_together([(answers(told, wrong_at(LABELS, range(12))), answers(told, LABELS))])
    assert isinstance(tested, Compared)
    assert tested.test == "exact McNemar" and tested.samples == 500
    assert (tested.delta, tested.p) == (pytest.approx(-12 / 500), pytest.approx(2 * 0.5**12))
    assert tested.worse and tested.low < -12 / 500 < tested.high < 0


def test_samples_that_only_one_has_are_left_out(told):
    short = answers(told, wrong_at(LABELS[:100], range(12)))
    [tested] = compare_together([(short, answers(told, wrong_at(LABELS, range(200, 500))))])
    assert tested.samples == 100 and tested.delta == pytest.approx(-0.12)


def test_other_samples_are_never_compared(told):
    mine, theirs = answers(told, LABELS), answers(Told(LABELS[::-1].copy(), None), LABELS[::-1].copy())
    assert compare_together([(mine, theirs)]) == ["they ran on different samples"]


def test_p_is_adjusted_for_all_comparisons_that_are_any(told):
    one, other = wrong_at(LABELS, range(6)), wrong_at(LABELS, range(100, 108))
    base = answers(told, LABELS)
    pairs = [(answers(told, one), base), (answers(told, other), base), (answers(told, LABELS), base)]
    first, second, equal = compare_together(pairs)
    assert (first.p, second.p) == (pytest.approx(2 / 2**6), pytest.approx(2 / 2**8))
    # Equal answers are no comparison: they take nothing of the error budget.
    assert second.p_holm == pytest.approx(2 * second.p) and first.p_holm == pytest.approx(first.p)
    assert equal.p == equal.p_holm == 1.0


def test_the_same_comparison_counts_once_from_either_side(told):
    mine, theirs = answers(told, wrong_at(LABELS, range(6))), answers(told, LABELS)
    there, back, again = compare_together([(mine, theirs), (theirs, mine), (mine, theirs)])
    assert there.p_holm == back.p_holm == again.p_holm == pytest.approx(2 / 2**6)
    assert back.delta == -there.delta and (back.low, back.high) == (-there.high, -there.low)


def test_a_cell_without_answers_is_told_from_nothing(told):
    comparisons = Comparisons([answers(told, LABELS), "they were not kept"])
    assert comparisons.of(1, 0) == comparisons.of(0, 1) == "they were not kept"
    assert not comparisons.shown_better(0, 1)


def test_groups_are_made_of_what_no_other_beats():
    # 0 beats 2, nothing else is told apart: 1 stands beside 0.
    assert layers(3, lambda i, j: (i, j) == (0, 2)) == [0, 0, 1]
    assert layers(3, lambda i, j: i < j) == [0, 1, 2]


def test_a_circle_is_one_group():
    assert layers(3, lambda i, j: (i + 1) % 3 == j) == [0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_equally_good_models_are_hardly_ever_told_apart(seed: int):
    rng = np.random.default_rng(seed)
    told = Told(LABELS, None)
    cells = [answers(told, wrong_at(LABELS, list(np.flatnonzero(rng.random(500) < 0.05)))) for _ in range(12)]
    comparisons = Comparisons(cells)
    assert not any(comparisons.shown_better(i, j) for i in range(12) for j in range(12) if i != j)
