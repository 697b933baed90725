"""Paired permutation tests: what chance makes of a difference when, sample by sample, it does not matter who answered what.

Under that assumption each sample's difference is as likely with its sign turned (Fisher 1935, The Design of Experiments, 21).
Where there are few samples that differ, every assignment is looked at; else as many random ones, from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: random assignments; the observed one counts as one more (Phipson and Smyth 2010), so that p is never 0
RANDOM = 9999
#: up to this many differing samples all assignments are looked at: 2^13 is about as many
EXACT_SAMPLES = 13
#: numbers held at a time
_CHUNK = 1 << 22
EXACT_NAME, RANDOM_NAME = "exact paired permutation", f"paired permutation ({RANDOM:,} random, seeded)"
#: sums of the same numbers in another order differ by this share
_EQUAL = 1e-9


def sign_flip_p(difference: np.ndarray, *, seed: int = 0) -> tuple[float, str]:
    """The two-sided p of a mean difference, and the test's name.

    Args:
        difference: float [N], per sample; zeros say nothing and are left out. With a NaN among them p is none either.
    """
    moving = difference[difference != 0]
    if len(moving) == 0:
        return 1.0, EXACT_NAME
    if not np.isfinite(moving).all():
        return float("nan"), EXACT_NAME
    observed = abs(float(moving.sum())) * (1 - _EQUAL)
    as_far = total = 0
    exact = len(moving) <= EXACT_SAMPLES
    for signs in _all_signs(len(moving)) if exact else _random_signs(len(moving), seed):
        as_far += int((np.abs(signs @ moving) >= observed).sum())
        total += len(signs)
    return (as_far / total, EXACT_NAME) if exact else ((as_far + 1) / (total + 1), RANDOM_NAME)


def _all_signs(count: int) -> Iterator[np.ndarray]:
    """Every assignment of signs once, float64 [2^count, count]."""
    bits = np.arange(1 << count)[:, None] >> np.arange(count)
    yield 1.0 - 2.0 * (bits & 1)


def _random_signs(count: int, seed: int) -> Iterator[np.ndarray]:
    """RANDOM assignments of signs in chunks, float64 [chunk, count]."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // count)
    for start in range(0, RANDOM, chunk):
        rows = min(chunk, RANDOM - start)
        drawn = np.frombuffer(rng.bytes(-(-rows * count // 8)), np.uint8)
        bits = np.unpackbits(drawn, count=rows * count).reshape(rows, count)
        yield 1.0 - 2.0 * bits
