"""Ops that keep values from one inference to the next: resource variables of 8 and 16 bits, and SVDF of int8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.ops_more import int8_activation, int8_target
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Buffer, Value, check_moved, check_quantization, operand_of


def svdf(rule: NodeRule) -> None:
    """SVDF (input, feature weights, time weights, bias, state), activations int8, time weights and state int16, or both int8."""
    source = int8_activation(rule, 0)
    small = rule.input(2).dtype == "int8"  # as TensorFlow Lite Micro has it; its memory has a zero point
    feature, time = _weights(rule, 1, "int8"), _weights(rule, 2, "int8" if small else "int16")
    rank = int(rule.option("rank", 0))
    if (
        len(source.shape) != 2
        or feature.shape != (time.shape[0], source.shape[1])
        or rank < 1
        or feature.shape[0] % rank
    ):
        raise UnsupportedError(
            f"weights of shapes {list(feature.shape)} and {list(time.shape)} of rank {rank} do not fit an input of "
            f"{list(source.shape)}"
        )
    # The reference runs RELU only, as the whole range of its int8 output.
    if rule.option("fused_activation_function", "NONE") != "RELU":
        raise UnsupportedError("an activation that is not RELU", hint="convert it as an op of its own")
    batches, (filters, memory) = source.shape[0], time.shape
    bias = rule.optional(3)
    if bias is not None and (bias.data is None or bias.dtype != "int32" or bias.elements != filters // rank):
        raise UnsupportedError(f"its bias is {bias.dtype} {list(bias.shape)}", hint="it takes int32 constants")
    state, kept = _memory(rule, small, (batches, memory * filters))
    target = int8_target(rule, (batches, filters // rank))
    first = qp.mul_multiplier(source.scale, feature.scale, state.scale)
    second = qp.mul_multiplier(state.scale, time.scale, target.scale)
    rule.emit(
        "SVDF_8" if small else "SVDF",
        target,
        {
            "input": operand_of(source),
            "state": kept,
            "feature_weights": feature.data,
            "time_weights": time.data,
            "bias": operand_of(bias),
        },
        {
            "batches": batches,
            "inputs": source.shape[1],
            "filters": filters,
            "rank": rank,
            "memory": memory,
            "input_offset": -source.zero_point,
            "output_offset": target.zero_point,
            "multiplier1": first.multiplier,
            "shift1": first.shift,
            "multiplier2": second.multiplier,
            "shift2": second.shift,
            **({"state_zero_point": state.zero_point} if small else {}),
        },
    )


def _memory(rule: NodeRule, small: bool, shape: tuple[int, int]) -> tuple[Value, Buffer]:
    """The variable tensor, and its memory, which holds real zeros at first."""
    if not small:
        return rule.state(4, "int16", shape)
    state = rule.variable_tensor(4, "int8", shape)
    check_quantization(state)
    return state, rule.state_of(4, state.size_bytes, state.zero_point)


def _weights(rule: NodeRule, position: int, dtype: str) -> Value:
    found = rule.input(position)
    if (
        not isinstance(found.data, np.ndarray)
        or found.dtype != dtype
        or len(found.shape) != 2
        or len(found.scales) != 1
    ):
        raise UnsupportedError(
            f"its input {position} is {found.dtype} {list(found.shape)}",
            hint=f"it takes constants of {dtype} of one scale",
        )
    if any(found.zero_points):
        raise UnsupportedError("its weights have a zero point that is not 0", hint="quantize weights symmetrically")
    return found


def call_once(rule: NodeRule) -> None:
    rule.variables.run_once(rule.node)


def var_handle(rule: NodeRule) -> None:
    rule.name_handle()


def read_variable(rule: NodeRule) -> None:
    """A copy: the variable may be assigned before the last reader of this value."""
    first, kept = rule.variable()
    target = rule.target(first.shape)
    _check_kept(first, target)
    rule.emit("COPY", target, {"input": kept}, {"count": target.size_bytes})


def assign_variable(rule: NodeRule) -> None:
    first, kept = rule.variable()
    source = rule.moved(1)
    if source.shape != first.shape:
        raise UnsupportedError(
            f"{list(source.shape)} into a variable of {list(first.shape)}", hint="keep its shape fixed"
        )
    _check_kept(first, source)
    rule.assign(kept, source)


def _check_kept(first: Value, value: Value) -> None:
    """The memory holds stored values: whoever reads them must take them for the same numbers."""
    check_moved(value)
    if not first.same_quantization(value):
        raise UnsupportedError(
            f"the variable starts as {first.dtype} of scale {first.scales} and is used as {value.dtype} of {value.scales}",
            hint="convert again: its values must have one scale",
        )


VARIABLE_RULES: dict[str, Callable[[NodeRule], None]] = {
    "CALL_ONCE": call_once,
    "VAR_HANDLE": var_handle,
    "READ_VARIABLE": read_variable,
    "ASSIGN_VARIABLE": assign_variable,
}
RULES: dict[str, Callable[[NodeRule], None]] = {"SVDF": svdf, **VARIABLE_RULES}
