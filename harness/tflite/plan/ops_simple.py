"""Pooling, MEAN, ops with two inputs, activations, SOFTMAX, QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.broadcast import Broadcast, broadcast
from harness.tflite.plan.ops_weighted import limits, place_window
from harness.tflite.plan.record import MAX_RANK
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.values import EIGHT_BITS, Value, check_quantization, operand_of

#: kn_softmax: 12 bits for the sum of the exponentials
_DEEPEST_SOFTMAX = 4095
_MOST_POOLED_PIXELS = 1 << 23
_SHARED = "input and output must share scale and zero point: convert again, or calibrate"


def pool(rule: NodeRule) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    source = rule.activation(0)
    shape, fields = pool_places(rule, source)
    target = _output(rule, source, shape)
    check_pooled(source, target)
    fields |= {**limits(rule, target), "is_uint8": int(source.dtype == "uint8")}
    rule.emit(rule.node.op, target, {"input": operand_of(source)}, fields)


def pool_places(rule: NodeRule, source: Value) -> tuple[tuple[int, ...], dict[str, int]]:
    """The output's shape, and the fields of kn_pool_params that say where windows lie."""
    if len(source.shape) != 4:
        raise UnsupportedError(f"an input of shape {list(source.shape)} does not have 4 dimensions")
    if source.shape[1] * source.shape[2] > _MOST_POOLED_PIXELS:
        raise UnsupportedError(
            f"pooling of {source.shape[1]} x {source.shape[2]}", hint="the sum of a window must fit 32 bits"
        )
    filters = (rule.option("filter_height", 0), rule.option("filter_width", 0))
    strides = (rule.option("stride_h", 0), rule.option("stride_w", 0))
    places = [place_window(rule, source.shape[1 + i], filters[i], strides[i]) for i in range(2)]
    return (source.shape[0], places[0].output, places[1].output, source.shape[3]), {
        "batches": source.shape[0],
        "channels": source.shape[3],
        "input_height": source.shape[1],
        "input_width": source.shape[2],
        "output_height": places[0].output,
        "output_width": places[1].output,
        "filter_height": filters[0],
        "filter_width": filters[1],
        "stride_height": strides[0],
        "stride_width": strides[1],
        "pad_top": places[0].before,
        "pad_left": places[1].before,
    }


def check_pooled(source: Value, target: Value) -> None:
    """Pooling does not rescale."""
    if not source.same_quantization(target):
        raise UnsupportedError(f"pooling from scale {source.scale:g} to {target.scale:g}", hint=_SHARED)


def mean(rule: NodeRule) -> None:
    source = rule.activation(0)
    shape, reduced = reduced_shape(rule, source)
    target = _output(rule, source, shape)
    scale = qp.mean_multiplier(source.scale, target.scale, source.elements // max(target.elements, 1))
    emit_mean(rule, "MEAN", source, target, reduced, scale)


def emit_mean(
    rule: NodeRule, op: str, source: Value, target: Value, reduced: set[int], scale: qp.Multiplier, *, rounding: int = 0
) -> None:
    """A node of kn_mean_params: the sum over the reduced dimensions, times a scale."""
    dims, flags = merge_reduced(source.shape, reduced)
    rule.emit(
        op,
        target,
        {"input": operand_of(source)},
        {
            "rank": len(dims),
            "dims": dims,
            "reduced": flags,
            "input_zero_point": source.zero_point,
            "output_zero_point": target.zero_point,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            "rounding": rounding,
        },
    )


def reduced_shape(rule: NodeRule, source: Value) -> tuple[list[int], set[int]]:
    """The output's shape, and the dimensions that a reduction by the constant axes of input 1 takes away.

    Raises:
        UnsupportedError: axes that do not fit.
    """
    axes, rank = rule.integers(1, "axes"), len(source.shape)
    reduced = {axis + rank if axis < 0 else axis for axis in axes}
    if not reduced or not reduced <= set(range(rank)):
        raise UnsupportedError(f"the axes {axes} do not fit an input of {rank} dimensions")
    keep = bool(rule.option("keep_dims", False))
    return [1 if d in reduced else size for d, size in enumerate(source.shape) if keep or d not in reduced], reduced


def merge_reduced(shape: tuple[int, ...], reduced: set[int]) -> tuple[list[int], list[int]]:
    """Neighbouring dimensions that are both kept or both reduced are one; those of size 1 are none."""
    dims: list[int] = []
    flags: list[int] = []
    for d, size in enumerate(shape):
        if size == 1:
            continue
        flag = int(d in reduced)
        if flags and flags[-1] == flag:
            dims[-1] *= size
        else:
            dims.append(size)
            flags.append(flag)
    if len(dims) > MAX_RANK:
        raise UnsupportedError(f"an input of shape {list(shape)}", hint=f"the kernels have {MAX_RANK} dimensions")
    return (dims, flags) if dims else ([1], [1])


def add_or_sub(rule: NodeRule) -> None:
    first, second, target, walk = _pair(rule)
    made = qp.add_params(first.scale, second.scale, target.scale)
    _emit_pair(
        rule,
        first,
        second,
        target,
        walk,
        {
            "left_shift": made.left_shift,
            "input1_offset": -first.zero_point,
            "input1_multiplier": made.input1.multiplier,
            "input1_shift": made.input1.shift,
            "input2_offset": -second.zero_point,
            "input2_multiplier": made.input2.multiplier,
            "input2_shift": made.input2.shift,
            "output_offset": target.zero_point,
            "output_multiplier": made.output.multiplier,
            "output_shift": made.output.shift,
            **limits(rule, target),
            "rounding": 0,
        },
    )


def mul(rule: NodeRule) -> None:
    first, second, target, walk = _pair(rule)
    scale = qp.mul_multiplier(first.scale, second.scale, target.scale)
    _emit_pair(
        rule,
        first,
        second,
        target,
        walk,
        {
            "input1_offset": -first.zero_point,
            "input2_offset": -second.zero_point,
            "output_offset": target.zero_point,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            **limits(rule, target),
            "rounding": 0,
        },
    )


def div(rule: NodeRule) -> None:
    first, second, target, walk = _pair(rule)
    if second.data is not None and (second.data == second.zero_point).any():
        raise UnsupportedError("it divides by a constant 0", hint="the model is damaged")
    scale = qp.div_multiplier(first.scale, second.scale, target.scale)
    params = {"input1_offset": -first.zero_point, "input2_offset": -second.zero_point}
    params |= {"output_offset": target.zero_point, "multiplier": scale.multiplier, "shift": scale.shift}
    _emit_pair(rule, first, second, target, walk, {**params, **limits(rule, target), "rounding": 0})


def maximum_or_minimum(rule: NodeRule) -> None:
    first, second, target, walk = _pair(rule)
    if not (first.same_quantization(target) and second.same_quantization(target)):
        raise UnsupportedError("its inputs and output differ in scale or zero point", hint=_SHARED)
    rule.emit(rule.node.op, target, {"input1": operand_of(first), "input2": operand_of(second)}, walk.fields())


def _pair(rule: NodeRule) -> tuple[Value, Value, Value, Broadcast]:
    first, second = rule.activation(0), rule.activation(1)
    if first.dtype != second.dtype:
        raise UnsupportedError(f"its inputs are {first.dtype} and {second.dtype}", hint="both must be of one type")
    walk = broadcast(first.shape, second.shape)
    return first, second, _output(rule, first, walk.shape), walk


def _emit_pair(
    rule: NodeRule, first: Value, second: Value, target: Value, walk: Broadcast, params: dict[str, int]
) -> None:
    """The output may be the buffer of an input that is not repeated (kernels.h)."""
    in_place = [value for value in (first, second) if value.elements == target.elements]
    rule.emit(
        rule.node.op,
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {**walk.fields(), **params},
        in_place=in_place,
    )


def relu(rule: NodeRule) -> None:
    """RELU, RELU6 and RELU_N1_TO_1 as ops of their own."""
    source, target = _unary(rule)
    span = qp.activation_range(rule.node.op, target.scale, target.zero_point)
    _rescale(rule, source, target, qp.relu_multiplier(source.scale, target.scale), span)


def _rescale(rule: NodeRule, source: Value, target: Value, scale: qp.Multiplier, span: qp.ActivationRange) -> None:
    rule.emit(
        "RESCALE",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_zero_point": source.zero_point,
            "output_zero_point": target.zero_point,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            "activation_min": span.low,
            "activation_max": span.high,
            "rounding": 0,
        },
        in_place=[source],
    )


def leaky_relu(rule: NodeRule) -> None:
    source, target = _unary(rule)
    made = qp.leaky_relu_params(source.scale, rule.option("alpha", 0.0), target.scale)
    rule.emit(
        "LEAKY_RELU",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_zero_point": source.zero_point,
            "output_zero_point": target.zero_point,
            "multiplier": made.identity.multiplier,
            "shift": made.identity.shift,
            "alpha_multiplier": made.alpha.multiplier,
            "alpha_shift": made.alpha.shift,
        },
        in_place=[source],
    )


def hard_swish(rule: NodeRule) -> None:
    source, target = _unary(rule)
    made = qp.hard_swish_params(source.scale, target.scale)
    rule.emit(
        "HARD_SWISH",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_zero_point": source.zero_point,
            "output_zero_point": target.zero_point,
            "output_multiplier": made.output_multiplier,
            "output_shift": made.output_shift,
            "relu_multiplier": made.relu_multiplier,
            "relu_shift": made.relu_shift,
        },
        in_place=[source],
    )


def logistic_or_tanh(rule: NodeRule) -> None:
    source, target = _unary(rule)
    make = qp.logistic_table if rule.node.op == "LOGISTIC" else qp.tanh_table
    table = make(source.scale, source.zero_point, target.scale, target.zero_point)
    rule.emit(
        "LOOKUP", target, {"input": operand_of(source), "table": table}, {"count": source.elements}, in_place=[source]
    )


def softmax(rule: NodeRule) -> None:
    source, target = _unary(rule)
    if (np.float32(target.scale), target.zero_point) != (np.float32(1 / 256), -128):
        raise UnsupportedError(
            f"its output has scale {target.scale:g} and int8 zero point {target.zero_point}",
            hint="the kernel writes shares of 1/256 from -128 on: convert again",
        )
    emit_softmax(rule, "SOFTMAX", source, target)


def emit_softmax(rule: NodeRule, op: str, source: Value, target: Value) -> None:
    """A node of kn_softmax_params."""
    if not source.shape or source.shape[-1] > _DEEPEST_SOFTMAX:
        raise UnsupportedError(
            f"over {source.shape[-1] if source.shape else 0} values",
            hint=f"the kernel takes 1 to {_DEEPEST_SOFTMAX}: end the model at the logits",
        )
    made = qp.softmax_params(source.scale, rule.option("beta", 0.0))
    rule.emit(
        op,
        target,
        {"input": operand_of(source)},
        {
            "rows": source.elements // source.shape[-1],
            "depth": source.shape[-1],
            "multiplier": made.scale.multiplier,
            "shift": made.scale.shift,
            "difference_min": made.difference_min,
        },
    )


def quantize(rule: NodeRule) -> None:
    """From float, or from 8 bits to 8 bits; where the numbers stay the same the output is the input's memory."""
    source = rule.input(0)
    check_shape(source)
    target = rule.target(source.shape)
    check_quantization(target)
    if source.dtype == "float32":
        rule.emit(
            "QUANTIZE",
            target,
            {"input": operand_of(source)},
            {"count": source.elements, "zero_point": target.zero_point, "scale": target.scale},
        )
        return
    source = rule.activation(0)
    if (source.scale, source.zero_point) == (target.scale, target.zero_point):
        rule.alias(source, target)
        return
    _rescale(
        rule,
        source,
        target,
        qp.requantize_multiplier(source.scale, target.scale),
        qp.ActivationRange(low=qp.INT8_MIN, high=qp.INT8_MAX),
    )


def dequantize(rule: NodeRule) -> None:
    source = rule.activation(0)
    target = rule.target(source.shape)
    if target.dtype != "float32":
        raise UnsupportedError(f"to {target.dtype}", hint="the kernel writes float32")
    rule.emit(
        "DEQUANTIZE",
        target,
        {"input": operand_of(source)},
        {"count": source.elements, "zero_point": source.zero_point, "scale": source.scale},
    )


def _unary(rule: NodeRule) -> tuple[Value, Value]:
    source = rule.activation(0)
    return source, _output(rule, source, source.shape)


def _output(rule: NodeRule, source: Value, shape: Sequence[int]) -> Value:
    """An 8-bit output of the input's type."""
    target = rule.target(shape)
    check_quantization(target)
    if target.dtype != source.dtype or target.dtype not in EIGHT_BITS:
        raise UnsupportedError(
            f"its input is {source.dtype} and its output {target.dtype}", hint="both must be of one type"
        )
    return target
