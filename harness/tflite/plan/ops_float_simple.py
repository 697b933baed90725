"""Float32 ops without weights: pairs, functions, reductions, comparisons, SOFTMAX, matrices, RESIZE_BILINEAR."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.plan.broadcast import broadcast
from harness.tflite.plan.ops_convert import emit_bilinear, resized_shape
from harness.tflite.plan.ops_float import span_of
from harness.tflite.plan.ops_more import COMPARISONS, emit_indices, matrix_walk
from harness.tflite.plan.ops_move import checked_axis
from harness.tflite.plan.ops_simple import merge_reduced, reduced_shape
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import operand_of

#: enum kn_pairing, kn_function, kn_reduction of kernels_float.h
_PAIRINGS = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU")
_CLAMP, _LEAKY = 0, 1
_CLAMPED = {
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
_FUNCTIONS = {
    "ELU": 2,
    "LOGISTIC": 3,
    "TANH": 4,
    "HARD_SWISH": 5,
    "EXP": 6,
    "LOG": 7,
    "SQRT": 8,
    "RSQRT": 9,
    "ABS": 10,
    "NEG": 11,
    "SQUARE": 12,
    "FLOOR": 13,
    "CEIL": 14,
    "ROUND": 15,
}
_REDUCTIONS = {"MEAN": 0, "SUM": 0, "REDUCE_MAX": 1, "REDUCE_MIN": 2, "REDUCE_PROD": 3}


def pair(rule: NodeRule) -> None:
    first, second = rule.real(0), rule.real(1)
    walk = broadcast(first.shape, second.shape)
    target = rule.real_target(walk.shape)
    low, high = span_of(rule)
    rule.emit(
        "FLOAT_PAIR",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {**walk.fields(), "pairing": _PAIRINGS.index(rule.node.op), "low": low, "high": high},
        in_place=[value for value in (first, second) if value.elements == target.elements],
    )


def compare(rule: NodeRule) -> None:
    first, second = rule.real(0), rule.real(1)
    walk = broadcast(first.shape, second.shape)
    rule.emit(
        "FLOAT_COMPARE",
        rule.real_target(walk.shape, "bool"),
        {"input1": operand_of(first), "input2": operand_of(second)},
        {**walk.fields(), "comparison": COMPARISONS.index(rule.node.op)},
    )


def function(rule: NodeRule) -> None:
    op = rule.node.op
    if op in _CLAMPED:
        _map(rule, _CLAMP, *_CLAMPED[op])
    elif op == "LEAKY_RELU":
        _map(rule, _LEAKY, float(rule.option("alpha", 0.0)))
    else:
        _map(rule, _FUNCTIONS[op])


def _map(rule: NodeRule, number: int, a: float = 0.0, b: float = 0.0) -> None:
    source = rule.real(0)
    rule.emit(
        "FLOAT_MAP",
        rule.real_target(source.shape),
        {"input": operand_of(source)},
        {"count": source.elements, "function": number, "a": a, "b": b},
        in_place=[source],
    )


def reduce(rule: NodeRule) -> None:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD."""
    source = rule.real(0)
    shape, reduced = reduced_shape(rule, source)
    target = rule.real_target(shape)
    dims, flags = merge_reduced(source.shape, reduced)
    divisor = source.elements // target.elements if rule.node.op == "MEAN" else 1
    rule.emit(
        "FLOAT_REDUCE",
        target,
        {"input": operand_of(source)},
        {
            "rank": len(dims),
            "dims": dims,
            "reduced": flags,
            "reduction": _REDUCTIONS[rule.node.op],
            "divisor": float(divisor),
        },
    )


def softmax(rule: NodeRule) -> None:
    """SOFTMAX and LOG_SOFTMAX, along the last dimension."""
    logarithm = rule.node.op == "LOG_SOFTMAX"
    _rows(
        rule,
        "FLOAT_SOFTMAX",
        {"logarithm": int(logarithm), "beta": 1.0 if logarithm else float(rule.option("beta", 0.0))},
    )


def l2_normalization(rule: NodeRule) -> None:
    if span_of(rule) != (-math.inf, math.inf):
        raise UnsupportedError("a fused activation", hint="convert it as an op of its own")
    _rows(rule, "FLOAT_L2_NORMALIZATION", {})


def _rows(rule: NodeRule, op: str, fields: dict[str, int | float]) -> None:
    source = rule.real(0)
    depth = source.shape[-1] if source.shape else 1
    fields = {"rows": source.elements // depth, "depth": depth, **fields}
    rule.emit(op, rule.real_target(source.shape), {"input": operand_of(source)}, fields)


def arg_max(rule: NodeRule) -> None:
    """ARG_MAX, ARG_MIN; the kernel's indices are int32, and int64 ones are those, cast."""
    source = rule.real(0)
    axis = checked_axis(rule.integers(1, "axis")[0], len(source.shape))
    target = rule.target([size for d, size in enumerate(source.shape) if d != axis])
    fields = {
        "outer": math.prod(source.shape[:axis]),
        "size": source.shape[axis],
        "inner": math.prod(source.shape[axis + 1 :]),
        "smallest": int(rule.node.op == "ARG_MIN"),
    }
    emit_indices(rule, "FLOAT_ARG_MAX", target, source, fields)


def batch_matmul(rule: NodeRule) -> None:
    first, second = rule.real(0), rule.real(1)
    shape, fields = matrix_walk(rule, first, second)
    rule.emit(
        "FLOAT_BATCH_MATMUL",
        rule.real_target(shape),
        {"input1": operand_of(first), "input2": operand_of(second)},
        fields,
    )


def resize_bilinear(rule: NodeRule) -> None:
    source = rule.real(0)
    emit_bilinear(rule, "FLOAT_RESIZE_BILINEAR", source, rule.real_target(resized_shape(rule, source)), _between)


def _between(
    input_size: int, output_size: int, *, align_corners: bool, half_pixel_centers: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Per output position the input position before it, and how far it lies behind that one; positions are of float32, as in
    TensorFlow Lite 2.14.
    """
    scale = np.float32(input_size) / np.float32(output_size)
    if align_corners and output_size > 1:
        scale = np.float32(input_size - 1) / np.float32(output_size - 1)
    places = np.arange(output_size, dtype=np.float32)
    places = (places + np.float32(0.5)) * scale - np.float32(0.5) if half_pixel_centers else places * scale
    before = np.clip(np.floor(places), 0, input_size - 1)
    parts = np.clip(places - before, 0, 1)
    return before.astype(np.int32), parts.astype(np.float32)


RULES: dict[str, Callable[[NodeRule], None]] = {
    **dict.fromkeys(_PAIRINGS, pair),
    **dict.fromkeys(COMPARISONS, compare),
    **dict.fromkeys((*_CLAMPED, "LEAKY_RELU", *_FUNCTIONS), function),
    **dict.fromkeys(_REDUCTIONS, reduce),
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": softmax,
    "L2_NORMALIZATION": l2_normalization,
    "ARG_MAX": arg_max,
    "ARG_MIN": arg_max,
    "BATCH_MATMUL": batch_matmul,
    "RESIZE_BILINEAR": resize_bilinear,
}
