"""What a node computes in: the types of its activations and of its weights decide, not its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.tflite.graph import Graph, Node, Tensor

#: float: float kernel, float weights. weight-only: float kernel, weights stored smaller and dequantized first.
#: hybrid: float activations, integer weights in one kernel (dynamic range). integer: integer kernel.
#: convert: QUANTIZE, DEQUANTIZE, CAST. index: shapes, indices and booleans, no activations at all.
NodeArithmetic = Literal["float", "weight-only", "hybrid", "integer", "convert", "index"]

#: ops with weights -> (position of the activation, position of the weights) among their inputs
WEIGHTED_OPS: dict[str, tuple[int, int]] = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "BATCH_MATMUL": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "CONV_3D": (0, 1),
    "CONV_3D_TRANSPOSE": (2, 1),
    "SVDF": (0, 1),
    "RNN": (0, 1),
    "LSTM": (0, 2),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (0, 2),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (0, 1),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (0, 2),
    "BIDIRECTIONAL_SEQUENCE_RNN": (0, 1),
}
_CONVERTERS = {"QUANTIZE", "DEQUANTIZE", "CAST", "FAKE_QUANT"}
_FLOATS = {"float32", "float16", "bfloat16", "float64"}
_INTEGERS = {"int8", "uint8", "int16", "int4", "uint4", "int2"}


@dataclass(frozen=True, kw_only=True)
class NodeTypes:
    """What decides which kernel a runtime picks for a node with weights (or for DEQUANTIZE, whose input counts as weights).

    `weight_zero_point` is True when any zero point of integer weights is not zero. `per_channel` is None when the
    weights have one channel only: per-tensor and per-channel are then the same.
    """

    op: str
    activation: str | None
    weight: str
    per_channel: bool | None
    weight_zero_point: bool
    constant: bool


def is_float(tensor: Tensor) -> bool:
    return tensor.dtype in _FLOATS


def is_integer(tensor: Tensor) -> bool:
    """Holds quantized values: an integer type of at most 16 bits with a scale."""
    return tensor.dtype in _INTEGERS and tensor.is_quantized


def weights_of(graph: Graph, node: Node) -> Tensor | None:
    """The weights of a node of `WEIGHTED_OPS`; None for any other op."""
    positions = WEIGHTED_OPS.get(node.op)
    return graph.input_at(node, positions[1]) if positions else None


def node_types(graph: Graph, node: Node) -> NodeTypes | None:
    """The types that pick the kernel of a node; None for ops without weights."""
    if node.op == "DEQUANTIZE":
        activation, weight = None, graph.input_at(node, 0)
    else:
        positions = WEIGHTED_OPS.get(node.op)
        if positions is None:
            return None
        activation, weight = graph.input_at(node, positions[0]), graph.input_at(node, positions[1])
    if weight is None:
        return None
    channels = weight.shape[weight.quantized_dimension] if _has_channel_axis(weight) else 1
    return NodeTypes(
        op=node.op,
        activation=activation.dtype if activation is not None else None,
        weight=weight.dtype,
        per_channel=weight.per_channel if channels > 1 or weight.per_channel else None,
        weight_zero_point=weight.dtype in ("int8", "int4", "int2") and any(weight.zero_points),
        constant=weight.is_constant,
    )


def _has_channel_axis(tensor: Tensor) -> bool:
    return 0 <= tensor.quantized_dimension < len(tensor.shape)


def node_arithmetic(graph: Graph, node: Node) -> NodeArithmetic:
    """What one node of the main subgraph computes in."""
    if node.op in _CONVERTERS:
        return "convert"
    if node.op in ("SHAPE", "RANK"):
        return "index"
    weights = weights_of(graph, node)
    if weights is not None:
        activation = graph.input_at(node, WEIGHTED_OPS[node.op][0])
        if activation is not None and is_float(activation):
            if is_integer(weights):
                return "hybrid"
            return "weight-only" if _dequantized_constant(graph, weights) else "float"
        return "integer" if activation is not None and is_integer(activation) else "index"
    # Constants (axes, paddings, bias) do not decide: what flows through the node does.
    flowing = [t for t in (*graph.node_inputs(node), *graph.node_outputs(node)) if not t.is_constant]
    if any(is_float(t) for t in flowing):
        return "float"
    return "integer" if any(is_integer(t) for t in flowing) else "index"


def _dequantized_constant(graph: Graph, tensor: Tensor) -> bool:
    """Is the tensor a smaller constant that DEQUANTIZE turns into floats when the model runs?"""
    producer = graph.producers.get(tensor.index)
    if producer is None or producer.op != "DEQUANTIZE":
        return False
    source = graph.input_at(producer, 0)
    return source is not None and source.is_constant
