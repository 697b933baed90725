"""Energy from samples of power: rest taken off, ends of a loop, marks, intervals."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.energy import EnergyFacts, gross_nj, loop_window, net_nj
from harness.meters.base import Trace


def trace(power, times=None, marked=None) -> Trace:
    power = np.asarray(power, float)
    return Trace(times_s=np.arange(len(power)) / 100 if times is None else times, power_w=power, marked=marked)


def facts(windows, rest_w=0.1, window="loop") -> EnergyFacts:
    return EnergyFacts(instrument="i", rail="r", rest_w=rest_w, window=window, windows=tuple(windows))


def test_net_is_what_an_inference_takes_beyond_rest_however_long_the_ends_are():
    """100 inferences of 5 ms at 0.5 W; half of the second is a request on its way, at rest."""
    power = np.where((np.arange(101) >= 25) & (np.arange(101) < 75), 0.5, 0.1)
    window = loop_window(trace(power), 0.0, 1.0, by_mark=False, inferences=100, inference_s=0.005)
    assert window.energy_j == pytest.approx(0.3, rel=0.01) and window.samples == 101
    assert net_nj(facts([window])).median == pytest.approx(0.4 * 0.005 * 1e9, rel=0.01)
    assert gross_nj(facts([window])).median == pytest.approx(0.5 * 0.005 * 1e9, rel=0.01)


def test_only_what_is_marked_counts():
    power, marked = np.full(101, 0.1), np.zeros(101, bool)
    power[20:61], marked[20:60] = 0.5, True
    window = loop_window(trace(power, marked=marked), 0.0, 1.0, by_mark=True, inferences=10, inference_s=None)
    assert window.duration_s == pytest.approx(0.4) and window.energy_j == pytest.approx(0.2)
    assert gross_nj(facts([window])).median == pytest.approx(0.02e9)
    assert net_nj(facts([window])).median == pytest.approx(0.016e9)
    with pytest.raises(ValueError, match="marked no sample"):
        loop_window(trace(power, marked=np.zeros(101, bool)), 0, 1, by_mark=True, inferences=1, inference_s=None)


def test_samples_at_uneven_times_weigh_what_they_stand_for():
    times = np.array([0.0, 0.1, 0.2, 0.9, 1.0])
    window = loop_window(trace([1, 1, 0, 0, 1.0], times), 0, 1, by_mark=False, inferences=1, inference_s=1.0)
    assert window.energy_j == pytest.approx(0.1 + 0.05 + 0 + 0.05)


def test_the_interval_is_the_least_and_the_most_window():
    windows = [
        loop_window(trace(np.full(101, w)), 0, 1, by_mark=False, inferences=10, inference_s=0.1)
        for w in (0.5, 0.52, 0.49, 0.51, 0.53, 0.5)
    ]
    found = net_nj(facts(windows))
    assert (found.low, found.high) == pytest.approx((0.039e9, 0.043e9)) and found.low < found.median < found.high
    assert facts(windows).rate_hz == pytest.approx(101)
