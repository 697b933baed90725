"""Ops on two 16-bit inputs that are compared or multiplied as they are: comparisons, PRELU, BATCH_MATMUL; SQUARED_DIFFERENCE.

tflite-runtime 2.14 and LiteRT compare the stored values, whatever their scales are: inputs of two scales are refused. PRELU
takes an alpha of 8 bits, as TensorFlow Lite Micro does; LiteRT takes one of 16 bits and computes something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.broadcast import broadcast
from harness.tflite.plan.ops_convert import widen_fields
from harness.tflite.plan.ops_more import bool_target, emit_matmul, int8_activation, int8_target
from harness.tflite.plan.ops_wide_more import wide_target
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import ITEM_BYTES, Value, check_quantization, operand_of

#: 1 for less, 2 for equal, 4 for greater
_HOLDS = {"EQUAL": 2, "NOT_EQUAL": 5, "GREATER": 4, "GREATER_EQUAL": 6, "LESS": 1, "LESS_EQUAL": 3}


def compare(rule: NodeRule) -> None:
    first, second = rule.wide(0), rule.wide(1)
    walk = broadcast(first.shape, second.shape)
    target = bool_target(rule, walk.shape)
    if not first.same_quantization(second):
        raise UnsupportedError(
            f"its inputs have scales {first.scale:g} and {second.scale:g}",
            hint="the runtimes compare stored values: give both one scale by a QUANTIZE",
        )
    rule.emit(
        "COMPARE_16",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {**walk.fields(), "holds": _HOLDS[rule.node.op]},
    )


def prelu(rule: NodeRule) -> None:
    source, alpha = rule.wide(0), rule.input(1)
    if alpha.dtype != "int8":
        raise UnsupportedError(f"its alpha is {alpha.dtype}", hint="the one kernel of 16x8 takes an int8 alpha")
    check_quantization(alpha)
    walk = broadcast(source.shape, alpha.shape)
    target = wide_target(rule, walk.shape)
    identity = qp.requantize_multiplier(source.scale, target.scale)
    scaled = qp.convolution_multiplier(source.scale, alpha.scale, target.scale)
    rule.emit(
        "PRELU_16",
        target,
        {"input1": operand_of(source), "input2": operand_of(_widened(rule, alpha))},
        {
            **walk.fields(),
            "input_offset": 0,
            "alpha_offset": 0,
            "output_offset": 0,
            "multiplier": identity.multiplier,
            "shift": identity.shift,
            "alpha_multiplier": scaled.multiplier,
            "alpha_shift": scaled.shift,
        },
        in_place=[source] if source.elements == target.elements else [],
    )


def _widened(rule: NodeRule, value: Value) -> Value:
    """An int8 value less its zero point, as int16: a constant on the host, anything else by a node before this one."""
    made = replace(value, dtype="int16", zero_points=(0,))
    if value.data is not None:
        return replace(made, data=value.data.astype(np.int16) - np.int16(value.zero_point))
    return rule.between(
        "REQUANTIZE", made, {"input": operand_of(value)}, widen_fields(value, "int16", value.zero_point)
    )


def batch_matmul(rule: NodeRule) -> None:
    """Of int16 by int16, and by int8, as LiteRT has it."""
    second = rule.input(1)
    if second.dtype == "int8":
        second = rule.activation(1)
        if second.zero_point:
            raise UnsupportedError(
                "its second input has a zero point that is not 0", hint="quantize weights symmetrically"
            )
        second = _widened(rule, second)
    else:
        second = rule.wide(1)
    emit_matmul(rule, "BATCH_MATMUL_16", rule.wide(0), second, wide_target)


def squared_difference(rule: NodeRule) -> None:
    """Of int8, and of int16 as TensorFlow Lite Micro has it."""
    wide = rule.input(0).dtype == "int16"
    first, second = (rule.wide(i) if wide else int8_activation(rule, i) for i in (0, 1))
    walk = broadcast(first.shape, second.shape)
    make: Callable[[NodeRule, Sequence[int]], Value] = wide_target if wide else int8_target
    target = make(rule, walk.shape)
    made = qp.squared_difference_params(first.scale, second.scale, target.scale, left_shift=0 if wide else 7)
    rule.emit(
        "SQUARED_DIFFERENCE",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {
            **walk.fields(),
            "item_bytes": ITEM_BYTES[target.dtype],
            "input1_offset": -first.zero_point,
            "input1_multiplier": made.input1.multiplier,
            "input1_shift": made.input1.shift,
            "input2_offset": -second.zero_point,
            "input2_multiplier": made.input2.multiplier,
            "input2_shift": made.input2.shift,
            "output_offset": target.zero_point,
            "output_multiplier": made.output.multiplier,
            "output_shift": made.output.shift,
        },
        in_place=[value for value in (first, second) if value.elements == target.elements],
    )


RULES: dict[str, Callable[[NodeRule], None]] = {
    **dict.fromkeys(_HOLDS, compare),
    "PRELU": prelu,
    "BATCH_MATMUL": batch_matmul,
    "SQUARED_DIFFERENCE": squared_difference,
}
