"""Nodes that the host computes: what stands on constants and shapes alone never reaches the board.

Converters leave SHAPE, STRIDED_SLICE and PACK in front of a RESHAPE wherever the batch is dynamic, and DEQUANTIZE behind
constants. Index arithmetic is done in the tensor's own integer type, as a runtime does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.plan.slices import strided
from harness.tflite.plan.values import EIGHT_BITS, Value

#: the most elements of a folded result: what follows from an index is small, a weight may be as large as the file allows
_MOST_ELEMENTS = 1 << 26
_CASTS = {"int32", "int64", "float32", "uint8", "int8"}


def fold(op: str, options: Mapping[str, Any], inputs: Sequence[Value | None], target: Value) -> np.ndarray | None:
    """The output of a node whose inputs are constants (of SHAPE and RANK: any input).

    Args:
        inputs: by position; None where absent.
        target: the output as the .tflite declares it.

    Returns:
        The values as the lowering keeps constants; None when the node is not one that the host computes.

    Raises:
        UnsupportedError: indices that fit nothing.
    """
    if op in ("SHAPE", "RANK") and inputs and inputs[0] is not None:
        source = inputs[0]
        return np.array(source.shape if op == "SHAPE" else len(source.shape), _integer_type(target))
    present = [value for value in inputs if value is not None]
    if not present or any(value.data is None for value in present):
        return None
    if op == "DEQUANTIZE":
        return _dequantize(present[0])
    if op == "QUANTIZE":
        return _quantize(present[0], target)
    arrays = [value.data for value in present if value.data is not None]
    if op in _MOVES:
        return _guarded(op, lambda: _MOVES[op](arrays, options))
    if op in _ARITHMETIC and all(a.dtype.kind == "i" and a.dtype.itemsize >= 4 for a in arrays):
        return _guarded(op, lambda: _ARITHMETIC[op](arrays, options))
    if op == "CAST" and target.dtype in _CASTS and arrays[0].dtype.kind in "if" and present[0].dtype not in EIGHT_BITS:
        return arrays[0].astype(target.dtype) if target.dtype not in EIGHT_BITS else None
    return None


def _guarded(op: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """numpy's complaints about indices as a refusal."""
    try:
        with np.errstate(all="ignore"):
            result = compute()
    except (ValueError, IndexError, OverflowError, MemoryError, TypeError) as error:
        raise UnsupportedError(
            f"its constant inputs do not fit together: {error}", hint=f"this {op} is damaged"
        ) from None
    if result.size > _MOST_ELEMENTS:
        raise UnsupportedError(f"a constant of {result.size} elements")
    return result


def _integer_type(target: Value) -> type:
    return np.int64 if target.dtype == "int64" else np.int32


def _dequantize(source: Value) -> np.ndarray | None:
    if source.data is None:
        return None
    if source.dtype in ("float16", "bfloat16", "float32"):
        return source.data.astype(np.float32)
    axis = source.quantized_dimension
    if source.dtype not in EIGHT_BITS or not source.scales:
        return None
    per_channel = len(source.scales) > 1
    if per_channel and not (0 <= axis < source.data.ndim and source.data.shape[axis] == len(source.scales)):
        return None
    along = [-1 if d == axis else 1 for d in range(source.data.ndim)] if per_channel else []
    scales = np.array(source.scales, np.float32).reshape(along)
    steps = source.data.astype(np.int32) - np.array(source.zero_points, np.int32).reshape(along)
    return np.asarray(scales * steps.astype(np.float32), np.float32)


def _quantize(source: Value, target: Value) -> np.ndarray | None:
    """float32 to 8 bits, half away from zero (kn_quantize)."""
    if source.data is None or source.dtype != "float32" or target.dtype not in EIGHT_BITS or len(target.scales) != 1:
        return None
    with np.errstate(all="ignore"):
        ratio = source.data.astype(np.float32) / np.float32(target.scale)
    steps = np.copysign(np.floor(np.abs(ratio.astype(np.float64)) + 0.5), ratio) + target.zero_point
    return np.clip(np.nan_to_num(steps, nan=-128.0, posinf=127.0, neginf=-128.0), -128, 127).astype(np.int8)


def _slice(arrays: list[np.ndarray], _options: Mapping[str, Any]) -> np.ndarray:
    data, begin, size = arrays
    ends = [None if length == -1 else low + length for low, length in zip(begin.tolist(), size.tolist(), strict=True)]
    if begin.min(initial=0) < 0 or size.min(initial=0) < -1:
        raise ValueError(f"begin {begin.tolist()} and size {size.tolist()}")
    return data[tuple(slice(low, end) for low, end in zip(begin.tolist(), ends, strict=True))]


def _strided_slice(arrays: list[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
    data, begin, end, steps = arrays
    cut = strided(data.shape, begin.tolist(), end.tolist(), steps.tolist(), options)
    index = np.full(cut.view.dims, cut.view.start)
    for axis, (size, stride) in enumerate(zip(cut.view.dims, cut.view.strides, strict=True)):
        index += (np.arange(size) * stride).reshape([size if d == axis else 1 for d in range(len(cut.view.dims))])
    return data.reshape(-1)[index].reshape(cut.shape)


def _gather(arrays: list[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
    data, indices = arrays
    axis = options.get("axis", 0)
    if options.get("batch_dims", 0) or (indices.size and (indices.min() < 0 or indices.max() >= data.shape[axis])):
        raise ValueError(f"indices {indices.tolist()}")
    return np.take(data, indices, axis=axis)


def _reshape(arrays: list[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
    shape = arrays[1].tolist() if len(arrays) > 1 else options.get("new_shape", [])
    return arrays[0].reshape(shape)


def _squeeze(arrays: list[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
    return np.squeeze(arrays[0], axis=tuple(options.get("squeeze_dims", [])) or None)


def _reduce_prod(arrays: list[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
    axes = tuple(int(a) for a in arrays[1].reshape(-1))
    return np.prod(arrays[0], axis=axes, keepdims=bool(options.get("keep_dims", False)), dtype=arrays[0].dtype)


def _plain(function: Callable[..., np.ndarray]) -> Callable[[list[np.ndarray], Mapping[str, Any]], np.ndarray]:
    def compute(arrays: list[np.ndarray], options: Mapping[str, Any]) -> np.ndarray:
        if options.get("fused_activation_function", "NONE") != "NONE":
            raise ValueError("a fused activation on indices")
        first, second = arrays
        return np.asarray(function(first, second), dtype=first.dtype)

    return compute


def _divide(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if not second.all():
        raise ValueError("division by 0")
    return first // second


_Function = Callable[[list[np.ndarray], Mapping[str, Any]], np.ndarray]
#: ops that move values, of any type
_MOVES: dict[str, _Function] = {
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "GATHER": _gather,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": lambda a, o: np.expand_dims(a[0], int(a[1].reshape(-1)[0])),
    "TRANSPOSE": lambda a, o: np.ascontiguousarray(np.transpose(a[0], a[1].tolist())),
    "PACK": lambda a, o: np.stack(a, axis=o.get("axis", 0)),
    "FILL": lambda a, o: np.full(_small(a[0].tolist()), a[1].reshape(-1)[0], a[1].dtype),
}
#: ops on indices only: 8-bit and float tensors of these go to the board
_ARITHMETIC: dict[str, _Function] = {
    "CONCATENATION": lambda a, o: np.concatenate(a, axis=o.get("axis", 0)),
    "ADD": _plain(np.add),
    "SUB": _plain(np.subtract),
    "MUL": _plain(np.multiply),
    "MAXIMUM": _plain(np.maximum),
    "MINIMUM": _plain(np.minimum),
    "FLOOR_DIV": _plain(_divide),
    "REDUCE_PROD": _reduce_prod,
    "RANGE": lambda a, o: np.arange(*_small_range([int(x.reshape(-1)[0]) for x in a]), dtype=a[0].dtype),
}


def _small(shape: list[int]) -> list[int]:
    if np.prod([max(size, 0) for size in shape], dtype=np.float64) > _MOST_ELEMENTS:
        raise ValueError(f"a constant of shape {shape}")
    return shape


def _small_range(bounds: list[int]) -> list[int]:
    if len(bounds) != 3 or bounds[2] == 0 or len(range(*bounds)) > _MOST_ELEMENTS:
        raise ValueError(f"a range of {bounds}")
    return bounds
