"""Why a node cannot run on the plan runtime, in words that a user can act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

from harness.core.errors import UnsupportedError
from harness.tflite.arithmetic import WEIGHTED_OPS, node_arithmetic
from harness.tflite.graph import Graph, Node, Tensor
from harness.tflite.plan.values import describe
from harness.tflite.post_process import POST_PROCESS

_OTHERWISE = "for int8 kernels, which every build has, use a recipe such as ptq-int8-io"
_INT8_RECIPES = (
    "a microcontroller with this runtime runs int8, int16x8 and float32 models: use a recipe such as ptq-int8-io"
)
_CONTROL_FLOW = {"IF", "WHILE", "CALL", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE"}
_STATE = {
    "LSTM",
    "RNN",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
}
#: ops that neither tflite-runtime 2.14, LiteRT 2.3 nor TensorFlow Lite Micro has for int16 (docs/internals/kernels.md)
_NOWHERE_16 = {
    "ARG_MAX",
    "ARG_MIN",
    "ELU",
    "HARD_SWISH",
    "L2_NORMALIZATION",
    "RELU_N1_TO_1",
    "SVDF",
}
_SMALL_TYPES = {"int4", "uint4", "int2"}


def refuse_op(node: Node) -> None:
    """Ops that no rule could be written for.

    Raises:
        UnsupportedError: custom ops, control flow, ops with state.
    """
    if node.custom_name == POST_PROCESS:
        raise UnsupportedError(
            f"{POST_PROCESS} decodes and suppresses boxes in float, and kernels here are of integers",
            hint="export the model without it: raw heads run here, and a workload of your own states the decoder (SsdMap)",
        )
    if node.op == "CUSTOM":
        hint = (
            "a model that Vela compiled runs on an Ethos-U only: push the original"
            if node.custom_name == "ethos-u"
            else "convert without custom ops"
        )
        raise UnsupportedError(f"a custom op, '{node.custom_name or '?'}'", hint=hint)
    if node.op in _CONTROL_FLOW:
        raise UnsupportedError(
            "control flow: a plan is a list of kernel calls", hint="unroll the model before it is converted"
        )
    if node.op in _STATE:
        raise UnsupportedError(
            "it keeps state between time steps, and the kernels that do so here are SVDF's and UNIDIRECTIONAL_SEQUENCE_LSTM's",
            hint="use an LSTM layer in one direction, a convolution, SVDF or variables, or unroll it",
        )


def refuse_arithmetic(graph: Graph, node: Node) -> None:
    """Nodes that compute in something that no kernel set does.

    Raises:
        UnsupportedError: hybrid, 4-bit and sparse.
    """
    positions = WEIGHTED_OPS.get(node.op)
    weights = graph.input_at(node, positions[1]) if positions else None
    kind = node_arithmetic(graph, node)
    if kind == "hybrid" and weights is not None:
        raise UnsupportedError(f"hybrid: float activations with {weights.dtype} weights", hint=_INT8_RECIPES)
    for tensor in (*graph.node_inputs(node), *graph.node_outputs(node)):
        if tensor.is_sparse:
            raise UnsupportedError(
                f"{describe(tensor)} is stored sparse", hint="convert without sparsity (the zeros may stay)"
            )
        if tensor.dtype in _SMALL_TYPES and not (tensor.dtype == "int4" and tensor.is_constant):
            raise UnsupportedError(
                f"{describe(tensor)} is {tensor.dtype}",
                hint="the kernels take int8 activations, and weights of int8 or int4: use another recipe",
            )
        if tensor.details is not None:
            raise UnsupportedError(f"{describe(tensor)} has {tensor.details} quantization", hint=_INT8_RECIPES)


def refuse_floats(graph: Graph, node: Node) -> UnsupportedError:
    """What a node on floats is told where the firmware has no float kernels."""
    smaller = node_arithmetic(graph, node) == "weight-only"
    return UnsupportedError(
        f"float arithmetic{' on weights that are only stored smaller' if smaller else ''}, and this build has no float kernels",
        hint=f"cores with a floating-point unit have them, in a firmware with all ops or those of this model; {_OTHERWISE}",
    )


def refuse_wide(op: str, known: Iterable[str]) -> NoReturn:
    """A node with activations of more than 8 bits, whose op is none of `known`.

    Raises:
        UnsupportedError: always.
    """
    if op in _NOWHERE_16:
        raise UnsupportedError(
            "int16 activations (16x8 quantization), for which no TensorFlow Lite runtime has a kernel of this op",
            hint="put a QUANTIZE to int8 before it and one back behind it, or use a recipe such as ptq-int8-io",
        )
    raise UnsupportedError(
        "int16 activations (16x8 quantization) of an op that has no such kernel here",
        hint=f"these have: {', '.join(sorted(known))}; or use a recipe such as ptq-int8-io",
    )


def refuse_type(tensor: Tensor, role: str, allowed: Sequence[str]) -> None:
    """Inputs and outputs of types that the runtime does not hand over.

    Raises:
        UnsupportedError: any type that is not in `allowed`.
    """
    if tensor.dtype not in allowed:
        raise UnsupportedError(
            f"{role} '{tensor.name}' is {tensor.dtype}",
            hint=f"inputs and outputs are {', '.join(allowed)}: convert with another input or output type",
        )
