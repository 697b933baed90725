"""Reading an .npz file that somebody else made: every fault is named with its file, its key and what was expected.

Never with pickle: an .npz whose arrays are Python objects is refused, because loading one runs code.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends
from harness.workloads.metrics.classes import class_numbers


def _open(path: Path) -> np.lib.npyio.NpzFile:
    """Opens `path` as an .npz archive, without reading an array yet."""
    if path.is_dir():
        raise UserInputError("is a folder, expected an .npz file", where=str(path))
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
        if magic == b"\x93NUMPY":
            raise UserInputError(
                "holds one bare array (.npy), expected an .npz file of named arrays",
                where=str(path),
                hint="write it with numpy.savez(path, x_test=..., y_test=...)",
            )
        # Asked first: np.load would take any other file for a pickle, and say so.
        if magic[:2] != b"PK":
            raise UserInputError("is not an .npz file", where=str(path), hint="write one with numpy.savez")
        archive = np.load(path, allow_pickle=False)
        if not archive.files:
            archive.close()
            raise UserInputError(
                "has no arrays in it", where=str(path), hint="write it with numpy.savez(path, x_test=..., y_test=...)"
            )
        return archive
    except FileNotFoundError:
        raise UserInputError("no such file", where=str(path), hint="give the path of an .npz file") from None
    except PermissionError:
        raise UserInputError("not readable", where=str(path), hint="check the file's permissions") from None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        hint = "it is truncated or damaged; write it again with numpy.savez, or download it again"
        raise UserInputError(f"is not an .npz file that can be read ({error})", where=str(path), hint=hint) from error


def npz_keys(path: Path) -> list[str]:
    """The names of the arrays in an .npz file.

    Raises:
        UserInputError: when the file cannot be read as .npz.
    """
    with _open(path) as archive:
        return sorted(archive.files)


def read_arrays(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads named arrays from an .npz file, whole.

    Args:
        path: the file.
        required: keys that must be there.
        optional: keys that are read where they are there.

    Raises:
        UserInputError: file missing, truncated, corrupt, pickled, or without a required key.
    """
    with _open(path) as archive:
        missing = [key for key in required if key not in archive.files]
        if missing:
            raise UserInputError(
                f"has no array '{missing[0]}'",
                where=str(path),
                hint=f"expected the keys {', '.join(required)}; found {', '.join(sorted(archive.files)) or 'none'}",
            )
        arrays: dict[str, np.ndarray] = {}
        for key in [*required, *(k for k in optional if k in archive.files)]:
            try:
                arrays[key] = archive[key]
            except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
                if "allow_pickle" in str(error):
                    what, hint = f"array '{key}' holds pickled Python objects", "save plain numeric arrays"
                else:
                    what, hint = f"array '{key}' is truncated or corrupt ({error})", "write or download the file again"
                raise UserInputError(what, where=str(path), hint=hint) from error
    return arrays


def check_samples(x: np.ndarray, *, path: Path, key: str, sample_shape: tuple[int, ...] | None = None) -> None:
    """Checks that `x` is a batch of numeric, finite samples, [N, *sample_shape] with N >= 1.

    Args:
        sample_shape: the expected shape of one sample, or None for any (of at least one axis).

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    where = str(path)
    if x.dtype.kind not in "uif":
        raise UserInputError(
            f"array '{key}' has dtype {x.dtype}, expected numbers",
            where=where,
            hint="save uint8, another integer type or float32",
        )
    expected = f"[N, {', '.join(map(str, sample_shape))}]" if sample_shape else "[N, ...]"
    if x.ndim < 2 or (sample_shape is not None and x.shape[1:] != sample_shape):
        raise UserInputError(f"array '{key}' has shape {list(x.shape)}, expected {expected}", where=where)
    if x.size == 0:
        what = f"array '{key}' is empty (shape {list(x.shape)})"
        raise UserInputError(what, where=where, hint="at least one sample is needed")
    # The sum is not finite when any value is not; an overflow of finite values is told apart by the exact check.
    if x.dtype.kind == "f" and not np.isfinite(x.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        if len(bad):
            raise UserInputError(
                f"array '{key}' has NaN or infinite values in {len(bad)} of {len(x)} samples, first in sample {bad[0]}",
                where=where,
                hint="clean the data before it is saved",
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
