"""Drift inside a timing: whether a start's samples went one way from its beginning to its end.

The samples are cut into eight blocks of equal length, whose medians no single interrupt moves. They drift where the blocks'
order says so (Kendall 1938, the rank correlation with time; of eight blocks in random order less than 1 in 60 has |tau| of 5/7)
and where the trend is worth telling: Theil and Sen's slope (Sen 1968), which no single block moves, over the whole timing.
"""

from __future__ import annotations

import numpy as np

#: blocks of a timing, and how many samples each needs
BLOCKS, LEAST_SAMPLES = 8, 4
#: rank correlation of the blocks with time from which on it is a trend, and the least change that is told
LEAST_TAU, LEAST_CHANGE = 5 / 7, 0.02


def trend(samples_ns: np.ndarray) -> float | None:
    """How much longer an invoke took at the end of a timing than at its beginning, as a share: 0.03 is 3 %.

    Args:
        samples_ns: int64 [N] nanoseconds in the order in which they were taken.

    Returns:
        0.0 where there is no trend; None for fewer samples than 32, which cannot tell.
    """
    samples = np.asarray(samples_ns, float)
    if samples.ndim != 1 or samples.size < BLOCKS * LEAST_SAMPLES:
        return None
    medians = np.array([np.median(block) for block in np.array_split(samples, BLOCKS)])
    if medians.min() <= 0:
        return None
    logs = np.log(medians)
    first, second = np.triu_indices(BLOCKS, 1)
    steps = logs[second] - logs[first]
    tau = float(np.sign(steps).sum()) / len(steps)
    change = float(np.expm1(np.median(steps / (second - first)) * (BLOCKS - 1)))
    return change if abs(tau) >= LEAST_TAU and abs(change) >= LEAST_CHANGE else 0.0
