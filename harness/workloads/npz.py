"""Arrays of an .npz that somebody else made: every fault is named with its file, its key and what was expected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.archive import Archive
from harness.workloads.digest import array_title, arrays_digest
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.classes import class_numbers

#: arrays up to this size are hashed whole, larger ones in blocks
_WHOLE_BYTES = 256 << 20


def npz_keys(path: Path) -> list[str]:
    """The names of the arrays in an .npz file.

    Raises:
        UserInputError: when the file cannot be read as .npz.
    """
    with Archive(path) as archive:
        return archive.keys


def read_arrays(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads named arrays from an .npz file, whole.

    Args:
        path: the file.
        required: keys that must be there.
        optional: keys that are read where they are there.

    Raises:
        UserInputError: file missing, truncated, corrupt, pickled, without a required key, or too large for the memory.
    """
    with Archive(path) as archive:
        missing = [key for key in required if key not in archive.keys]
        if missing:
            beside = f"; beside them {', '.join(archive.others)}, no array" if archive.others else ""
            raise UserInputError(
                f"has no array '{missing[0]}'",
                where=str(path),
                hint=f"expected the keys {', '.join(required)}; found {', '.join(archive.keys) or 'none'}{beside}",
            )
        return {key: archive.read(key) for key in [*required, *(k for k in optional if k in archive.keys)]}


def file_digest(path: Path, keys: Sequence[str]) -> str:
    """`arrays_digest` of named arrays in a file, without all of them in memory.

    Raises:
        UserInputError: as `read_arrays`.
    """
    digest = hashlib.sha256()
    with Archive(path) as archive:
        for key in sorted(keys):
            header = archive.header(key)
            if header.size_bytes <= _WHOLE_BYTES or header.in_fortran_order or not header.shape:
                arrays_digest({key: archive.read(key)}, digest)
                continue
            digest.update(array_title(key, header.dtype, header.shape))
            for block in archive.blocks(key):
                digest.update(block.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def check_samples(x: np.ndarray, *, path: Path, key: str, sample_shape: tuple[int, ...] | None = None) -> None:
    """Checks that `x` is a batch of numeric, finite samples, [N, *sample_shape] with N >= 1.

    Args:
        sample_shape: the expected shape of one sample, or None for any (of at least one axis).

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    check_kind(x.shape, x.dtype, path=path, key=key, sample_shape=sample_shape)
    check_finite(x, path=path, key=key)


def check_kind(
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    path: Path,
    key: str,
    sample_shape: tuple[int, ...] | None = None,
    kinds: str = "uif",
    axes: int = 2,
) -> None:
    """The part of `check_samples` that an array's header tells.

    Args:
        kinds: of numbers that samples may be.
        axes: the fewest that they have, with that of the samples.
    """
    where = str(path)
    if dtype.kind not in kinds:
        raise UserInputError(
            f"array '{key}' has dtype {dtype}, expected numbers",
            where=where,
            hint="save uint8, another integer type or float32",
        )
    expected = f"[N, {', '.join(map(str, sample_shape))}]" if sample_shape else "[N, ...]"
    if len(shape) < axes or (sample_shape is not None and shape[1:] != sample_shape):
        raise UserInputError(f"array '{key}' has shape {list(shape)}, expected {expected}", where=where)
    if 0 in shape:
        what = f"array '{key}' is empty (shape {list(shape)})"
        raise UserInputError(what, where=where, hint="at least one sample is needed")


def check_finite(x: np.ndarray, *, path: Path, key: str, first: int = 0) -> None:
    """The part of `check_samples` that needs the values.

    Args:
        x: samples, the first of which is number `first` of the array.
    """
    # The sum is not finite when any value is not; an overflow of finite values is told apart by the exact check.
    if x.dtype.kind == "f" and not np.isfinite(x.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        if len(bad):
            raise UserInputError(
                f"array '{key}' has NaN or infinite values in {len(bad)} of {len(x)} samples, first in sample {first + bad[0]}",
                where=str(path),
                hint="clean the data before it is saved",
            )
    if x.dtype.kind == "f" and x.dtype.itemsize > 4 and x.size:
        # Models take float32 at most: as such these would be infinite.
        bad = np.flatnonzero((np.abs(x) > np.finfo(np.float32).max).reshape(len(x), -1).any(axis=1))
        if len(bad):
            raise UserInputError(
                f"array '{key}' has values beyond float32's range (3.4e38) in {len(bad)} of {len(x)} samples, first in "
                f"sample {first + bad[0]}",
                where=str(path),
                hint="scale the data before they are saved",
            )


def check_labels(y: np.ndarray, *, count: int, path: Path, key: str, classes: int | None = None) -> np.ndarray:
    """Checks class labels and returns them as int64, [N].

    Args:
        y: integer, [N] or [N, 1].
        count: how many samples there are.
        classes: labels must lie in 0..classes-1; None checks only that they are not negative.

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    numbers = class_numbers(y, Ends(units=classes, squashed=True, where=str(path), key=key), classes=classes)
    if len(numbers) != count:
        raise UserInputError(f"array '{key}' has {len(numbers)} labels for {count} samples", where=str(path))
    return numbers
