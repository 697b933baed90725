"""8-bit ops beyond those of a plain convolutional network: tables, reductions, comparisons, SELECT, PRELU, matrices, CAST."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.broadcast import broadcast
from harness.tflite.plan.ops_index import cast_fields
from harness.tflite.plan.ops_move import SAME_HINT, checked_axis, is_same
from harness.tflite.plan.ops_simple import emit_mean, merge_reduced, reduced_shape
from harness.tflite.plan.record import MAX_RANK
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.slices import row_strides
from harness.tflite.plan.values import ITEM_BYTES, Value, check_quantization, operand_of
from harness.tflite.quantized_tables import TABLE_OPS, Scales, table_8

COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
_MOST_NORMALIZED = 32767
#: kn_requantize_wide
MOST_WIDE_SHIFT = 7
WIDE_SHIFT_HINT = "the output scale is too small; calibrate on more data"


def int8_activation(rule: NodeRule, position: int) -> Value:
    """An int8 input; the reference has no such uint8 kernel, or another one."""
    found = rule.activation(position)
    if found.dtype != "int8":
        raise UnsupportedError(f"its input {position} is {found.dtype}", hint="convert to int8")
    return found


def int8_target(rule: NodeRule, shape: Sequence[int]) -> Value:
    target = rule.target(shape)
    check_quantization(target)
    if target.dtype != "int8":
        raise UnsupportedError(f"its output is {target.dtype}", hint="convert to int8")
    return target


def bool_target(rule: NodeRule, shape: Sequence[int]) -> Value:
    """An output of bytes of 0 and 1."""
    target = rule.target(shape)
    if target.dtype != "bool":
        raise UnsupportedError(f"its output is {target.dtype}, not bool", hint="the model is damaged")
    return target


def by_table(rule: NodeRule) -> None:
    """ABS, NEG, EXP, LOG, ELU, SQRT, RSQRT."""
    source = int8_activation(rule, 0)
    target = int8_target(rule, source.shape)
    scales = Scales(
        input_scale=source.scale,
        input_zero_point=source.zero_point,
        output_scale=target.scale,
        output_zero_point=target.zero_point,
    )
    table = table_8(rule.node.op, scales)
    rule.emit(
        "LOOKUP", target, {"input": operand_of(source), "table": table}, {"count": source.elements}, in_place=[source]
    )


def extreme(rule: NodeRule) -> None:
    """REDUCE_MAX, REDUCE_MIN of 8 and of 16 bits."""
    source = rule.moved(0)
    if ITEM_BYTES[source.dtype] > 2:
        raise UnsupportedError(f"'{source.name}' is {source.dtype}", hint="it takes activations of 8 and of 16 bits")
    shape, reduced = reduced_shape(rule, source)
    target = rule.target(shape)
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    dims, flags = merge_reduced(source.shape, reduced)
    fields: dict[str, int | Sequence[int]] = {"rank": len(dims), "dims": dims, "reduced": flags}
    fields |= {"item_bytes": ITEM_BYTES[source.dtype], "smallest": int(rule.node.op == "REDUCE_MIN")}
    rule.emit("REDUCE", target, {"input": operand_of(source)}, fields)


def sum_(rule: NodeRule) -> None:
    """SUM of int8: MEAN without the division, rounded once; the reference multiplies in float32."""
    source = int8_activation(rule, 0)
    shape, reduced = reduced_shape(rule, source)
    target = int8_target(rule, shape)
    scale = qp.requantize_multiplier(source.scale, target.scale)
    emit_mean(rule, "MEAN", source, target, reduced, scale, rounding=1)


def arg_max(rule: NodeRule) -> None:
    """ARG_MAX, ARG_MIN; the kernel's indices are int32, and int64 ones are those, cast."""
    source = rule.activation(0)
    axis = checked_axis(rule.integers(1, "axis")[0], len(source.shape))
    target = rule.target([size for d, size in enumerate(source.shape) if d != axis])
    fields = {
        "outer": math.prod(source.shape[:axis]),
        "size": source.shape[axis],
        "inner": math.prod(source.shape[axis + 1 :]),
        "smallest": int(rule.node.op == "ARG_MIN"),
    }
    emit_indices(rule, "ARG_MAX", target, source, fields)


def emit_indices(rule: NodeRule, op: str, target: Value, source: Value, fields: dict[str, int]) -> None:
    """A kernel that gives int32 indices; int64 ones are those, cast.

    Raises:
        UnsupportedError: the output is of another type.
    """
    if target.dtype not in ("int32", "int64"):
        raise UnsupportedError(f"its output is {target.dtype}", hint="convert with output_type=tf.int32")
    if target.dtype == "int32":
        rule.emit(op, target, {"input": operand_of(source)}, fields)
        return
    found = rule.between(op, replace(target, dtype="int32"), {"input": operand_of(source)}, fields)
    rule.emit("CAST", target, {"input": operand_of(found)}, cast_fields(found, "int64"))


def compare(rule: NodeRule) -> None:
    first, second = rule.activation(0), rule.activation(1)
    if first.dtype != second.dtype:
        raise UnsupportedError(f"its inputs are {first.dtype} and {second.dtype}", hint="both must be of one type")
    walk = broadcast(first.shape, second.shape)
    target = bool_target(rule, walk.shape)
    scales = [qp.quantize_multiplier(float(np.float32(one.scale))) for one in (first, second)]
    rule.emit(
        "COMPARE",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {
            **walk.fields(),
            "comparison": COMPARISONS.index(rule.node.op),
            "input1_offset": -first.zero_point,
            "input1_multiplier": scales[0].multiplier,
            "input1_shift": scales[0].shift,
            "input2_offset": -second.zero_point,
            "input2_multiplier": scales[1].multiplier,
            "input2_shift": scales[1].shift,
        },
    )


def select(rule: NodeRule) -> None:
    """SELECT, SELECT_V2: a condition of bytes, and two inputs of one scale. SELECT may choose whole rows by a vector."""
    condition, first, second = rule.input(0), rule.moved(1), rule.moved(2)
    check_shape(condition)
    if condition.dtype != "bool":
        raise UnsupportedError(f"its condition is {condition.dtype}, not bool")
    mask = condition.shape
    if rule.node.op == "SELECT" and len(mask) == 1 and len(first.shape) > 1:
        mask = (*mask, *[1] * (len(first.shape) - 1))
    target = rule.target(broadcast(mask, broadcast(first.shape, second.shape).shape).shape)
    if not (is_same(first, target) and is_same(second, target)):
        raise UnsupportedError("its inputs and output differ in scale or zero point", hint=SAME_HINT)
    emit_select(rule, replace(condition, shape=mask), first, second, target)


def emit_select(rule: NodeRule, condition: Value, first: Value, second: Value, target: Value) -> None:
    """A SELECT of three values whose shapes fit together, moved by bytes."""
    shape, mask = target.shape, condition.shape
    item = ITEM_BYTES[target.dtype]
    dims = (*shape, item) if item > 1 else shape
    strides = [_strides(one, shape, size) for one, size in ((mask, 1), (first.shape, item), (second.shape, item))]
    if item > 1:
        strides = [[*strides[0], 0], [*strides[1], 1], [*strides[2], 1]]
    dims, strides = _merged(dims or (1,), [one or [0] for one in strides])
    rule.emit(
        "SELECT",
        target,
        {"condition": operand_of(condition), "input1": operand_of(first), "input2": operand_of(second)},
        {"rank": len(dims), "dims": dims, **{f"strides{i}": one for i, one in enumerate(strides)}},
    )


def _strides(shape: Sequence[int], output: Sequence[int], item: int) -> list[int]:
    whole = (*[1] * (len(output) - len(shape)), *shape)
    return [0 if size == 1 else step * item for size, step in zip(whole, row_strides(whole), strict=True)]


def _merged(dims: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], list[list[int]]]:
    """The same walk in as few dimensions as it takes.

    Raises:
        UnsupportedError: more than the kernels'.
    """
    sizes: list[int] = []
    walks: list[tuple[int, ...]] = []
    for size, *steps in zip(dims, *strides, strict=True):
        if size == 1 and (sizes or len(dims) > 1):
            continue
        if sizes and walks[-1] == tuple(step * size for step in steps):
            sizes[-1], walks[-1] = sizes[-1] * size, tuple(steps)
        else:
            sizes.append(size)
            walks.append(tuple(steps))
    if len(sizes) > MAX_RANK:
        raise UnsupportedError(f"inputs of {len(sizes)} dimensions", hint=f"the kernels have {MAX_RANK}")
    if not sizes:
        sizes, walks = [1], [tuple(0 for _ in strides)]
    return tuple(sizes), [list(one) for one in zip(*walks, strict=True)]


def prelu(rule: NodeRule) -> None:
    source, alpha = rule.activation(0), rule.activation(1)
    walk = broadcast(source.shape, alpha.shape)
    target = rule.target(walk.shape)
    check_quantization(target)
    if not source.dtype == alpha.dtype == target.dtype:
        raise UnsupportedError(f"its input is {source.dtype}, alpha {alpha.dtype}, its output {target.dtype}")
    identity = qp.relu_multiplier(source.scale, target.scale)
    scaled = qp.mul_multiplier(source.scale, alpha.scale, target.scale)
    rule.emit(
        "PRELU",
        target,
        {"input1": operand_of(source), "input2": operand_of(alpha)},
        {
            **walk.fields(),
            "input_offset": -source.zero_point,
            "alpha_offset": -alpha.zero_point,
            "output_offset": target.zero_point,
            "multiplier": identity.multiplier,
            "shift": identity.shift,
            "alpha_multiplier": scaled.multiplier,
            "alpha_shift": scaled.shift,
        },
        in_place=[source] if source.elements == target.elements else [],
    )


def batch_matmul(rule: NodeRule) -> None:
    first, second = int8_activation(rule, 0), int8_activation(rule, 1)
    emit_matmul(rule, "BATCH_MATMUL", first, second, int8_target)


def emit_matmul(
    rule: NodeRule, op: str, first: Value, second: Value, make_target: Callable[[NodeRule, Sequence[int]], Value]
) -> None:
    """BATCH_MATMUL of two values of one type; `make_target` asks for an output of that type and of a shape."""
    shape, fields = matrix_walk(rule, first, second)
    target = make_target(rule, shape)
    scale = qp.tensor_multiplier(first.scale, second.scale, target.scale)
    if op == "BATCH_MATMUL_16" and scale.shift > MOST_WIDE_SHIFT:
        raise UnsupportedError(f"a ratio of scales of 2^{scale.shift}", hint=WIDE_SHIFT_HINT)
    rule.emit(
        op,
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {
            **fields,
            "input1_offset": -first.zero_point,
            "input2_offset": -second.zero_point,
            "output_offset": target.zero_point,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
        },
    )


def matrix_walk(
    rule: NodeRule, first: Value, second: Value
) -> tuple[tuple[int, ...], dict[str, int | float | Sequence[int]]]:
    """The output's shape of a BATCH_MATMUL, and the fields that say how its matrices are walked.

    Raises:
        UnsupportedError: matrices that do not fit.
    """
    if min(len(first.shape), len(second.shape)) < 2:
        raise UnsupportedError(f"inputs of shapes {list(first.shape)} and {list(second.shape)}")
    turn1, turn2 = bool(rule.option("adj_x", False)), bool(rule.option("adj_y", False))
    rows, depth = _turned(first.shape[-2:], turn1)
    other, columns = _turned(second.shape[-2:], turn2)
    if depth != other:
        raise UnsupportedError(f"matrices of {rows} x {depth} and {other} x {columns}")
    walk = broadcast(first.shape[:-2], second.shape[:-2])
    steps1 = _turned((rows if turn1 else depth, 1), turn1)
    steps2 = _turned((depth if turn2 else columns, 1), turn2)
    return (*walk.shape, rows, columns), {
        **walk.fields(),
        "strides1": [step * rows * depth for step in walk.strides1],
        "strides2": [step * depth * columns for step in walk.strides2],
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "row_stride1": steps1[0],
        "depth_stride1": steps1[1],
        "depth_stride2": steps2[0],
        "column_stride2": steps2[1],
    }


def _turned(pair: Sequence[int], turn: bool) -> tuple[int, int]:
    return (pair[1], pair[0]) if turn else (pair[0], pair[1])


def l2_normalization(rule: NodeRule) -> None:
    source = int8_activation(rule, 0)
    target = int8_target(rule, source.shape)
    depth = source.shape[-1] if source.shape else 0
    if not 1 <= depth <= _MOST_NORMALIZED or rule.option("fused_activation_function", "NONE") != "NONE":
        raise UnsupportedError(f"over {depth} values, or with an activation", hint=f"it takes 1 to {_MOST_NORMALIZED}")
    if (np.float32(target.scale), target.zero_point) != (np.float32(1 / 128), 0):
        raise UnsupportedError(f"its output has scale {target.scale:g}", hint="it is 1/128 with zero point 0")
    fields = {"rows": source.elements // depth, "depth": depth, "zero_point": source.zero_point}
    rule.emit("L2_NORMALIZATION", target, {"input": operand_of(source)}, fields)


RULES: dict[str, Callable[[NodeRule], None]] = {
    **dict.fromkeys(TABLE_OPS, by_table),
    **dict.fromkeys(COMPARISONS, compare),
    "REDUCE_MAX": extreme,
    "REDUCE_MIN": extreme,
    "SUM": sum_,
    "ARG_MAX": arg_max,
    "ARG_MIN": arg_max,
    "SELECT": select,
    "SELECT_V2": select,
    "PRELU": prelu,
    "BATCH_MATMUL": batch_matmul,
    "L2_NORMALIZATION": l2_normalization,
}
