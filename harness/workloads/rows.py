"""Samples as rows: those that stay in their file until they are asked for, and those of several inputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.workloads.archive import Archive


class StoredRows:
    """The rows of a large array in an .npz, as a model takes them, read when they are indexed.

    Each look reads the file once, in blocks, so ask for many rows at a time.

    Attributes:
        shape: [N, *sample], as `convert` gives it.
        dtype: float32, or the integers that one of several inputs takes.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        shape: tuple[int, ...],
        convert: Callable[[int, np.ndarray], np.ndarray],
        dtype: np.dtype | None = None,
    ) -> None:
        """
        Args:
            convert: number of the first row, rows as stored [n, ...] -> `dtype` [n, *sample]; raises what is wrong.
            dtype: None for float32.
        """
        self.shape = shape
        self.dtype = dtype or np.dtype(np.float32)
        self._path, self._key, self._convert = path, key, convert

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, which: slice | np.ndarray) -> np.ndarray:
        """Rows by a slice or by positions, in that order: [n, *sample].

        Raises:
            UserInputError: they do not fit into memory, or the file is damaged.
        """
        wanted = np.arange(len(self), dtype=np.int64)[which]
        with Archive(self._path) as archive:
            header = archive.header(self._key)
            archive.require_memory(header, len(wanted) * math.prod(self.shape[1:]) * self.dtype.itemsize)
        rows = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        for start, block in self.blocks():
            low, high = np.searchsorted(ordered, [start, start + len(block)])
            if low < high:
                rows[order[low:high]] = block[ordered[low:high] - start]
        return rows

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first row, rows) through the whole array."""
        start = 0
        with Archive(self._path) as archive:
            for raw in archive.blocks(self._key):
                yield start, self._convert(start, raw)
                start += len(raw)


Rows = np.ndarray | StoredRows
"""Samples, [N, ...], in memory or in their file."""


def row_blocks(rows: Rows, block_rows: int = 1024) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first row, rows) through all samples, wherever they are."""
    if isinstance(rows, StoredRows):
        yield from rows.blocks()
        return
    for start in range(0, len(rows), block_rows):
        yield start, rows[start : start + block_rows]


class InputRows:
    """Samples of a model with several inputs: rows of each by the input's name. Sample i is the i-th row of all of them.

    Attributes:
        of: input -> its rows, [N, ...]; each has a rank and a type of its own.
    """

    def __init__(self, of: Mapping[str, Rows]) -> None:
        """
        Args:
            of: at least one input; all of one length.
        """
        counts = {name: len(rows) for name, rows in of.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"inputs have different numbers of rows: {counts}")
        self.of = dict(of)

    def __len__(self) -> int:
        return len(next(iter(self.of.values())))

    def __getitem__(self, which: slice | np.ndarray) -> InputRows:
        """The samples of a slice or at positions, in that order, in memory."""
        return InputRows({name: rows[which] for name, rows in self.of.items()})

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """One sample after the other: its row of each input, [...]."""
        arrays = {name: rows[:] for name, rows in self.of.items()}
        for position in range(len(self)):
            yield {name: rows[position] for name, rows in arrays.items()}


Samples = Rows | InputRows
"""What a dataset has of a part: rows of the one input, or of each of several."""

Arrays = np.ndarray | InputRows
"""The same in memory."""


def by_input(samples: Samples) -> Mapping[str, Rows]:
    """Rows by input; those of a model with one input stand under the empty name."""
    return samples.of if isinstance(samples, InputRows) else {"": samples}


def same_kind(samples: Samples, rows: Mapping[str, np.ndarray]) -> Arrays:
    """The way back from `by_input`."""
    return InputRows(rows) if isinstance(samples, InputRows) else rows[""]


def changed(samples: Arrays, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    """Samples of which one input's rows are others."""
    return same_kind(
        samples, {key: change(rows[:]) if key == name else rows[:] for key, rows in by_input(samples).items()}
    )


def of_input(name: str) -> str:
    """` of input 'NAME'` for sentences; nothing for the one input."""
    return f" of input '{name}'" if name else ""


def sample_blocks(samples: Samples, block_rows: int) -> Iterator[Arrays]:
    """All samples, some at a time, in memory."""
    if isinstance(samples, InputRows):
        yield from (samples[start : start + block_rows] for start in range(0, len(samples), block_rows))
        return
    yield from (block for _, block in row_blocks(samples, block_rows))


def write_samples(samples: Arrays, folder: Path, stem: str) -> Path:
    """Keeps samples in a folder: one array as a .npy, those of several inputs as an .npz with their names beside them."""
    if not isinstance(samples, InputRows):
        np.save(path := folder / f"{stem}.npy", np.ascontiguousarray(samples), allow_pickle=False)
        return path
    # By position: an input may be called as one of savez's own arguments is.
    arrays: dict[str, Any] = {f"input_{i}": rows[:] for i, rows in enumerate(samples.of.values())}
    np.savez(path := folder / f"{stem}.npz", names=np.array(list(samples.of)), allow_pickle=False, **arrays)
    return path


def read_samples(path: Path) -> Arrays:
    """What `write_samples` kept under this path."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    with np.load(path, allow_pickle=False) as archive:
        return InputRows({str(name): archive[f"input_{i}"] for i, name in enumerate(archive["names"])})


def find_samples(folder: Path, stem: str) -> Path | None:
    """Where `write_samples` kept samples in a folder; None where it kept none."""
    return next((path for suffix in (".npy", ".npz") if (path := folder / f"{stem}{suffix}").exists()), None)


def whole_samples(parts: Sequence[Sequence[bytes]]) -> Sequence[bytes]:
    """A hash of each sample from those of its inputs' rows: two samples are one where all of their inputs are.

    Args:
        parts: one sequence of hashes per input, in an order that is always the same.
    """
    if len(parts) == 1:
        return parts[0]
    return [hashlib.blake2b(b"".join(row), digest_size=16).digest() for row in zip(*parts, strict=True)]
