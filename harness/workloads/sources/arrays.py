"""Arrays: those of an .npz, and those that a function of the user's gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.workloads.archive import Archive
from harness.workloads.input_keys import array_of, input_keys
from harness.workloads.input_names import ModelInput
from harness.workloads.metrics.base import Ends
from harness.workloads.outputs import label_keys
from harness.workloads.rows import InputRows
from harness.workloads.sequences import SEQUENCE
from harness.workloads.sources.parts import Found, Part, PartName, Places

_OWN_KEYS: tuple[tuple[PartName, str, str], ...] = (
    ("train", "x_train", "y_train"),
    ("calibration", "x_calibration", "y_calibration"),
    ("calibration", "x_val", "y_val"),
    ("test", "x_test", "y_test"),
)
_KEYS = {key for _, x, y in _OWN_KEYS for key in (x, y)} | {"x", "y", "scale", "offset", SEQUENCE}


def read_npz(path: Path, several: Sequence[ModelInput] = (), outputs: Sequence[Ends] = ()) -> Found:
    """The arrays of an .npz.

    Args:
        several: the inputs of a model with more than one.
        outputs: the model's.

    Raises:
        UserInputError: as `Archive`, or it has no samples for the model.
    """
    with Archive(path) as archive:
        if several:
            arrays = {key: archive.read(key) for key in archive.keys}
            return several_arrays(arrays, str(path), several, outputs)
        labels = _labels_of(archive.keys, "x_test" in archive.keys, outputs, str(path))
        wanted = _KEYS | {key for of in labels.values() for key in of.values()}
        arrays = {key: archive.read(key) for key in archive.keys if key in wanted}
        others = [key for key in archive.keys if key not in wanted]
        return found_arrays(arrays, str(path), others=others, outputs=outputs)


def _labels_of(keys: Sequence[str], split: bool, outputs: Sequence[Ends], where: str) -> dict[str, dict[str, str]]:
    """`y_test` and the like -> what an output is called behind it -> its array. None where the model has one output.

    Args:
        split: whether the samples are parts already.

    Raises:
        UserInputError: labels that belong to no output, or to one of two arrays.
    """
    bases = [y for _, _, y in _OWN_KEYS] if split else ["y"]
    found = {base: label_keys(keys, base, outputs, where).values() for base in bases} if len(outputs) > 1 else {}
    return {base: {key.removeprefix(f"{base}_"): key for key in of if key != base} for base, of in found.items()}


def channels_first(path: Path, io: TensorIo | None, several: Sequence[ModelInput]) -> tuple[str, ...]:
    """The inputs for which the samples of an .npz fit only with their channels moved from the front to the end; the one input's
    name is empty.

    Args:
        io: the model's one input.
        several: the inputs of a model with more than one.
    """
    if not path.is_file() or path.suffix.lower() != ".npz":
        return ()
    inputs: dict[str, TensorIo | None] = {one.name: one.io for one in several} or {"": io}
    with Archive(path) as archive:
        keys = input_keys(archive.keys, several, str(path))
        shapes = {name: archive.header(key).shape[1:] for name, key in keys.parts.get(keys.test, {}).items()}
    return tuple(name for name, shape in shapes.items() if _in_front(shape, inputs[name]))


def _in_front(shape: tuple[int, ...], io: TensorIo | None) -> bool:
    if io is None or len(io.sample_shape) != 3 or len(shape) != 3:
        return False
    return not _fits(shape, io) and _fits((*shape[1:], shape[0]), io)


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
    found = Found(what="arrays", scaling={"": _scaling(arrays, "", where)}, sequence=arrays.get(SEQUENCE))
    if others:
        found.evidence["data.path"] = f"the arrays {', '.join(sorted(others)[:6])} are left alone"
    labels = _labels_of(list(arrays), "x_test" in arrays, outputs, where)
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


def several_arrays(
    arrays: Mapping[str, np.ndarray], where: str, several: Sequence[ModelInput], outputs: Sequence[Ends] = ()
) -> Found:
    """Parts of named arrays for a model with several inputs.

    Args:
        outputs: the model's, each of which may have labels of its own.

    Raises:
        UserInputError: an input without an array, an array of no input, or counts that differ.
    """
    keys = input_keys(list(arrays), several, where)
    split = keys.test in keys.parts and keys.test != "x"
    labels = _labels_of(keys.others, split, outputs, where)
    scaling = {one.name: _scaling(arrays, one.name, where) for one in several}
    found = Found(what=f"arrays of {len(several)} inputs", scaling=scaling, sequence=arrays.get(SEQUENCE))
    if split:
        for name, x, y in _OWN_KEYS:
            if x in keys.parts and name not in found.parts:
                found.parts[name] = _several_part(arrays, keys.parts[x], y, labels.get(y, {}), where)
        told = ", ".join(key for part in keys.parts.values() for key in part.values())
        found.evidence["data.test"] = f"the arrays {told} are parts already"
    else:
        found.whole = _several_part(arrays, keys.parts["x"], "y", labels.get("y", {}), where)
    return found


def _several_part(
    arrays: Mapping[str, np.ndarray], inputs: Mapping[str, str], y_key: str, further: Mapping[str, str], where: str
) -> Part:
    """One part, of which each input has an array.

    Args:
        inputs: input -> array.
        further: what an output is called -> the array of its labels.
    """
    parts = {name: _part(arrays, key, y_key, further, where, least_axes=1) for name, key in inputs.items()}
    counts = {inputs[name]: len(part.x) for name, part in parts.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"'{key}' {count:,}" for key, count in counts.items())
        raise UserInputError(f"the arrays hold different numbers of samples: {told}", where=where)
    first = next(iter(parts.values()))
    rows = InputRows({name: part.x for name, part in parts.items() if isinstance(part.x, np.ndarray)})
    return Part(x=rows, y=first.y, places=first.places, y_of=first.y_of)


def _scaling(arrays: Mapping[str, np.ndarray], name: str, where: str) -> tuple[float, float]:
    """The scale and the offset that stand beside the samples of an input."""
    scale, offset = (
        _number(arrays[key], key, where) if (key := array_of(base, name)) in arrays else plain
        for base, plain in (("scale", 1.0), ("offset", 0.0))
    )
    return scale, offset


def _part(
    arrays: Mapping[str, np.ndarray],
    x_key: str,
    y_key: str,
    further: Mapping[str, str],
    where: str,
    least_axes: int = 2,
) -> Part:
    """One part.

    Args:
        further: what an output is called -> the array of its labels.
    """
    x, y = arrays[x_key], arrays.get(y_key)
    if x.dtype.kind not in "uifb" or x.ndim < least_axes or not x.size:
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
