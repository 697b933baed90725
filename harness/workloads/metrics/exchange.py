"""The paired permutation test of scores that are functions of sums: two models' parts of a sample are exchanged (permutation.py).

With A and B the sums of two models' parts, and S the sum of signs times parts, an exchange has the sums
(A + B + S_A - S_B) / 2 and (A + B - S_A + S_B) / 2. S is made once for every model, so that k models held against each other
cost k times the work of one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np

from harness.workloads.metrics.permutation import EXACT_NAME, EXACT_SAMPLES, RANDOM, RANDOM_NAME

_SEED = 0
#: up to this many differing samples their differences get signs; with more, each model's parts do, once for all tests
_FEW = 1024
#: numbers held at a time, and bytes of sums that are remembered
_CHUNK, _REMEMBERED_BYTES = 1 << 21, 64 << 20
#: sums of the same numbers in another order differ by about this share
_EQUAL = 1e-9
_sums: OrderedDict[bytes, np.ndarray] = OrderedDict()


def exchanged_sums_p(
    first: np.ndarray, second: np.ndarray, value: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, str]:
    """The two-sided p of the difference of two scores over the same samples, and the test's name.

    Args:
        first, second: each model's parts, float64 [N, F].
        value: the scores, float64 [R], of sums, float64 [R, F].
    """
    difference = first - second
    moving = np.flatnonzero((difference != 0).any(axis=1))
    if not len(moving):
        return 1.0, EXACT_NAME
    if not np.isfinite(difference).all():
        return float("nan"), EXACT_NAME
    together = first.sum(axis=0) + second.sum(axis=0)
    observed = abs(float((value(first.sum(axis=0)[None]) - value(second.sum(axis=0)[None]))[0]))
    exact = len(moving) <= EXACT_SAMPLES
    as_far = total = 0
    for signed in _signed(first, second, moving, exact):
        differences = np.abs(value((together + signed) / 2) - value((together - signed) / 2))
        as_far += int((differences >= observed - _EQUAL * max(1.0, observed)).sum())
        total += len(signed)
    return (as_far / total, EXACT_NAME) if exact else ((as_far + 1) / (total + 1), RANDOM_NAME)


def _signed(first: np.ndarray, second: np.ndarray, moving: np.ndarray, exact: bool) -> Iterator[np.ndarray]:
    """The sum of signs times differences, float64 [chunk, F], of every assignment of signs, or of RANDOM ones."""
    if exact:
        bits = (np.arange(1 << len(moving))[:, None] >> np.arange(len(moving))) & 1
        yield (1.0 - 2.0 * bits) @ (first - second)[moving]
    elif len(moving) <= _FEW:
        yield from _random_sums((first - second)[moving])
    else:
        sums = _remembered(first) - _remembered(second)
        rows = max(1, _CHUNK // sums.shape[1])
        yield from (sums[start : start + rows] for start in range(0, len(sums), rows))


def _random_sums(parts: np.ndarray) -> Iterator[np.ndarray]:
    """RANDOM sums of float64 [N, F] with signs that depend on N and the seed alone, in chunks [chunk, F]."""
    rng = np.random.default_rng(_SEED)
    rows = max(1, _CHUNK // max(parts.shape))
    for start in range(0, RANDOM, rows):
        count = min(rows, RANDOM - start)
        drawn = np.frombuffer(rng.bytes(-(-count * len(parts) // 8)), np.uint8)
        bits = np.unpackbits(drawn, count=count * len(parts)).reshape(count, len(parts))
        yield (1.0 - 2.0 * bits) @ parts


def _remembered(parts: np.ndarray) -> np.ndarray:
    """All of `_random_sums`, made once for the same parts."""
    key = hashlib.sha256(np.ascontiguousarray(parts).tobytes()).digest()
    if key not in _sums:
        _sums[key] = np.concatenate(list(_random_sums(parts)))
    _sums.move_to_end(key)
    while len(_sums) > 2 and sum(sums.nbytes for sums in _sums.values()) > _REMEMBERED_BYTES:
        _sums.popitem(last=False)
    return _sums[key]
