"""Samples that follow each other: where a model may remember the one before (`state: sequence` of a workload)."""

from __future__ import annotations

import numpy as np

from harness.core.errors import UserInputError

#: the array of an .npz that holds the number of the sequence of each evaluated sample
SEQUENCE = "sequence"


def sequence_order(sequences: np.ndarray, seed: int = 0) -> np.ndarray:
    """An order of samples in which each sequence stays whole and in its own order; the sequences are shuffled.

    Args:
        sequences: int [N], the number of each sample's sequence; samples of one sequence stand together.
        seed: fixed by the harness; another seed gives another order.

    Returns:
        int64 [N]: a permutation of 0..N-1.
    """
    ends = [*sequence_beginnings(sequences)[1:], len(sequences)]
    parts = [np.arange(a, b) for a, b in zip(sequence_beginnings(sequences), ends, strict=True)]
    shuffled = np.random.default_rng(seed).permutation(len(parts))
    return np.concatenate([parts[index] for index in shuffled]).astype(np.int64)


def sequence_beginnings(sequences: np.ndarray) -> np.ndarray:
    """int64 [sequences]: the rows at which another sequence begins, 0 among them."""
    return np.flatnonzero(np.r_[True, sequences[1:] != sequences[:-1]]).astype(np.int64)


def checked_sequences(values: np.ndarray, count: int, where: str, key: str) -> np.ndarray:
    """The sequence numbers of `count` samples, int64 [count].

    Raises:
        UserInputError: another count, no whole numbers, or a sequence that stands in two places.
    """
    if values.dtype.kind not in "ui" or values.shape != (count,):
        raise UserInputError(
            f"array '{key}' is {values.dtype} of shape {list(values.shape)}, expected one whole number for each of "
            f"{count} samples",
            where=where,
            hint="the number of the sequence that a sample belongs to, in the order of time",
        )
    numbers = values.astype(np.int64)
    firsts, counts = np.unique(numbers[sequence_beginnings(numbers)], return_counts=True)
    if (counts > 1).any():
        raise UserInputError(
            f"array '{key}': the samples of sequence {firsts[counts > 1][0]} do not stand together",
            where=where,
            hint="sort the samples by sequence, and by time within each",
        )
    return numbers
