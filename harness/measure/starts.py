"""A latency from several fresh starts of the worker: its figure, and an interval that carries the spread between them.

What two starts of one program differ by (where its memory lies, which pages it shares) is not seen within either, so an
interval from the samples of one start is far too narrow. With three starts their spread is known badly, too; it is therefore
weighed against what is known of such spreads from elsewhere, as a moderated t statistic does (Smyth 2004, Linear models and
empirical Bayes methods, Stat. Appl. Genet. Mol. Biol. 3:3): with y the logarithms of the R starts' medians,

    s^2 = (d0 s0^2 + sum (y - mean y)^2) / (d0 + R - 1),    d0 + R - 1 degrees of freedom,

s0 being the prior's standard deviation, worth d0 degrees of freedom. The figure is the median of the starts' medians, whose
standard error is s times that of the median of R normal values. The middle start's own bootstrap interval is added to it in
quadrature. The prior: between fresh starts, robust standard deviations of 0.48 % on a quiet and 0.80 % on a loaded machine were
recorded over 30 cells and 60 nights. The larger one is taken, at the weight that these cells' own spreads call for (d0 = 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.measure.latency import LatencyStats, latency_stats

#: standard deviation of the logarithm of a start's median, and the degrees of freedom that it is worth
PRIOR_SD, PRIOR_DF = 0.008, 4
#: standard error of the median of R standard normal values
_MEDIAN_ERROR = {1: 1.0, 2: 0.7071, 3: 0.6698}


@dataclass(frozen=True, kw_only=True)
class StartsStats:
    """Statistics of a cell's steady latency over its starts.

    Attributes:
        stats: median, and its interval, from the starts' medians; percentiles, least and mean of all samples together.
        start_medians_ns: one per start, in their order.
    """

    stats: LatencyStats
    start_medians_ns: tuple[int, ...]


def starts_stats(starts: Sequence[np.ndarray]) -> StartsStats:
    """The statistics of int64 [N] nanoseconds per start, at least one of each.

    Raises:
        ValueError: no start, no sample in one of them, or a negative one.
    """
    from scipy.stats import t

    each = [latency_stats(samples, resample=False) for samples in starts]
    medians = [one.median_ns for one in each]
    together = latency_stats(np.concatenate(list(starts)), resample=False)
    middle = _middle(medians)
    within = latency_stats(starts[middle])
    figure = float(np.median(medians))
    logs = np.log(np.maximum(medians, 1))
    freedom = PRIOR_DF + len(medians) - 1
    spread = ((PRIOR_DF * PRIOR_SD**2 + float(((logs - logs.mean()) ** 2).sum())) / freedom) ** 0.5
    between = float(t.ppf(0.975, freedom)) * spread * _median_error(len(medians))
    low, high = (
        np.log(max(within.median_ns, 1) / max(within.median_low_ns, 1)),
        np.log(max(within.median_high_ns, 1) / max(within.median_ns, 1)),
    )
    return StartsStats(
        stats=LatencyStats(
            samples=together.samples,
            median_ns=round(figure),
            median_low_ns=int(figure * np.exp(-np.hypot(between, low))),
            median_high_ns=int(np.ceil(figure * np.exp(np.hypot(between, high)))),
            p90_ns=together.p90_ns,
            p99_ns=together.p99_ns,
            min_ns=together.min_ns,
            mean_ns=together.mean_ns,
        ),
        start_medians_ns=tuple(medians),
    )


def _middle(medians: Sequence[int]) -> int:
    """The position of the middle median; of an even number the upper one of the two."""
    return int(np.argsort(medians, kind="stable")[len(medians) // 2])


def _median_error(starts: int) -> float:
    return _MEDIAN_ERROR.get(starts) or float((np.pi / 2 / starts) ** 0.5)
