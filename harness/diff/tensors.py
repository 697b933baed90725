"""How one tensor is stored against another: type, scales, zero points, channels, values; in words that fit into a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.core.errors import UserInputError
from harness.tflite.graph import Tensor

#: in the place of scales
NO_QUANTIZATION = "none"

Aspect = Literal["shape", "type", "quantization", "values", "presence"]


@dataclass(frozen=True, kw_only=True)
class TensorChange:
    """A difference between two tensors that stand in the same place.

    Attributes:
        role: `weights`, `bias`, `output`, `input 1` ...
        aspect: what of it differs.
        before, after: in words.
        note: how far apart, where that is a number.
    """

    role: str
    aspect: Aspect
    before: str
    after: str
    note: str = ""


def compare_tensors(role: str, a: Tensor | None, b: Tensor | None) -> list[TensorChange]:
    """All differences but names. None: the tensor is absent."""
    if a is None or b is None:
        if a is b:
            return []
        return [TensorChange(role=role, aspect="presence", before=_presence(a), after=_presence(b))]
    found = []
    if a.shape != b.shape or a.shape_signature != b.shape_signature:
        found.append(TensorChange(role=role, aspect="shape", before=shape_text(a), after=shape_text(b)))
    if a.dtype != b.dtype:
        found.append(TensorChange(role=role, aspect="type", before=a.dtype, after=b.dtype, note=_bits(a, b)))
    if _quantization(a) != _quantization(b):
        change = TensorChange(
            role=role,
            aspect="quantization",
            before=quantization_text(a),
            after=quantization_text(b),
            note=_scales_apart(a, b),
        )
        found.append(change)
    if a.is_constant or b.is_constant:
        found += _values(role, a, b)
    return found


def shape_text(tensor: Tensor) -> str:
    """`[1, 28, 28, 1]`, open dimensions as `?`."""
    sizes = tensor.shape_signature or tensor.shape
    return "[" + ", ".join("?" if size < 0 else str(size) for size in sizes) + "]"


def quantization_text(tensor: Tensor) -> str:
    """`scale 0.0039, zero point -128`; `32 channels along 0, scales 0.0012 to 0.034, zero point 0`; `none`."""
    if tensor.details is not None:
        return tensor.details
    if not tensor.is_quantized:
        return NO_QUANTIZATION
    points = set(tensor.zero_points)
    point = f"zero point {tensor.zero_points[0]}" if len(points) == 1 else f"zero points {min(points)} to {max(points)}"
    if not tensor.per_channel:
        return f"scale {tensor.scales[0]:.6g}, {point}"
    low, high = min(tensor.scales), max(tensor.scales)
    return f"{len(tensor.scales)} channels along {tensor.quantized_dimension}, scales {low:.4g} to {high:.4g}, {point}"


def real_values(tensor: Tensor) -> np.ndarray | None:
    """A constant's values as real numbers, float64; None where they cannot be had."""
    try:
        values = tensor.data().astype(np.float64)
    except (UserInputError, ValueError, TypeError):
        return None
    if not tensor.is_quantized or tensor.details is not None:
        return values
    scales, points = np.array(tensor.scales), np.array(tensor.zero_points, dtype=np.float64)
    if tensor.per_channel:
        axis = tensor.quantized_dimension
        if not 0 <= axis < values.ndim or values.shape[axis] != len(scales):
            return None
        shape = [-1 if d == axis else 1 for d in range(values.ndim)]
        scales, points = scales.reshape(shape), points.reshape(shape)
    return (values - points) * scales


def _quantization(tensor: Tensor) -> tuple[object, ...]:
    if not tensor.is_quantized and tensor.details is None:
        return ()
    axis = tensor.quantized_dimension if tensor.per_channel else 0
    return tensor.scales, tensor.zero_points, axis, tensor.details


def _presence(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{tensor.dtype} {shape_text(tensor)}"


def _bits(a: Tensor, b: Tensor) -> str:
    return f"{a.bits} to {b.bits} bits" if a.bits and b.bits and a.bits != b.bits else ""


def _scales_apart(a: Tensor, b: Tensor) -> str:
    """How far scales are apart where both have several, and as many."""
    if len(a.scales) < 2 or len(a.scales) != len(b.scales) or not a.is_quantized or not b.is_quantized:
        return ""
    one, two = np.array(a.scales), np.array(b.scales)
    if (one == 0).any():
        return ""
    apart = float(np.abs(two / one - 1).max())
    return "scales equal" if apart == 0 else f"scales at most {apart:.2%} apart"


def _values(role: str, a: Tensor, b: Tensor) -> list[TensorChange]:
    """How far two constants are apart as real numbers."""
    if a.raw is not None and b.raw is not None and a.raw == b.raw and a.dtype == b.dtype:
        return []
    if a.is_constant != b.is_constant:
        words = {True: "constant", False: "computed"}
        return [TensorChange(role=role, aspect="values", before=words[a.is_constant], after=words[b.is_constant])]
    one, two = real_values(a), real_values(b)
    if one is None or two is None or one.shape != two.shape or not one.size:
        return (
            []
            if a.shape != b.shape
            else [TensorChange(role=role, aspect="values", before="", after="", note="that differ")]
        )
    power, error = float((one**2).mean()), float(((two - one) ** 2).mean())
    if error == 0:
        return []  # other bytes of the same values, as after a change of type
    if not np.isfinite(power) or not np.isfinite(error):
        note = "that are no numbers in one of them"
    elif power == 0:
        note = f"{error**0.5:.3g} (RMS) from all zeros"
    else:
        note = f"{10 * np.log10(power / error):.1f} dB from A's"
    return [TensorChange(role=role, aspect="values", before=_span(one), after=_span(two), note=note)]


def _span(values: np.ndarray) -> str:
    return f"{values.min():.4g} to {values.max():.4g}"
