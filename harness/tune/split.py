"""Two halves of the test samples: one that the search sees, one that it does not. By content: equal samples stay together.

A sample's side is a bit of the hash of its values: it does not depend on the order of the file, on labels or on other samples,
and every copy of a sample is on the same side. Sequences go as wholes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.workloads.base import Dataset, Workload
from harness.workloads.datasets import DataSource
from harness.workloads.rows import Rows, Samples, by_input, row_blocks, whole_samples

Half = Literal["search", "proof"]
HALVES: tuple[Half, ...] = ("search", "proof")
#: fewer on a side prove nothing
LEAST_SAMPLES = 20
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which of the test samples are on which side.

    Attributes:
        search, proof: int64, rows of the test set, in its order.
        copies: how many samples are copies of an earlier one.
    """

    search: np.ndarray
    proof: np.ndarray
    copies: int

    def rows(self, half: Half) -> np.ndarray:
        return self.search if half == "search" else self.proof

    @property
    def words(self) -> str:
        """How the samples were split, for a reader."""
        copies = f", {self.copies:,} copies beside their originals" if self.copies else ""
        return (
            f"{len(self.search):,} test samples for the search and {len(self.proof):,} that it does not see, told apart by a "
            f"hash of their values{copies}"
        )


def split_of(dataset: Dataset) -> Split:
    """Splits the test samples of a dataset.

    Raises:
        UserInputError: one side has too few.
    """
    keys = _keys(dataset.x_test)
    if dataset.sequences is not None:
        keys = _of_sequences(keys, dataset.sequences)
    proof = np.array([key[0] & 1 for key in keys], bool)
    split = Split(
        search=np.flatnonzero(~proof).astype(np.int64),
        proof=np.flatnonzero(proof).astype(np.int64),
        copies=len(keys) - len(set(keys)) if dataset.sequences is None else 0,
    )
    fewest = min(len(split.search), len(split.proof))
    if fewest < LEAST_SAMPLES:
        raise UserInputError(
            f"the {len(keys):,} test samples split into {len(split.search):,} for the search and {len(split.proof):,} to prove "
            f"its result on: each side needs {LEAST_SAMPLES} at least",
            where=dataset.origin or dataset.name,
            hint="give more test samples (x_test, y_test); copies of one sample are on one side",
        )
    return split


def _keys(samples: Samples) -> Sequence[bytes]:
    """A hash per sample, of the values of all its inputs."""
    return whole_samples([_row_keys(rows) for _, rows in sorted(by_input(samples).items())])


def _row_keys(rows: Rows) -> list[bytes]:
    """A hash per row, of its float32 values."""
    blocks = row_blocks(rows) if not isinstance(rows, np.ndarray) else [(0, rows)]
    return [
        hashlib.sha256(np.ascontiguousarray(sample, np.float32).tobytes()).digest()
        for _, block in blocks
        for sample in block
    ]


def _of_sequences(keys: Sequence[bytes], sequences: np.ndarray) -> list[bytes]:
    """Every sample of a sequence has the hash of all of it."""
    whole: dict[int, hashlib._Hash] = {}
    for key, number in zip(keys, sequences.tolist(), strict=True):
        whole.setdefault(number, hashlib.sha256()).update(key)
    return [whole[number].digest() for number in sequences.tolist()]


def half_of(workload: Workload, split: Split, half: Half) -> Workload:
    """The workload as it is evaluated on one half: another dataset with a digest of its own, the same model and training."""

    def load(source: DataSource) -> Dataset:
        dataset = workload.load_dataset(source)
        rows = split.rows(half)
        return replace(
            dataset,
            name=f"{dataset.name}-{half}",
            note=f"{dataset.note}; the {half} half: {len(rows):,} of {len(dataset.x_test):,} test samples, by their content",
            digest=digest(source),
            x_test=dataset.x_test[rows],
            y_test=None if dataset.y_test is None else dataset.y_test[rows],
            y_test_of={name: labels[rows] for name, labels in dataset.y_test_of.items()},
            sequences=None if dataset.sequences is None else dataset.sequences[rows],
        )

    def digest(source: DataSource) -> str:
        return sha256_json(["tune half", _VERSION, half, workload.dataset_digest(source)])

    return replace(workload, load_dataset=load, dataset_digest=digest)


def view_of(split: Split, half: Half) -> Callable[[Workload], Workload]:
    """What `harness.run.plan.prepare_requests` takes to evaluate on one half."""
    return lambda workload: half_of(workload, split, half)
