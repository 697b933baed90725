"""From stored integers to real numbers: the quantization of one tensor, r = S (q - Z)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import schema
from harness.tflite.cut.tree import Record
from harness.tflite.unpack import unpack_elements

#: stored values of each type that activations may have
LIMITS = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int2": (-2, 1),
}
#: types that hold quantized values in constants only: bias, and what was computed from them
WIDE = ("int32", "int64")


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """The affine quantization of a tensor, per tensor or along `axis`."""

    dtype: str
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int

    @property
    def bits(self) -> int:
        return schema.TYPE_BITS[self.dtype] or 0

    def real_range(self) -> tuple[float, float]:
        """The smallest and the largest real number that the type can hold.

        Raises:
            UnsupportedError: one range per channel, which activations do not have.
        """
        if self.scales.size != 1:
            raise UnsupportedError("an activation has one scale per channel")
        low, high = LIMITS[self.dtype]
        scale, zero = float(self.scales[0]), float(self.zero_points[0])
        return scale * (low - zero), scale * (high - zero)


def quantization_of(tensor: Record) -> Quantization | None:
    """The tensor's quantization; None for tensors that hold no quantized values.

    Raises:
        UnsupportedError: one that is not affine (blockwise, custom), or scales that do not fit the shape.
    """
    dtype, stored = schema.type_name(tensor.number("type")), tensor["quantization"]
    if stored is None or dtype not in (*LIMITS, *WIDE):
        return None
    if stored["details"] is not None:
        raise UnsupportedError(f"'{tensor.text('name')}' is quantized by {stored['details'].table}")
    scales = _vector(stored["scale"], np.float32)
    if not np.isfinite(scales).all():
        raise UnsupportedError(f"'{tensor.text('name')}' has a scale that is not a finite number")
    if not scales.any():
        return None
    zeros = _vector(stored["zero_point"], np.int64)
    zeros = np.zeros(scales.size) if not zeros.size else zeros
    shape, axis = tensor.indices("shape"), stored.number("quantized_dimension")
    if scales.size > 1 and (not 0 <= axis < len(shape) or shape[axis] != scales.size):
        raise UnsupportedError(f"'{tensor.text('name')}' has {scales.size} scales and shape {list(shape)}")
    if zeros.size not in (1, scales.size):
        raise UnsupportedError(f"'{tensor.text('name')}' has {scales.size} scales and {zeros.size} zero points")
    return Quantization(dtype=dtype, scales=scales.astype(np.float64), zero_points=zeros.astype(np.float64), axis=axis)


def stored_values(tensor: Record, raw: bytes | memoryview) -> np.ndarray:
    """The numbers of a constant as stored, in its shape.

    Raises:
        UnsupportedError: stored sparse, or not enough bytes for the shape.
    """
    if tensor["sparsity"] is not None:
        raise UnsupportedError(f"'{tensor.text('name')}' is stored sparse")
    shape = tensor.indices("shape")
    dtype = schema.type_name(tensor.number("type"))
    try:
        return unpack_elements(memoryview(raw), dtype, int(np.prod(shape, dtype=np.int64))).reshape(shape)
    except ValueError as error:
        raise UnsupportedError(f"'{tensor.text('name')}' cannot be read: {error}") from None


def real_values(stored: np.ndarray, quantization: Quantization) -> np.ndarray:
    """float32 array of the same shape, computed in float64."""
    scales, zeros = quantization.scales, quantization.zero_points
    if scales.size > 1:
        spread = [1] * stored.ndim
        spread[quantization.axis] = -1
        scales = scales.reshape(spread)
        zeros = zeros.reshape(spread) if zeros.size > 1 else zeros
    with np.errstate(over="ignore"):  # a scale of 1e38 makes infinities, which the runtime will answer for
        return (scales * (stored.astype(np.float64) - zeros)).astype(np.float32)


def _vector(values: np.ndarray | None, dtype: type) -> np.ndarray:
    return np.zeros(0, dtype) if values is None else np.asarray(values).astype(dtype)
