"""From a .tflite to a plan, or to every reason why there is none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from harness.core.errors import UnsupportedError, UserInputError, unknown_name
from harness.core.tensor import TensorIo
from harness.tflite.graph import Graph, model_io, read_graph
from harness.tflite.plan import (
    ops_convert,
    ops_float,
    ops_float_simple,
    ops_index,
    ops_more,
    ops_move,
    ops_rearrange,
    ops_recurrent,
    ops_simple,
    ops_state,
    ops_weighted,
    ops_wide,
    ops_wide_functions,
    ops_wide_more,
    ops_wide_pairs,
    ops_wide_recurrent,
)
from harness.tflite.plan.arena import plan_arena
from harness.tflite.plan.base import KERNEL_SETS, KernelSet, Plan, PlanOp, Unsupported
from harness.tflite.plan.layout import PlanIo, write_plan
from harness.tflite.plan.lowering import Lowering
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import ITEM_BYTES, Buffer, declared

#: op of the .tflite -> what makes steps of it; ops on constants alone are in fold.py
RULES: dict[str, Callable[[NodeRule], None]] = {
    "CONV_2D": ops_weighted.conv_2d,
    "DEPTHWISE_CONV_2D": ops_weighted.depthwise_conv_2d,
    "FULLY_CONNECTED": ops_weighted.fully_connected,
    "MAX_POOL_2D": ops_simple.pool,
    "AVERAGE_POOL_2D": ops_simple.pool,
    "MEAN": ops_simple.mean,
    "ADD": ops_simple.add_or_sub,
    "SUB": ops_simple.add_or_sub,
    "MUL": ops_simple.mul,
    "DIV": ops_simple.div,
    "MAXIMUM": ops_simple.maximum_or_minimum,
    "MINIMUM": ops_simple.maximum_or_minimum,
    "RELU": ops_simple.relu,
    "RELU6": ops_simple.relu,
    "RELU_N1_TO_1": ops_simple.relu,
    "LEAKY_RELU": ops_simple.leaky_relu,
    "HARD_SWISH": ops_simple.hard_swish,
    "LOGISTIC": ops_simple.logistic_or_tanh,
    "TANH": ops_simple.logistic_or_tanh,
    "SOFTMAX": ops_simple.softmax,
    "QUANTIZE": ops_simple.quantize,
    "DEQUANTIZE": ops_simple.dequantize,
    "RESHAPE": ops_move.reshape,
    "SQUEEZE": ops_move.reshape,
    "EXPAND_DIMS": ops_move.reshape,
    "CONCATENATION": ops_move.concatenation,
    "PACK": ops_move.pack,
    "UNPACK": ops_move.unpack,
    "PAD": ops_move.pad,
    "PADV2": ops_move.pad,
    "TRANSPOSE": ops_move.transpose,
    "SLICE": ops_move.slice_,
    "STRIDED_SLICE": ops_move.strided_slice,
    "SPLIT": ops_move.split,
    "SPLIT_V": ops_move.split_v,
    "RESIZE_NEAREST_NEIGHBOR": ops_move.resize_nearest_neighbor,
    "TRANSPOSE_CONV": ops_wide.transpose_conv,
    **ops_more.RULES,
    **ops_rearrange.RULES,
    **ops_convert.RULES,
    **ops_state.RULES,
    **ops_recurrent.RULES,
    "SQUARED_DIFFERENCE": ops_wide_pairs.squared_difference,
}
RULES |= {op: ops_index.or_integers(RULES.get(op)) for op in ops_index.OPERATIONS}

#: ops that move values of any type
_MOVES = (
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "CONCATENATION",
    "PACK",
    "UNPACK",
    "PAD",
    "PADV2",
    "TRANSPOSE",
    "SLICE",
    "STRIDED_SLICE",
    "SPLIT",
    "SPLIT_V",
    "RESIZE_NEAREST_NEIGHBOR",
)

#: the same for nodes with activations of more than 8 bits
WIDE_RULES: dict[str, Callable[[NodeRule], None]] = {
    **{op: RULES[op] for op in _MOVES},
    "CONV_2D": ops_wide.conv_2d,
    "DEPTHWISE_CONV_2D": ops_wide.depthwise_conv_2d,
    "FULLY_CONNECTED": ops_wide.fully_connected,
    "TRANSPOSE_CONV": ops_wide.transpose_conv,
    "ADD": ops_wide.add_or_sub,
    "SUB": ops_wide.add_or_sub,
    "LEAKY_RELU": ops_wide.leaky_relu,
    "QUANTIZE": ops_wide.quantize,
    "DEQUANTIZE": ops_wide.dequantize,
    **ops_wide_more.RULES,
    **ops_rearrange.RULES,
    **ops_convert.RULES,
    **ops_wide_functions.RULES,
    **ops_wide_pairs.RULES,
    **ops_wide_recurrent.RULES,
    **ops_state.VARIABLE_RULES,
}

#: the same for nodes on float32
FLOAT_RULES: dict[str, Callable[[NodeRule], None]] = {
    **ops_float.RULES,
    **ops_float_simple.RULES,
    **ops_rearrange.RULES,
    **ops_state.VARIABLE_RULES,
    **{op: RULES[op] for op in (*_MOVES, "SELECT", "SELECT_V2")},
}


#: of the arena, and of the constants; half of what 31 bits address, for what lies around them
_MOST_BYTES = 1 << 30


class PlanUnsupported(UnsupportedError):
    """A model that the plan runtime cannot run. `reasons` has all of them."""

    def __init__(self, reasons: list[Unsupported], where: str | None = None) -> None:
        more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        first = reasons[0]
        node = first.op if first.node is None else f"node {first.node} {first.op}"
        super().__init__(f"{node}: {first.reason}{more}", where=where, hint=first.hint)
        self.reasons = tuple(reasons)


def make_plan(model: bytes | Path, kernels: KernelSet = "portable", *, floats: bool = True) -> Plan:
    """Everything that the firmware needs to run a model: the same bytes for the same model, on every machine.

    Args:
        model: a .tflite, or its path.
        kernels: of the firmware's build; decides scratch memory and whether the biases of the fast kernels are in.
        floats: whether the build has float kernels.

    Raises:
        PlanUnsupported: the model holds something that the runtime does not run; with all reasons.
        UserInputError: the file cannot be read or is damaged, or there is no such kernel set.
    """
    data, graph = _read(model)
    lowering = _lower(graph, kernels, floats=floats)
    if lowering.problems:
        raise PlanUnsupported(lowering.problems, where=None if isinstance(model, bytes) else str(model))
    arena = plan_arena(lowering.steps, lowering.inputs, lowering.outputs)
    too_large = _too_large(lowering, arena.arena_bytes)
    if too_large:
        raise PlanUnsupported([too_large], where=None if isinstance(model, bytes) else str(model))
    in_table = _table(graph, graph.inputs, lowering.inputs, arena.offsets)
    out_table = _table(graph, graph.outputs, lowering.outputs, arena.offsets)
    written, constants_bytes = write_plan(lowering.steps, arena.offsets, in_table, out_table, arena.arena_bytes)
    inputs, outputs = model_io(graph)
    planned = {step.node for step in lowering.steps}
    folded = tuple(node.index for node in graph.nodes if node.index not in planned)
    return Plan(
        data=written,
        arena_bytes=arena.arena_bytes,
        model_sha256=hashlib.sha256(data).hexdigest(),
        kernels=kernels,
        inputs=tuple(_fixed(one) for one in inputs),
        outputs=tuple(_fixed(one) for one in outputs),
        ops=tuple(
            PlanOp(op=step.op, node=step.node, tflite_op=step.tflite_op, output=step.writes.name)
            for step in lowering.steps
        ),
        tensors=arena.spans,
        folded_nodes=folded,
        constants_bytes=constants_bytes,
        lower_bound_bytes=arena.lower_bound_bytes,
    )


def check(model: bytes | Path, *, floats: bool = True) -> list[Unsupported]:
    """Every reason why the plan runtime cannot run a model; empty when it can. `floats`: whether the build has float kernels.

    Raises:
        UserInputError: the file cannot be read or is damaged.
    """
    return _lower(_read(model)[1], "portable", floats=floats).problems


def _read(model: bytes | Path) -> tuple[bytes, Graph]:
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model), read_graph(model)
    try:
        data = Path(model).read_bytes()
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror}", where=str(model)) from None
    try:
        return data, read_graph(data)
    except UserInputError as error:
        raise UserInputError(error.what, where=str(model), hint=error.hint) from None


def _lower(graph: Graph, kernels: str, *, floats: bool) -> Lowering:
    if kernels not in KERNEL_SETS:
        raise unknown_name("kernel set", kernels, KERNEL_SETS)
    lowering = Lowering(graph, cast(KernelSet, kernels), RULES, WIDE_RULES, FLOAT_RULES, floats=floats)
    lowering.run()
    return lowering


def _too_large(lowering: Lowering, arena_bytes: int) -> Unsupported | None:
    """Addresses have 31 bits; nothing that fits a microcontroller comes near."""
    constants = {id(one): one.nbytes for step in lowering.steps for one in step.constants}
    for what, size in (("arena", arena_bytes), ("constants", sum(constants.values()))):
        if size > _MOST_BYTES:
            return Unsupported(
                node=None,
                op="model",
                reason=f"it needs {size:,} bytes of {what}",
                hint=f"a plan has at most {_MOST_BYTES:,}; use a smaller model",
            )
    return None


def _table(graph: Graph, indices: tuple[int, ...], buffers: list[Buffer], offsets: dict[int, int]) -> list[PlanIo]:
    table = []
    for index, buffer in zip(indices, buffers, strict=True):
        tensor = declared(graph.tensors[index])
        table.append(
            PlanIo(
                arena_offset=offsets[id(buffer)],
                size_bytes=buffer.size_bytes,
                dtype="uint8" if tensor.dtype == "bool" else tensor.dtype,  # bytes of 0 and 1
                elements=buffer.size_bytes // ITEM_BYTES[tensor.dtype],
            )
        )
    return table


def _fixed(io: TensorIo) -> TensorIo:
    return replace(io, shape=tuple(1 if size < 0 else size for size in io.shape))
