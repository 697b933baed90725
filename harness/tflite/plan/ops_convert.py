"""RESIZE_BILINEAR, and CAST."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.plan import ops_index
from harness.tflite.plan.ops_more import int8_activation
from harness.tflite.plan.ops_move import SAME_HINT, is_same
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.values import ITEM_BYTES, Value, operand_of

_ONE = 1 << 10
_WIDTHS = {"int8": (1, -128, 127), "int16": (2, -32768, 32767), "int32": (4, -(2**31), 2**31 - 1)}


def resize_bilinear(rule: NodeRule) -> None:
    """Of int8 and int16. Source: ResizeBilinearInteger of TensorFlow Lite 2.14, 10 bits for positions between pixels."""
    wide = rule.input(0).dtype == "int16"
    source = rule.wide(0) if wide else int8_activation(rule, 0)
    target = rule.target(resized_shape(rule, source))
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    emit_bilinear(rule, "RESIZE_BILINEAR_16" if wide else "RESIZE_BILINEAR", source, target, bilinear_positions)


def resized_shape(rule: NodeRule, source: Value) -> tuple[int, ...]:
    """The shape of images that a node resizes to the size in its second input.

    Raises:
        UnsupportedError: they are no images, or the size is none.
    """
    size = rule.integers(1, "size")
    if len(source.shape) != 4 or len(size) != 2 or min(size) < 1:
        raise UnsupportedError(f"from {list(source.shape)} to {size}")
    return source.shape[0], *size, source.shape[3]


def emit_bilinear(
    rule: NodeRule, op: str, source: Value, target: Value, positions: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    """A step of RESIZE_BILINEAR.

    Args:
        positions: as `bilinear_positions`, in the numbers that the kernel of `op` takes.
    """
    flags = {
        "align_corners": bool(rule.option("align_corners", False)),
        "half_pixel_centers": bool(rule.option("half_pixel_centers", False)),
    }
    (rows, row_parts), (columns, column_parts) = (
        positions(source.shape[axis], target.shape[axis], **flags) for axis in (1, 2)
    )
    rule.emit(
        op,
        target,
        {
            "input": operand_of(source),
            "rows": rows,
            "row_parts": row_parts,
            "columns": columns,
            "column_parts": column_parts,
        },
        {
            "batches": source.shape[0],
            "input_height": source.shape[1],
            "input_width": source.shape[2],
            "output_height": target.shape[1],
            "output_width": target.shape[2],
            "channels": source.shape[3],
        },
    )


def bilinear_positions(
    input_size: int, output_size: int, *, align_corners: bool, half_pixel_centers: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Per output position the input position before it, and how far it lies behind that one, in 1/1024."""
    scale = (_ONE * input_size + output_size // 2) // output_size
    if align_corners and output_size > 1:
        scale = (_ONE * (input_size - 1) + (output_size - 1) // 2) // (output_size - 1)
    shift = scale // 2 - _ONE // 2 if half_pixel_centers else 0
    places = np.arange(output_size, dtype=np.int64) * scale + shift
    before = np.minimum(np.maximum(places // _ONE, 0), input_size - 1)
    parts = np.where((places < 0) | (before == input_size - 1), 0, places - before * _ONE)
    return before.astype(np.int32), parts.astype(np.int32)


def cast(rule: NodeRule) -> None:
    """The stored values, whatever their scale is: to wider integers and from 8 bits to float32 as other conversions do it."""
    source = rule.input(0)
    check_shape(source)
    target = rule.target(source.shape)
    zero_point = -128 if source.dtype == "uint8" else 0
    if target.dtype == source.dtype:
        rule.alias(source, target)
    elif target.dtype == "float32" and ITEM_BYTES.get(source.dtype) == 1:
        fields = {"count": source.elements, "zero_point": zero_point, "scale": 1.0}
        rule.emit("DEQUANTIZE", target, {"input": operand_of(source)}, fields)
    elif source.dtype in ("int8", "uint8", "bool", "int16") and _WIDTHS.get(target.dtype, (0,))[0] > _bytes(source):
        _widen(rule, source, target, zero_point)
    else:
        ops_index.cast(rule, source, target)


def _bytes(source: Value) -> int:
    return 0 if source.dtype == "bool" else ITEM_BYTES[source.dtype]


def _widen(rule: NodeRule, source: Value, target: Value, zero_point: int) -> None:
    rule.emit("REQUANTIZE", target, {"input": operand_of(source)}, widen_fields(source, target.dtype, zero_point))


def widen_fields(source: Value, dtype: str, zero_point: int) -> dict[str, int]:
    """The words of a REQUANTIZE record that makes values of `dtype` of the stored ones less `zero_point`."""
    width, low, high = _WIDTHS[dtype]
    return {
        "count": source.elements,
        "input_bytes": ITEM_BYTES[source.dtype],
        "output_bytes": width,
        "input_zero_point": zero_point,
        "output_zero_point": 0,
        "multiplier": 1 << 30,
        "shift": 1,
        "activation_min": low,
        "activation_max": high,
        "rounding": 0,
    }


RULES: dict[str, Callable[[NodeRule], None]] = {"RESIZE_BILINEAR": resize_bilinear, "CAST": cast}
