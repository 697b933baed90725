"""16-bit ops without weights: pooling, MEAN, SUM, PADV2, MUL, MAXIMUM, MINIMUM, RELU, ABS, EXP, LOGISTIC, TANH, SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.broadcast import Broadcast, broadcast
from harness.tflite.plan.ops_more import emit_select, extreme, select
from harness.tflite.plan.ops_move import pad, pad_fields, padding_constant, read_padding
from harness.tflite.plan.ops_simple import check_pooled, emit_mean, emit_softmax, pool_places, reduced_shape
from harness.tflite.plan.ops_wide import range_of
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Value, check_wide, operand_of
from harness.tflite.quantized_tables import sigmoid_16_params, sigmoid_16_table, softmax_16_tables, table_16

_MOST_15_BITS = 32767
#: of int16, so that their sum has 32 bits
_MOST_ADDED = 65535
#: LOGISTIC, TANH and SOFTMAX of int16
_UNIT_SCALE = 1 / 32768


def wide_target(rule: NodeRule, shape: Sequence[int]) -> Value:
    """An int16 output."""
    target = rule.target(shape)
    check_wide(target)
    return target


def _unary(rule: NodeRule) -> tuple[Value, Value]:
    source = rule.wide(0)
    return source, wide_target(rule, source.shape)


def pool(rule: NodeRule) -> None:
    source = rule.wide(0)
    shape, fields = pool_places(rule, source)
    target = wide_target(rule, shape)
    check_pooled(source, target)
    fields |= {**range_of(rule, target, "int16"), "is_uint8": 0}
    rule.emit(f"{rule.node.op}_16", target, {"input": operand_of(source)}, fields)


def mean(rule: NodeRule) -> None:
    source = rule.wide(0)
    shape, reduced = reduced_shape(rule, source)
    target = wide_target(rule, shape)
    scale = qp.mean_multiplier(source.scale, target.scale, source.elements // max(target.elements, 1))
    emit_mean(rule, "MEAN_16", source, target, reduced, scale)


def sum_(rule: NodeRule) -> None:
    """MEAN without the division, as TensorFlow Lite Micro has it; LiteRT up to 2.3 adds up in 16 bits."""
    source = rule.wide(0)
    shape, reduced = reduced_shape(rule, source)
    target = wide_target(rule, shape)
    scale = qp.requantize_multiplier(source.scale, target.scale)
    added = source.elements // max(target.elements, 1)
    if added << max(scale.shift, 0) > _MOST_ADDED:
        raise UnsupportedError(
            f"{added} values that are added and scaled by {source.scale / target.scale:g}: a sum may leave 32 bits",
            hint="the output scale is too small: calibrate, or reduce in two steps",
        )
    emit_mean(rule, "MEAN_16", source, target, reduced, scale)


def padv2(rule: NodeRule) -> None:
    """PAD, whose kernel knows bytes. A value of two other bytes is chosen by a SELECT behind it."""
    if rule.input(0).dtype != "int16":
        pad(rule)
        return
    source, before, after, target = read_padding(rule)
    low, high = np.array([padding_constant(rule, target)], np.int16).view(np.int8).tolist()
    if low == high:
        rule.emit("PAD", target, {"input": operand_of(source)}, pad_fields(source, before, after, low))
        return
    padded = rule.between("PAD", target, {"input": operand_of(source)}, pad_fields(source, before, after, 0))
    inside = np.zeros([size if a or b else 1 for size, a, b in zip(target.shape, before, after, strict=True)], bool)
    inside[tuple(slice(a, a + size) for a, size in zip(before, source.shape, strict=True))] = True
    mask = Value(name="inside", dtype="bool", shape=inside.shape, data=inside)
    emit_select(rule, mask, padded, rule.input(2), target)


def _pair(rule: NodeRule) -> tuple[Value, Value, Value, Broadcast]:
    first, second = rule.wide(0), rule.wide(1)
    walk = broadcast(first.shape, second.shape)
    return first, second, wide_target(rule, walk.shape), walk


def mul(rule: NodeRule) -> None:
    first, second, target, walk = _pair(rule)
    scale = qp.mul_multiplier(first.scale, second.scale, target.scale)
    rule.emit(
        "MUL_16",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {
            **walk.fields(),
            "input1_offset": 0,
            "input2_offset": 0,
            "output_offset": 0,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            **range_of(rule, target, "int16"),
            "rounding": 0,
        },
        in_place=[value for value in (first, second) if value.elements == target.elements],
    )


def maximum_or_minimum(rule: NodeRule) -> None:
    first, second, target, walk = _pair(rule)
    if not (first.same_quantization(target) and second.same_quantization(target)):
        raise UnsupportedError("its inputs and output differ in scale", hint="convert again, or calibrate")
    operands = {"input1": operand_of(first), "input2": operand_of(second)}
    rule.emit(f"{rule.node.op}_16", target, operands, walk.fields())


def relu(rule: NodeRule) -> None:
    """RELU and RELU6, as QUANTIZE with a range."""
    source, target = _unary(rule)
    scale = qp.relu_multiplier(source.scale, target.scale)
    span = qp.activation_range(rule.node.op, target.scale, 0, -32768, 32767)
    rule.emit(
        "REQUANTIZE",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_bytes": 2,
            "output_bytes": 2,
            "input_zero_point": 0,
            "output_zero_point": 0,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            "activation_min": span.low,
            "activation_max": span.high,
            "rounding": 0,
        },
    )


def absolute(rule: NodeRule) -> None:
    """ABS, as LEAKY_RELU with an alpha of -1."""
    source, target = _unary(rule)
    scale = qp.relu_multiplier(source.scale, target.scale)
    rule.emit(
        "LEAKY_RELU_16",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_zero_point": 0,
            "output_zero_point": 0,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            "alpha_multiplier": -scale.multiplier,
            "alpha_shift": scale.shift,
        },
        in_place=[source],
    )


def exponential(rule: NodeRule) -> None:
    source, target = _unary(rule)

    def exp(value: float) -> float:
        return math.exp(min(value, 20.0))  # far over the largest output

    table = table_16(exp, source.scale, -32768, target.scale, np.float32)
    operands = {"input": operand_of(source), "table": table}
    rule.emit("LOOKUP_16", target, operands, {"count": source.elements}, in_place=[source])


def logistic_or_tanh(rule: NodeRule) -> None:
    source, target = _unary(rule)
    _check_unit(target)
    if source.scale * 3 * 4096 > _MOST_15_BITS:
        raise UnsupportedError(f"an input scale of {source.scale:g}", hint="calibrate: it saturates everywhere")
    made = sigmoid_16_params(source.scale)
    rule.emit(
        "SIGMOID_16",
        target,
        {"input": operand_of(source), "table": sigmoid_16_table()},
        {
            "count": source.elements,
            "multiplier": made.multiplier,
            "right_shift": made.right_shift,
            "tanh": int(rule.node.op == "TANH"),
        },
        in_place=[source],
    )


def softmax(rule: NodeRule) -> None:
    if rule.input(0).dtype == "int8":
        _softmax_from_8_bits(rule)
        return
    source, target = _unary(rule)
    depth = source.shape[-1] if source.shape else 0
    if not 1 <= depth <= _MOST_15_BITS:
        raise UnsupportedError(f"over {depth} values", hint=f"the kernel takes 1 to {_MOST_15_BITS}")
    _check_unit(target)
    # Source: SoftmaxPrepare of TensorFlow Lite 2.14; the product in float32, as both factors are.
    real = float(np.float32(source.scale) * np.float32(rule.option("beta", 0.0))) / (10.0 / 65535.0)
    scale = qp.quantize_multiplier(real)
    exp_table, reciprocal_table = softmax_16_tables()
    rule.emit(
        "SOFTMAX_16",
        target,
        {"input": operand_of(source), "exp_table": exp_table, "reciprocal_table": reciprocal_table},
        {
            "rows": source.elements // depth,
            "depth": depth,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
        },
    )


def _softmax_from_8_bits(rule: NodeRule) -> None:
    source = rule.activation(0)
    target = rule.target(source.shape)
    # The converter writes 1 / 65535; the runtimes write shares of 1 / 65536 and take what is near.
    near = len(target.scales) == 1 and abs(target.scale * 65536 - 1) <= 0.001
    if (target.dtype, target.zero_points) != ("int16", (-32768,)) or not near:
        raise UnsupportedError(
            f"its output is {target.dtype} of scale {target.scales} and zero point {target.zero_points}",
            hint="an int8 input has an int8 output, or an int16 one of scale 1/65536 and zero point -32768",
        )
    emit_softmax(rule, "SOFTMAX_8_16", source, target)


def _check_unit(target: Value) -> None:
    if np.float32(target.scale) != np.float32(_UNIT_SCALE):
        raise UnsupportedError(f"its output has scale {target.scale:g}", hint="it is 1/32768: convert again")


RULES: dict[str, Callable[[NodeRule], None]] = {
    "MAX_POOL_2D": pool,
    "AVERAGE_POOL_2D": pool,
    "MEAN": mean,
    "SUM": sum_,
    "PADV2": padv2,
    "MUL": mul,
    "MAXIMUM": maximum_or_minimum,
    "MINIMUM": maximum_or_minimum,
    "RELU": relu,
    "RELU6": relu,
    "ABS": absolute,
    "EXP": exponential,
    "LOGISTIC": logistic_or_tanh,
    "TANH": logistic_or_tanh,
    "SOFTMAX": softmax,
    "REDUCE_MAX": extreme,
    "REDUCE_MIN": extreme,
    "SELECT": select,
    "SELECT_V2": select,
}
