"""Arrays: those of an .npz, and those that a function of the user's gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.workloads.archive import Archive
from harness.workloads.metrics.base import Ends
from harness.workloads.outputs import label_keys
from harness.workloads.sources.parts import Found, Part, PartName, Places

_OWN_KEYS: tuple[tuple[PartName, str, str], ...] = (
    ("train", "x_train", "y_train"),
    ("calibration", "x_calibration", "y_calibration"),
    ("calibration", "x_val", "y_val"),
    ("test", "x_test", "y_test"),
)
_KEYS = {key for _, x, y in _OWN_KEYS for key in (x, y)} | {"x", "y", "scale", "offset"}


def read_npz(path: Path, outputs: Sequence[Ends] = ()) -> Found:
    """The arrays of an .npz.

    Args:
        outputs: the model's.

    Raises:
        UserInputError: as `Archive`, or it has neither `x` nor `x_test`.
    """
    with Archive(path) as archive:
        wanted = _KEYS | {key for of in _labels_of(archive.keys, outputs, str(path)).values() for key in of.values()}
        arrays = {key: archive.read(key) for key in archive.keys if key in wanted}
        others = [key for key in archive.keys if key not in wanted]
        return found_arrays(arrays, str(path), others=others, outputs=outputs)


def _labels_of(keys: Sequence[str], outputs: Sequence[Ends], where: str) -> dict[str, dict[str, str]]:
    """`y_test` and the like -> what an output is called behind it -> its array. None where the model has one output.

    Raises:
        UserInputError: labels that belong to no output, or to one of two arrays.
    """
    bases = [y for _, _, y in _OWN_KEYS] if "x_test" in keys else ["y"]
    found = {base: label_keys(keys, base, outputs, where).values() for base in bases} if len(outputs) > 1 else {}
    return {base: {key.removeprefix(f"{base}_"): key for key in of if key != base} for base, of in found.items()}


def channels_first(path: Path, io: TensorIo | None) -> str | None:
    """`nchw` for an .npz whose samples fit a model only with their channels moved from the front to the end; None for any other.

    Args:
        io: the model's input.
    """
    if io is None or len(io.sample_shape) != 3 or not path.is_file() or path.suffix.lower() != ".npz":
        return None
    with Archive(path) as archive:
        key = "x_test" if "x_test" in archive.keys else "x"
        shape = archive.header(key).shape[1:] if key in archive.keys else ()
    if len(shape) != 3 or _fits(shape, io):
        return None
    return "nchw" if _fits((*shape[1:], shape[0]), io) else None


def _fits(shape: tuple[int, ...], io: TensorIo) -> bool:
    return all(want in (-1, size) for want, size in zip(io.sample_shape, shape, strict=True))


def found_arrays(
    arrays: Mapping[str, np.ndarray], where: str, *, others: list[str], outputs: Sequence[Ends] = ()
) -> Found:
    """Parts of named arrays.

    Args:
        others: names of arrays that are left alone.
        outputs: the model's, each of which may have labels of its own.

    Raises:
        UserInputError: names that say nothing, or counts that differ.
    """
    numbers = {key: _number(arrays[key], key, where) for key in ("scale", "offset") if key in arrays}
    found = Found(what="arrays", scale=numbers.get("scale", 1.0), offset=numbers.get("offset", 0.0))
    if others:
        found.evidence["data.path"] = f"the arrays {', '.join(sorted(others)[:6])} are left alone"
    labels = _labels_of(list(arrays), outputs, where)
    if "x_test" in arrays:
        for name, x, y in _OWN_KEYS:
            if x in arrays and name not in found.parts:
                found.parts[name] = _part(arrays, x, y, labels.get(y, {}), where)
        found.evidence["data.test"] = f"the arrays {', '.join(f'x_{n}' for n in found.parts)} are parts already"
    elif "x" in arrays:
        found.whole = _part(arrays, "x", "y", labels.get("y", {}), where)
    else:
        raise UserInputError(
            f"has neither 'x_test' nor 'x'; found {', '.join(sorted([*arrays, *others])) or 'nothing'}",
            where=where,
            hint="name the arrays x_train, y_train, x_test, y_test, or x and y",
        )
    return found


def _part(arrays: Mapping[str, np.ndarray], x_key: str, y_key: str, further: Mapping[str, str], where: str) -> Part:
    """One part.

    Args:
        further: what an output is called -> the array of its labels.
    """
    x, y = arrays[x_key], arrays.get(y_key)
    if x.dtype.kind not in "uifb" or x.ndim < 2 or not x.size:
        seen = f"array '{x_key}' is {x.dtype} of shape {list(x.shape)}"
        raise UserInputError(f"{seen}, expected numbers [N, ...] of at least one sample", where=where)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))
        what = f"array '{x_key}' has NaN or infinite values in {len(bad)} of {len(x)} samples, first in sample {bad[0]}"
        raise UserInputError(what, where=where, hint="clean the data before they are saved")
    for key in (y_key, *further.values()):
        labels = arrays.get(key)
        if labels is not None and (labels.ndim == 0 or len(labels) != len(x)):
            count = 0 if labels.ndim == 0 else len(labels)
            raise UserInputError(f"array '{key}' has {count} labels for {len(x)} samples", where=where)
    y_of = {name: arrays[key] for name, key in further.items()}
    return Part(x=x, y=y, places=Places(key=x_key, total=len(x)), y_of=y_of)


def _number(array: np.ndarray, key: str, where: str) -> float:
    if array.size != 1 or array.dtype.kind not in "uif" or not np.isfinite(array).all():
        what = f"array '{key}' is {array.dtype} of shape {list(array.shape)}, expected one finite number"
        raise UserInputError(what, where=where)
    return float(array.reshape(()))
