"""A latency from fresh starts: its figure is the middle start's, its interval carries what starts differ by."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.latency import latency_stats
from harness.measure.starts import PRIOR_SD, starts_stats


def start(median_ns: float, samples: int = 400, seed: int = 0) -> np.ndarray:
    """Samples of one start, with the tail that such samples have."""
    noise = np.random.default_rng(seed).exponential(0.001, samples)
    return (median_ns * (1 + noise - np.median(noise))).astype(np.int64)


def width(stats) -> float:
    return stats.median_high_ns / stats.median_low_ns - 1


def test_the_figure_is_the_middle_starts_and_the_percentiles_are_of_all_samples():
    starts = [start(100_000), start(180_000), start(101_000)]
    found = starts_stats(starts)
    assert found.start_medians_ns == tuple(round(float(np.median(s))) for s in starts)
    assert found.stats.median_ns == found.start_medians_ns[2]
    assert found.stats.samples == 1200 and found.stats.p90_ns == round(np.quantile(np.concatenate(starts), 0.9))


def test_the_interval_holds_what_starts_differ_by_and_not_what_their_samples_do():
    alone = latency_stats(start(100_000))
    apart = starts_stats([start(100_000), start(105_000), start(103_000)]).stats
    assert width(alone) < 0.001 < 0.03 < width(apart)
    assert apart.median_low_ns < 100_500 and apart.median_high_ns > 105_500


@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_is_never_without_a_width(count: int):
    stats = starts_stats([np.full(50, 100_000)] * count).stats
    assert 0.01 < width(stats) < 0.06
    assert stats.median_low_ns < stats.median_ns == 100_000 < stats.median_high_ns


def test_one_start_is_trusted_less_than_three():
    assert width(starts_stats([start(100_000)]).stats) > 2 * width(starts_stats([start(100_000)] * 3).stats)


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    """Starts that differ as the recorded ones do (t with the prior's weight, scaled by its spread)."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        spread = PRIOR_SD * (4 / rng.chisquare(4)) ** 0.5
        medians = 1_000_000 * np.exp(rng.normal(0, spread, 3))
        stats = starts_stats([np.full(3, int(m)) for m in medians]).stats
        held += stats.median_low_ns <= 1_000_000 <= stats.median_high_ns
    assert 0.92 < held / 400 < 0.985


def test_a_start_without_samples_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        starts_stats([start(100_000), np.zeros(0, np.int64)])
