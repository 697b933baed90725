"""Paired scores: Holm over what changed, the common beginning of the samples, the smallest loss that would have been seen."""

import numpy as np
import pytest

from harness.verdict.scores import Answers, common, compare_scores, holm, smallest_loss
from harness.workloads.metrics.registry import get_metric

LABELS = np.arange(1000) % 10


def answers(wrong=(), count=1000, labels=LABELS):
    given = labels[:count].copy()
    for i in wrong:
        given[i] = (given[i] + 1) % 10
    return Answers(metric=get_metric("top1"), answers=given, labels=labels[:count], sample_ids=np.arange(count))


def test_holm_gives_the_textbook_bounds():
    # Holm 1979: .01 <= .05/4; .02 > .05/3 stops, and nothing after it rejects.
    bounds = holm([0.02, 0.01, 0.03, 0.04], 0.05)
    rejects = [p <= bound for p, bound in zip([0.02, 0.01, 0.03, 0.04], bounds, strict=True)]
    assert rejects == [False, True, False, False]
    assert holm([0.001], 0.004) == [0.004]
    assert all(p <= b for p, b in zip([1e-4, 2e-4, 3e-4], holm([1e-4, 2e-4, 3e-4], 0.004), strict=True))
    assert holm([float("nan")], 0.004) == [0.004]


def test_the_same_answers_are_no_test():
    found = compare_scores(answers(), answers())
    assert found.p == 1.0 and not found.moved and found.loss == 0


def test_a_loss_is_told_with_its_samples():
    found = compare_scores(answers(), answers(wrong=range(12)))
    assert found.only_before_right == 12 and found.only_after_right == 0
    assert found.loss == pytest.approx(0.012) and found.p == pytest.approx(2 * 0.5**12)
    better = compare_scores(answers(wrong=range(12)), answers())
    assert better.loss == pytest.approx(-0.012)


def test_the_common_beginning_is_compared_where_a_budget_cut():
    found = compare_scores(answers(), answers(count=600))
    assert found.samples == 600 and found.cut
    assert common(np.array([3, 1, 2]), np.array([3, 1, 9, 4])) == 2


def test_other_labels_are_another_question():
    assert compare_scores(answers(), answers(labels=(LABELS + 1) % 10)) is None


def test_the_smallest_loss_is_just_seen_and_one_less_is_not():
    alpha = 0.004
    seen = smallest_loss(compare_scores(answers(), answers()), alpha)
    lost = round(seen * 1000)
    assert compare_scores(answers(), answers(wrong=range(lost))).p <= alpha
    assert compare_scores(answers(), answers(wrong=range(lost - 1))).p > alpha
    won = compare_scores(answers(wrong=range(5)), answers())
    needed = round(smallest_loss(won, alpha) * 1000) + 5
    both = compare_scores(answers(wrong=range(5)), answers(wrong=range(10, 10 + needed)))
    assert both.only_before_right == needed and both.only_after_right == 5 and both.p <= alpha


def test_a_few_samples_can_tell_nothing():
    assert smallest_loss(compare_scores(answers(count=5), answers(count=5)), 0.004) is None
