"""Latency statistics, always recomputed from raw samples.

The median leads because latency samples have a long right tail (interrupts, frequency changes); its interval is a
bootstrap interval (Efron 1979, percentile method), which needs no assumption about the tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: bootstrap over more samples than this costs seconds and changes nothing visible; an even stride keeps drift in the sample
_BOOTSTRAP_MAX = 2000
_RESAMPLES = 999


@dataclass(frozen=True, kw_only=True)
class LatencyStats:
    """Statistics of one cell's steady latency; all times in integer nanoseconds."""

    samples: int
    median_ns: int
    median_low_ns: int
    median_high_ns: int
    p90_ns: int
    p99_ns: int
    min_ns: int
    mean_ns: int


def latency_stats(samples_ns: np.ndarray, *, seed: int = 0, resample: bool = True) -> LatencyStats:
    """Median with its 95 % bootstrap interval, p90, p99.

    Args:
        samples_ns: int64 [N], raw durations of single invokes, N >= 1.
        seed: of the bootstrap; fixed so that a report of the same samples says the same.
        resample: False leaves the interval out, which takes the time: its ends are then the median.

    Raises:
        ValueError: when there are no samples or one is negative (a clock that ran backwards is a defect to be seen).
    """
    samples = np.asarray(samples_ns, dtype=np.int64)
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError("latency statistics need at least one sample")
    if samples.min() < 0:
        raise ValueError(f"a latency sample is negative ({samples.min()} ns): the board's clock ran backwards")
    median = float(np.median(samples))
    low, high = _median_interval(samples, median, seed) if resample else (median, median)
    p90, p99 = np.quantile(samples, [0.90, 0.99])
    return LatencyStats(
        samples=int(samples.size),
        median_ns=round(median),
        median_low_ns=round(low),
        median_high_ns=round(high),
        p90_ns=round(p90),
        p99_ns=round(p99),
        min_ns=int(samples.min()),
        mean_ns=round(samples.mean()),
    )


def _median_interval(samples: np.ndarray, median: float, seed: int) -> tuple[float, float]:
    """The 95 % percentile-bootstrap interval of the median of int64 [N], in nanoseconds."""
    from scipy.stats import bootstrap

    if samples.min() == samples.max():
        return median, median
    thinned = samples if samples.size <= _BOOTSTRAP_MAX else samples[:: -(-samples.size // _BOOTSTRAP_MAX)]
    result = bootstrap(
        (thinned,),
        np.median,
        n_resamples=_RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    # Thinning widens the interval by sqrt(N / n); scale it back around the full median so that N stays what it was.
    shrink = (thinned.size / samples.size) ** 0.5
    centre = float(np.median(thinned))
    low, high = result.confidence_interval
    return median - (centre - float(low)) * shrink, median + (float(high) - centre) * shrink
