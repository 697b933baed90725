"""Samples as a model's input wants them: shape and dtype, quantized by the input's own scale and zero point."""

from __future__ import annotations

import numpy as np

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo

#: samples converted at a time: bounds the memory of intermediate float arrays
_CHUNK = 1024


def quantize_samples(x: np.ndarray, io: TensorIo) -> np.ndarray:
    """Converts samples to a model input's dtype and shape.

    Quantized inputs: round(x / scale) + zero_point in float32, half away from zero, clipped to the dtype's range: what
    the runtime's own QUANTIZE kernel does, so that a float-input and an integer-input model see the same integers.
    Integer inputs without a scale, such as indices of words, take whole numbers as they are.

    Args:
        x: numbers, [N, ...], as the float model takes them.
        io: the model's input. A first axis of 1 or -1 is the batch; other axes may be -1, which fits any size.

    Returns:
        [N, *io.sample_shape] in `io.dtype`. A trailing channel axis of 1 is added or dropped where that makes the shapes fit.

    Raises:
        UserInputError: the shapes do not fit, or the input's dtype or quantization cannot take these samples.
    """
    shaped = x.reshape(fitting_shape(x.shape, io))
    if io.dtype in ("float32", "float16"):
        return shaped.astype(io.dtype, copy=False)
    if io.dtype not in ("int8", "uint8", "int16", "int32", "int64", "bool"):
        raise UserInputError(
            f"the input has dtype {io.dtype}, which samples are not converted to",
            where=f"input '{io.name}'",
            hint="inputs of float32, float16, int8, uint8, int16, int32, int64 and bool are supported",
        )
    if is_whole_input(io):
        return whole_numbers(shaped, io)
    dtype = np.dtype(io.dtype)
    limits = np.iinfo(dtype)
    out = np.empty(shaped.shape, dtype=dtype)
    for start in range(0, len(shaped), _CHUNK):
        steps = _round(shaped[start : start + _CHUNK].astype(np.float32) / np.float32(io.scale)) + io.zero_point
        out[start : start + _CHUNK] = np.clip(steps, limits.min, limits.max).astype(dtype)
    return out


def is_whole_input(io: TensorIo) -> bool:
    """Whether an input takes whole numbers that stand for themselves: indices of words, yes and no."""
    return not io.dtype.startswith("float") and not io.scale > 0


def whole_numbers(x: np.ndarray, io: TensorIo) -> np.ndarray:
    """Samples in the type of an input that takes whole numbers.

    Raises:
        UserInputError: they are no whole numbers, or none that the type holds.
    """
    low, high = (0, 1) if io.dtype == "bool" else (np.iinfo(io.dtype).min, np.iinfo(io.dtype).max)
    if x.dtype.kind == "f" and not np.array_equal(x, np.trunc(x)):
        what = f"the {io.dtype} input carries no quantization scale, and the samples are no whole numbers"
        hint = "give whole numbers, or convert the model with quantized or float inputs"
        raise UserInputError(what, where=f"input '{io.name}'", hint=hint)
    if x.size and (x.min() < low or x.max() > high):
        what = f"the samples run from {x.min():g} to {x.max():g}, the {io.dtype} input takes {low} to {high}"
        raise UserInputError(what, where=f"input '{io.name}'", hint="scale the samples, or give those of this model")
    return x.astype(io.dtype, copy=False)


def _round(x: np.ndarray) -> np.ndarray:
    """Rounds half away from zero, as C's `round` does; numpy's rounds half to even."""
    whole = np.trunc(x)
    return whole + np.where(np.abs(x - whole) >= 0.5, np.sign(x), 0).astype(x.dtype)


def fitting_shape(have: tuple[int, ...], io: TensorIo) -> tuple[int, ...]:
    """The shape, with the batch, under which samples of shape `have` (with the batch) fit a model's input.

    Raises:
        UserInputError: no way to see the samples fits.
    """
    want = io.sample_shape
    count, sample = have[0] if have else 0, have[1:]
    candidates = [sample, (*sample, 1)] + ([sample[:-1]] if sample[-1:] == (1,) else [])
    for candidate in candidates:
        if len(candidate) == len(want) and all(w in (-1, c) for w, c in zip(want, candidate, strict=True)):
            return (count, *candidate)
    expected = ", ".join("any" if axis == -1 else str(axis) for axis in want)
    if io.shape[1:] == sample and want == io.shape:
        raise UserInputError(
            f"the model takes {io.shape[0]} samples at once: its input is [{expected}]",
            where=f"input '{io.name}'",
            hint="export it with a batch of 1",
        )
    raise UserInputError(
        f"samples have shape {list(sample)}, the model takes [{expected}]",
        where=f"input '{io.name}'",
        hint=_remedy(sample, want),
    )


def _remedy(sample: tuple[int, ...], want: tuple[int, ...]) -> str:
    """What to do with samples that do not fit; a usual other layout is named, because `reshape` would only mix its values up."""
    for order, words, setting in (
        ((1, 2, 0), "their channels stand in front: transpose them, x.transpose(0, 2, 3, 1)", "nchw"),
        (
            (2, 0, 1),
            "their channels stand last, and the model's in front: transpose them, x.transpose(0, 3, 1, 2)",
            None,
        ),
        ((1, 0, 2), "rows and columns are exchanged: transpose them, x.transpose(0, 2, 1, 3)", "nwhc"),
    ):
        if len(sample) == len(want) == 3 and all(w in (-1, sample[o]) for w, o in zip(want, order, strict=True)):
            project = f', or layout = "{setting}" under [preprocessing] of harness.toml' if setting else ""
            return f"{words}{project}; reshape would mix the values up"
    return "reshape the samples (first axis: sample number), or use the model that belongs to them"
