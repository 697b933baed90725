"""Samples that stay in their file: as many rows as are asked for come into memory, and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from harness.workloads.archive import Archive


class StoredRows:
    """The rows of a large array in an .npz, float32 as a model takes them, read when they are indexed.

    Each look reads the file once, in blocks, so ask for many rows at a time.

    Attributes:
        shape: [N, *sample], as `convert` gives it.
    """

    def __init__(
        self, path: Path, key: str, shape: tuple[int, ...], convert: Callable[[int, np.ndarray], np.ndarray]
    ) -> None:
        """
        Args:
            convert: number of the first row, rows as stored [n, ...] -> float32 [n, *sample]; raises what is wrong.
        """
        self.shape = shape
        self.dtype = np.dtype(np.float32)
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
        """Rows by a slice or by positions, in that order: float32 [n, *sample].

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
