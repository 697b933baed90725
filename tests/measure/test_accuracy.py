"""Accuracy, its Wilson interval, and the paired comparison with the float model."""

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.measure.accuracy import accuracy, answers, paired


def test_multiclass_answers_are_the_largest_output_and_the_first_of_equals():
    outputs = np.array([[1, 5, 5], [-3, -2, -9]], dtype=np.int8)
    assert answers(outputs, "multiclass").tolist() == [1, 1]


def test_an_output_that_is_nan_is_never_right():
    outputs = np.array([[np.nan, 0.0], [1.0, 0.0]], dtype=np.float32)
    assert answers(outputs, "multiclass").tolist() == [-1, 0]


def test_binary_answers_compare_the_probability_with_one_half():
    assert answers(np.array([[0.49], [0.5]], dtype=np.float32), "binary").tolist() == [0, 1]


def test_quantized_binary_outputs_are_dequantized_first():
    # scale 1/256, zero point -128: q = 0 is probability 0.5
    outputs = np.array([[-1], [0]], dtype=np.int8)
    assert answers(outputs, "binary", scale=1 / 256, zero_point=-128).tolist() == [0, 1]


def test_wilson_interval_matches_the_published_example():
    # Newcombe 1998, table I: 81 of 263 -> 0.2553 to 0.3662 without continuity correction
    score = accuracy(np.arange(263) < 81)
    assert score.value == pytest.approx(81 / 263)
    assert (score.low, score.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))


def test_wilson_interval_of_a_perfect_score_still_has_a_lower_bound():
    score = accuracy(np.ones(100, dtype=bool))
    assert score.value == score.high == 1.0
    assert 0.96 < score.low < 0.97


def test_no_samples_is_an_error_not_a_number():
    with pytest.raises(UserInputError, match="at least one"):
        accuracy(np.array([], dtype=bool))


def test_paired_difference_counts_only_discordant_samples():
    cell = np.array([True] * 90 + [False] * 8 + [True] * 2)
    float_ = np.array([True] * 90 + [True] * 8 + [False] * 2)
    result = paired(cell, float_)
    assert (result.only_float_right, result.only_cell_right) == (8, 2)
    assert result.delta == pytest.approx(-0.06)
    # exact two-sided binomial of 2 in 10
    assert result.p == pytest.approx(0.109375)


def test_identical_answers_have_no_difference():
    right = np.array([True, False, True])
    assert (paired(right, right).delta, paired(right, right).p) == (0.0, 1.0)
