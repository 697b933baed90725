"""How much a model multiplies: what one inference takes at least, before anything has run."""

from __future__ import annotations

import math

from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.graph import Graph, Node

#: ops whose every output element sums over the weights' inner sizes
_PER_OUTPUT = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_3D", "BATCH_MATMUL"}


def model_macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference, of convolutions and dense layers; open sizes count as 1, recurrent ops as none."""
    return sum(node_macs(graph, node) for node in graph.nodes)


def node_macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node."""
    positions = WEIGHTED_OPS.get(node.op)
    weights = graph.input_at(node, positions[1]) if positions else None
    if positions is None or weights is None or not weights.shape or not node.outputs:
        return 0
    if node.op == "TRANSPOSE_CONV":  # each element of the input meets every weight of its channel
        activation = graph.input_at(node, positions[0])
        pixels = math.prod(activation.shape[:-1]) if activation else 0
        return pixels * weights.element_count
    if node.op not in _PER_OUTPUT:
        return 0
    outputs = graph.tensors[node.outputs[0]].element_count
    return outputs * _summed(node, weights.shape)


def _summed(node: Node, shape: tuple[int, ...]) -> int:
    """Over how many products an output element of the node is summed, by the shape of its weights."""
    if node.op == "DEPTHWISE_CONV_2D":  # [1, h, w, channels]
        return math.prod(shape[1:3])
    if node.op == "CONV_3D":  # [d, h, w, in, out]
        return math.prod(shape[:4])
    if node.op == "BATCH_MATMUL":
        return shape[-1] if node.options.get("adj_y") else shape[-2] if len(shape) > 1 else 1
    return math.prod(shape[1:])  # [out, (h, w,) in]
