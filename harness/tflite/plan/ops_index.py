"""What is computed of indices: GATHER by computed indices, CAST, and arithmetic of int32 tensors that are no activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.plan.broadcast import broadcast
from harness.tflite.plan.ops_move import SAME_HINT, is_same
from harness.tflite.plan.record import MAX_RANK
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.values import ITEM_BYTES, Value, is_plain, operand_of

#: enum kn_type
_TYPES = ("int8", "uint8", "float32", "int16", "int32", "int64", "bool")
#: enum kn_integer_operation
OPERATIONS = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "DIV", "FLOOR_DIV", "FLOOR_MOD")
_DIVISIONS = ("DIV", "FLOOR_DIV", "FLOOR_MOD")
_LOWEST, _HIGHEST = -(2**31), 2**31 - 1
#: what a fused activation leaves of an int32: CalculateActivationRange of TensorFlow Lite
_RANGES = {"NONE": (_LOWEST, _HIGHEST), "RELU": (0, _HIGHEST), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


def take(
    rule: NodeRule,
    source: Value,
    indices: Value,
    shape: Sequence[int],
    *,
    dims: Sequence[int],
    picks: int,
    batches: int = 1,
    outer: int = 1,
) -> None:
    """A node of kn_take_params: what the indices name is known at the inference only, and so is whether they name anything.

    Args:
        shape: of the output.
        dims: dimensions of the input that an index, or a tuple of them, counts in; what lies behind them is moved as a whole.
        picks: tuples of indices per batch.
    """
    if indices.dtype not in ("int32", "int64"):
        raise UnsupportedError(f"its indices are {indices.dtype}", hint="they must be int32 or int64: cast them")
    if len(dims) > MAX_RANK:
        raise UnsupportedError(f"indices of {len(dims)} dimensions", hint=f"the kernels have {MAX_RANK}")
    check_shape(indices)
    target = rule.target(shape)
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    fields: dict[str, int | Sequence[int]] = {"batches": batches, "outer": outer, "picks": picks}
    fields |= {"depth": len(dims), "dims": dims, "index_bytes": ITEM_BYTES[indices.dtype]}
    fields["inner"] = source.elements // (batches * outer * math.prod(dims)) * ITEM_BYTES[source.dtype]
    rule.emit("TAKE", target, {"input": operand_of(source), "indices": operand_of(indices)}, fields)


def cast(rule: NodeRule, source: Value, target: Value) -> None:
    """From any type to any other: the stored values, whatever their scales are."""
    unknown = [one.dtype for one in (source, target) if one.dtype not in _TYPES]
    if unknown:
        raise UnsupportedError(f"from {source.dtype} to {target.dtype}", hint=f"it takes {', '.join(_TYPES)}")
    rule.emit("CAST", target, {"input": operand_of(source)}, cast_fields(source, target.dtype))


def cast_fields(source: Value, dtype: str) -> dict[str, int]:
    return {"count": source.elements, "from": _TYPES.index(source.dtype), "to": _TYPES.index(dtype)}


def integers(rule: NodeRule) -> None:
    """Two int32 tensors: ADD, SUB, MUL, MAXIMUM, MINIMUM, DIV, FLOOR_DIV, FLOOR_MOD."""
    first, second = rule.input(0), rule.input(1)
    for one in (first, second):
        check_shape(one)
        if one.dtype != "int32" or not is_plain(one):
            raise UnsupportedError(
                f"'{one.name}' is {one.dtype}", hint="arithmetic of integers is that of int32: cast it"
            )
    walk = broadcast(first.shape, second.shape)
    target = rule.target(walk.shape)
    if target.dtype != "int32":
        raise UnsupportedError(f"its output is {target.dtype}", hint="it has the inputs' type, int32")
    if rule.node.op in _DIVISIONS and second.data is not None and not np.all(second.data):
        raise UnsupportedError("it divides by a constant 0", hint="the model is damaged")
    activation = str(rule.option("fused_activation_function", "NONE"))
    if activation not in _RANGES:
        raise UnsupportedError(f"the fused activation {activation}", hint=f"it may be {', '.join(_RANGES)}")
    low, high = _RANGES[activation]
    rule.emit(
        "INTEGERS",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {**walk.fields(), "operation": OPERATIONS.index(rule.node.op), "low": low, "high": high},
        in_place=[value for value in (first, second) if value.elements == target.elements],
    )


def or_integers(quantized: Callable[[NodeRule], None] | None = None) -> Callable[[NodeRule], None]:
    """The rule of an op that there is for indices too: by the type of its inputs."""

    def lower(rule: NodeRule) -> None:
        plain = rule.input(0).dtype in ("int32", "int64") and is_plain(rule.input(0))
        (integers if plain or quantized is None else quantized)(rule)

    return lower
