"""Latency statistics from raw samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure.latency import latency_stats


def test_figures_are_those_of_the_raw_samples():
    stats = latency_stats(np.arange(1, 1001) * 1000)
    assert (stats.samples, stats.median_ns, stats.min_ns, stats.mean_ns) == (1000, 500_500, 1000, 500_500)
    assert (stats.p90_ns, stats.p99_ns) == (900_100, 990_010)


def test_interval_covers_the_true_median_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        stats = latency_stats(np.exp(rng.normal(10, 0.3, 100)).astype(np.int64), seed=trial)
        hits += stats.median_low_ns <= np.exp(10) <= stats.median_high_ns
    assert 0.88 <= hits / 200 <= 0.99


def test_many_samples_narrow_the_interval_although_the_bootstrap_is_thinned():
    rng = np.random.default_rng(2)
    draw = lambda n: (1e6 + rng.normal(0, 1e4, n)).astype(np.int64)  # noqa: E731
    few, many = latency_stats(draw(500)), latency_stats(draw(50_000))
    assert many.median_high_ns - many.median_low_ns < 0.3 * (few.median_high_ns - few.median_low_ns)


def test_the_same_samples_give_the_same_interval():
    samples = np.random.default_rng(3).integers(1000, 2000, 300)
    assert latency_stats(samples) == latency_stats(samples)


def test_equal_samples_have_a_point_interval():
    stats = latency_stats(np.full(200, 777))
    assert stats.median_low_ns == stats.median_ns == stats.median_high_ns == 777


@pytest.mark.parametrize("samples, words", [([], "at least one"), ([5, -1], "ran backwards")])
def test_samples_that_cannot_be_are_refused(samples, words):
    with pytest.raises(ValueError, match=words):
        latency_stats(np.array(samples, dtype=np.int64))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50))
def test_order_of_figures_holds_for_any_samples(samples):
    stats = latency_stats(np.array(samples, dtype=np.int64))
    assert stats.min_ns <= stats.median_ns <= stats.p90_ns <= stats.p99_ns
    assert stats.median_low_ns <= stats.median_ns <= stats.median_high_ns
