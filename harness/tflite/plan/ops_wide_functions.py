"""Functions of one 16-bit value that LiteRT has and tflite-runtime 2.14 has not: NEG, LOG, RSQRT, SQRT.

LOG and RSQRT are its tables of 513 values. Where an input has no root or logarithm LiteRT ends with an error or answers the
smallest or largest value; here the answer is that value, and 0 for SQRT.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.tflite import quantized_params as qp
from harness.tflite.plan.broadcast import broadcast
from harness.tflite.plan.ops_wide_more import wide_target
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Value, operand_of
from harness.tflite.quantized_tables import table_16

_INT16_MIN, _INT16_MAX = -32768, 32767
_MANTISSA_BITS = 24


def _unary(rule: NodeRule) -> tuple[Value, Value]:
    source = rule.wide(0)
    return source, wide_target(rule, source.shape)


def negative(rule: NodeRule) -> None:
    """NEG, as MUL by -1. LiteRT looks at no scales: it is the same where they are equal, but for -32768."""
    source, target = _unary(rule)
    scale = qp.relu_multiplier(source.scale, target.scale)
    rule.emit(
        "MUL_16",
        target,
        {"input1": operand_of(source), "input2": np.array([-1], np.int16)},
        {
            **broadcast(source.shape, (1,)).fields(),
            "input1_offset": 0,
            "input2_offset": 0,
            "output_offset": 0,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            "activation_min": _INT16_MIN,
            "activation_max": _INT16_MAX,
            "rounding": 0,
        },
        in_place=[source],
    )


def by_table(rule: NodeRule) -> None:
    """LOG and RSQRT."""
    source, target = _unary(rule)
    make = {"LOG": _logarithm, "RSQRT": _reciprocal_root}[rule.node.op]
    table = table_16(make(target.scale), source.scale, _INT16_MIN, target.scale, np.float32)
    operands = {"input": operand_of(source), "table": table}
    rule.emit("LOOKUP_16", target, operands, {"count": source.elements}, in_place=[source])


def _logarithm(output_scale: float) -> Callable[[float], float]:
    smallest = float(np.float32(output_scale) * np.float32(_INT16_MIN))
    return lambda x: math.log(x) if x > 0 else smallest


def _reciprocal_root(output_scale: float) -> Callable[[float], float]:
    largest = float(np.float32(output_scale) * np.float32(_INT16_MAX))
    return lambda x: float(np.float32(1) / np.sqrt(np.float32(x))) if x > 0 else largest


def square_root(rule: NodeRule) -> None:
    """SQRT in float32, rounded down, as LiteRT has it; the kernel makes the same roundings without floats."""
    source, target = _unary(rule)
    fields = {"count": source.elements}
    for side, value in (("input", source), ("output", target)):
        fraction, exponent = math.frexp(float(np.float32(value.scale)))
        fields[f"{side}_mantissa"] = int(fraction * (1 << _MANTISSA_BITS))
        fields[f"{side}_exponent"] = exponent - _MANTISSA_BITS
    rule.emit("SQRT_16", target, {"input": operand_of(source)}, fields, in_place=[source])


RULES: dict[str, Callable[[NodeRule], None]] = {
    "NEG": negative,
    "LOG": by_table,
    "RSQRT": by_table,
    "SQRT": square_root,
}
