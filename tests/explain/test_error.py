"""The error of a layer: values computed by hand, and planted causes whose names are known."""

import numpy as np
import pytest

from harness.explain.cause import cause_of
from harness.explain.error import ErrorSums, Levels, Weights

RNG = np.random.default_rng(1)
LEVELS = Levels(scale=0.1, zero_point=0, low=-128, high=127)


def rounded(values, levels=LEVELS):
    steps = np.clip(np.round(values / levels.scale) + levels.zero_point, levels.low, levels.high)
    return (steps - levels.zero_point) * levels.scale


def error_of(plain, unrounded, *, shadow=None, levels=LEVELS, weights=None, chunks=3):
    sums = ErrorSums(levels=levels)
    shadow = unrounded if shadow is None else shadow
    value = unrounded if levels is None else rounded(unrounded, levels)
    for f, q, u, h in zip(*(np.array_split(a, chunks) for a in (plain, value, unrounded, shadow)), strict=True):
        sums.add(f, q, u, h)
    return sums.figures(weights)


def test_sqnr_and_cosine_are_those_of_their_definitions():
    plain = RNG.normal(0, 3, size=(90, 4, 8))
    error = error_of(plain, plain)
    value = rounded(plain)
    assert error.sqnr_db == pytest.approx(10 * np.log10((plain**2).sum() / ((value - plain) ** 2).sum()))
    assert error.cosine == pytest.approx((plain * value).sum() / np.linalg.norm(plain) / np.linalg.norm(value))
    channels = (plain**2).sum(axis=(0, 1)), ((value - plain) ** 2).sum(axis=(0, 1))
    median_db = -10 * np.log10(np.median(channels[1] / channels[0]))
    assert error.own_db == pytest.approx(min(error.sqnr_db, median_db))
    assert error.from_rounding + error.from_saturation == pytest.approx(1) and error.from_weights == 0


def test_error_that_came_in_is_not_the_layers_own():
    plain = RNG.normal(0, 3, size=(90, 8))
    wrong = rounded(plain) * 1.5  # lies on steps of 0.15, and is rounded once more here
    error = error_of(plain, rounded(wrong))
    assert error.sqnr_db < 10 and error.own_db is None


def test_a_saturated_range_is_the_cause():
    error = error_of(plain := RNG.normal(0, 8, size=(100, 8)), plain)
    cause = cause_of(error, dtype="int8")
    assert (
        cause.name == "saturation" and error.saturated == pytest.approx(0.11, abs=0.03) and error.from_saturation > 0.9
    )
    assert "of its outputs lie beyond the range of its int8" in cause.words


def test_an_outlier_channel_is_the_cause_and_named():
    plain = RNG.normal(0, 0.12, size=(100, 16))
    plain[:, 11] *= 40
    cause = cause_of(error := error_of(plain, plain), dtype="int8")
    assert cause.name == "outlier-channels" and "outlier channel 11: " in cause.words
    assert error.outliers[0][0] == 11 and 20 < error.outliers[0][1] < 80


def test_what_is_lost_in_a_few_channels_and_what_one_channel_takes_both_show():
    plain = RNG.normal(0, 3, size=(100, 16))
    plain[:, :2] *= 20  # two saturate, the others are as good as ever
    few = error_of(plain, plain)
    assert few.own_db == pytest.approx(few.sqnr_db) and few.own_db < 10
    one = RNG.normal(0, 0.12, size=(100, 16))
    one[:, 5] *= 30  # one takes the range, and its own error is small
    assert (e := error_of(one, one)).own_db < 20 < e.sqnr_db


def test_shares_have_no_outlier_channels():
    plain = np.abs(RNG.normal(0, 0.02, size=(100, 16)))
    plain[:, 3] = 0.7
    sums = ErrorSums(levels=Levels(scale=1 / 256, zero_point=-128, low=-128, high=127), shares=True)
    value = rounded(plain, sums.levels)
    sums.add(plain, value, plain, plain)
    error = sums.figures()
    assert error.outliers == () and error.own_db == pytest.approx(error.sqnr_db)


def test_a_scale_that_is_too_large_is_the_cause():
    plain = RNG.uniform(-1, 1, size=(100, 8))
    cause = cause_of(error := error_of(plain, plain), dtype="int8")
    assert cause.name == "wide-range" and error.used == pytest.approx(21 / 256, abs=0.01)
    assert "use 8% of what its int8 can hold" in cause.words


def test_a_long_tail_is_the_cause():
    plain = RNG.normal(0, 0.3, size=(200, 50))
    plain[3, :5] = 12.0
    assert cause_of(error_of(plain, plain), dtype="int8").name == "long-tail"


def test_weights_of_one_scale_are_the_cause():
    weights = RNG.normal(size=(8, 32)) * np.geomspace(0.01, 1, 8)[:, None]
    scale = np.abs(weights).max() / 127
    stored = np.round(weights / scale) * scale
    inputs = RNG.normal(size=(100, 32))
    error = error_of(
        inputs @ weights.T,
        inputs @ stored.T,
        shadow=inputs @ weights.T,
        levels=Levels(scale=1e-3, zero_point=0, low=-32768, high=32767),
        weights=Weights(stored=stored, plain=weights, axis=0, scales=(scale,), levels=256),
    )
    cause = cause_of(error, dtype="int16", weight_dtype="int8")
    assert cause.name == "per-tensor-weights" and error.weight_spread > 50 and error.weight_bits < 3
    assert error.weight_db == pytest.approx(10 * np.log10((weights**2).sum() / ((stored - weights) ** 2).sum()))


def test_few_bits_are_the_cause():
    error = error_of(p := RNG.normal(0, 3, size=(50, 8)), p + 0.5 * RNG.normal(size=p.shape), shadow=p)
    assert cause_of(error, dtype="int8", weight_dtype="int4").name == "few-weight-bits"


def test_a_layer_that_only_moves_numbers_has_no_cause():
    value = rounded(RNG.normal(0, 3, size=(50, 8)))
    assert cause_of(error_of(value, value), dtype="int8") is None


def test_plain_rounding_is_called_rounding():
    plain = RNG.uniform(-12, 12, size=(100, 8))
    assert cause_of(error_of(plain, plain), dtype="int8").name == "rounding"
