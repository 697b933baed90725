"""Paired permutation tests: what chance makes of a difference when, sample by sample, it does not matter who answered what.

Under that assumption each sample's difference is as likely with its sign turned (Fisher 1935, The Design of Experiments, 21).
Where there are few samples that differ, every assignment is looked at; else as many random ones, from a fixed seed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

#: random assignments; the observed one counts as one more (Phipson and Smyth 2010), so that p is never 0
RANDOM = 9999
#: up to this many differing samples all assignments are looked at: 2^13 is about as many
EXACT_SAMPLES = 13
#: up to this many differing samples the differences themselves get signs; with more, each side's values do, once for all
#: sides that it is held against
_FEW = 1024
#: numbers held at a time
_CHUNK = 1 << 22
#: table entries looked up at a time: what a core's cache holds
_LOOKED_UP = 1 << 17
#: sides whose sums are remembered: 80 kB each
_REMEMBERED = 256
EXACT_NAME, RANDOM_NAME = "exact paired permutation", f"paired permutation ({RANDOM:,} random, seeded)"
#: sums of the same numbers in another order differ by this share
_EQUAL = 1e-9
#: and sums of two sides, taken from each other, by this share of the sides' own
_CANCELLED = 1e-13
_sums: OrderedDict[tuple[bytes, int], np.ndarray] = OrderedDict()


def exchange_p(first: np.ndarray, second: np.ndarray, *, seed: int = 0) -> tuple[float, str]:
    """The two-sided p of the difference of two means over the same samples, and the test's name.

    Exchanging two models' values of a sample turns the sign of its difference, and the sum of differences with signs is the
    difference of the two sums with the same signs. So the sums of each side are made once: k models held against each other
    cost k times the work of one, not k (k - 1) / 2 times.

    Args:
        first, second: float [N], per sample. With a NaN or infinity among their differences p is none.
    """
    difference = first - second
    if np.count_nonzero(difference) <= _FEW or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return sign_flip_p(difference, seed=seed)
    slack = _CANCELLED * float(np.abs(first).sum() + np.abs(second).sum())
    observed = abs(float(difference.sum())) * (1 - _EQUAL) - slack
    sums = _remembered_sums(first, seed) - _remembered_sums(second, seed)
    return (int((np.abs(sums) >= observed).sum()) + 1) / (RANDOM + 1), RANDOM_NAME


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


def _remembered_sums(values: np.ndarray, seed: int) -> np.ndarray:
    """`signed_sums`, made once for the same values and seed."""
    key = (hashlib.sha256(values.astype(np.float64).tobytes()).digest(), seed)
    if key not in _sums:
        _sums[key] = signed_sums(values, seed)
        if len(_sums) > _REMEMBERED:
            _sums.popitem(last=False)
    _sums.move_to_end(key)
    return _sums[key]


def signed_sums(values: np.ndarray, seed: int) -> np.ndarray:
    """The sum of values, float [N], with random signs, float64 [RANDOM]; the signs depend on N and the seed alone.

    Eight values with signs have 256 sums. They stand in a table, so that each byte of random bits is one look-up (the "method
    of four Russians", Arlazarov and others 1970).
    """
    groups = np.pad(values.astype(np.float64), (0, -len(values) % 8)).reshape(-1, 8)
    table = (groups @ _signs_of_bytes()).ravel()
    first_of_group = np.arange(len(groups), dtype=np.intp) * 256
    rng = np.random.default_rng(seed)
    sums = np.empty(RANDOM)
    rows = max(1, _LOOKED_UP // len(groups))
    for start in range(0, RANDOM, rows):
        drawn = np.frombuffer(rng.bytes(min(rows, RANDOM - start) * len(groups)), np.uint8)
        places = drawn.reshape(-1, len(groups)) + first_of_group
        sums[start : start + rows] = table.take(places).sum(axis=1)
    return sums


def _signs_of_bytes() -> np.ndarray:
    """The signs that each byte stands for, float64 [8, 256]."""
    return 1.0 - 2.0 * ((np.arange(256) >> np.arange(8)[:, None]) & 1)
