"""Cross-layer equalisation of a float .tflite (Nagel et al., arXiv 1906.04721, section 4.1): the same function, evener ranges.

Where the output of one layer with weights feeds another one alone, and nothing but ReLU, pooling, padding by zeros and reshaping
stands between them, channel c of the first may be divided by any s > 0 and the second's weights for it multiplied by s. With
s = sqrt(r1 / r2), r1 and r2 the largest weights of the channel on either side, both sides have the same range. Batch
normalization is folded into the weights by the converter before. A ReLU6 is not the same after scaling, and ends a chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.tflite.graph import Graph, Node, read_graph

#: rounds over all pairs: a middle layer is in two
_ROUNDS = 20
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_BETWEEN = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "RESHAPE", "PAD", "MEAN")
_SCALABLE = (None, "NONE", "RELU")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two nodes between which channels may be scaled: the first one's outputs are the second one's inputs."""

    first: Node
    second: Node


@dataclass(frozen=True, kw_only=True)
class Equalised:
    """A model with evened weights.

    Attributes:
        pairs: what was equalised, as positions of nodes in the model.
        most: the largest factor that a channel was scaled by, of either direction.
    """

    model: bytes
    pairs: tuple[Pair, ...]
    most: float


def equalise(model: bytes) -> Equalised:
    """Equalises every pair of layers of a float model that can be; the model as it is where there is none."""
    graph = read_graph(model)
    pairs = find_pairs(graph)
    if not pairs:
        return Equalised(model=model, pairs=(), most=1.0)
    from ai_edge_litert.tools import flatbuffer_utils

    editable = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    weights = _Weights(graph, editable)
    scaled = {id(pair): np.ones(1) for pair in pairs}
    for _ in range(_ROUNDS):
        moved = False
        for pair in pairs:
            factors = _equalise_pair(weights, pair)
            scaled[id(pair)] = scaled[id(pair)] * factors
            moved |= bool(np.abs(np.log(factors)).max() > 1e-3)
        if not moved:
            break
    weights.store()
    most = max(float(np.exp(np.abs(np.log(factors)).max())) for factors in scaled.values())
    return Equalised(model=bytes(flatbuffer_utils.convert_object_to_bytearray(editable)), pairs=tuple(pairs), most=most)


def find_pairs(graph: Graph) -> list[Pair]:
    """The pairs of a float model, in its order."""
    pairs = []
    for node in graph.nodes:
        if node.op in _WEIGHTED and _can_scale(graph, node):
            second = _fed(graph, node)
            if second is not None and _takes(graph, node, second):
                pairs.append(Pair(first=node, second=second))
    return pairs


def _can_scale(graph: Graph, node: Node) -> bool:
    """Whether a node has float weights of its own and an activation that scaling commutes with."""
    constants = [graph.tensors[index] for index in node.inputs[1:3] if index >= 0]
    own = all(tensor.is_constant and len(graph.consumers[tensor.index]) == 1 for tensor in constants)
    return own and all(t.dtype == "float32" for t in constants) and _activation(node) in _SCALABLE


def _activation(node: Node) -> Any:
    return node.options.get("fused_activation_function", node.options.get("activation"))


def _fed(graph: Graph, node: Node) -> Node | None:
    """The one node with weights that a node's output reaches, through nothing that a channel's factor could not pass."""
    current = node
    while True:
        tensor = current.outputs[0]
        readers = graph.consumers.get(tensor, ())
        if tensor in graph.outputs or len(readers) != 1 or readers[0].inputs[0] != tensor:
            return None
        current = readers[0]
        if current.op in _WEIGHTED:
            return current if current.op != "FULLY_CONNECTED" or _can_read(graph, current) else None
        if current.op not in _BETWEEN or _activation(current) not in _SCALABLE or not _keeps_channels(graph, current):
            return None


def _can_read(graph: Graph, node: Node) -> bool:
    return len(graph.tensors[node.inputs[1]].shape) == 2


def _keeps_channels(graph: Graph, node: Node) -> bool:
    """Whether the last axis still is, or ends in, the channels behind a node."""
    before, after = (graph.tensors[index].shape for index in (node.inputs[0], node.outputs[0]))
    if not before or not after:
        return False
    if node.op == "RESHAPE":
        return after[-1] % before[-1] == 0
    if node.op == "MEAN":
        axes = graph.tensors[node.inputs[1]]
        last = (len(before) - 1, -1)
        return axes.is_constant and not any(int(axis) in last for axis in axes.data().reshape(-1))
    return before[-1] == after[-1]


def _takes(graph: Graph, first: Node, second: Node) -> bool:
    """Whether the second one's weights have a place for each channel of the first, and are its own."""
    weights = graph.tensors[second.inputs[1]]
    own = weights.is_constant and weights.dtype == "float32" and len(graph.consumers[weights.index]) == 1
    if not own or not weights.shape:
        return False
    channels = graph.tensors[first.outputs[0]].shape[-1]
    inputs = graph.tensors[second.inputs[0]].shape[-1]
    if second.op == "DEPTHWISE_CONV_2D":
        return channels == inputs
    wanted = weights.shape[-1]  # a grouped convolution has fewer
    return channels > 0 and inputs % channels == 0 and wanted == inputs


class _Weights:
    """The weights of a model while they are changed, float64 for many rounds."""

    def __init__(self, graph: Graph, editable: Any) -> None:
        self._graph = graph
        self._model = editable
        self._arrays: dict[int, np.ndarray] = {}

    def of(self, tensor: int) -> np.ndarray:
        if tensor not in self._arrays:
            self._arrays[tensor] = np.array(self._graph.tensors[tensor].data(), np.float64)
        return self._arrays[tensor]

    def store(self) -> None:
        tensors, buffers = self._model.subgraphs[0].tensors, self._model.buffers
        for index, array in self._arrays.items():
            buffers[tensors[index].buffer].data = np.frombuffer(array.astype("<f4").tobytes(), np.uint8)


def _equalise_pair(weights: _Weights, pair: Pair) -> np.ndarray:
    """Scales the channels between two nodes; returns the factors, [channels]."""
    first, second = weights.of(pair.first.inputs[1]), weights.of(pair.second.inputs[1])
    outputs = _outputs_first(pair.first, first)
    channels = outputs.shape[0]
    inputs = _inputs_first(pair.second, second, channels)
    mine, theirs = np.abs(outputs).reshape(channels, -1).max(axis=1), np.abs(inputs).reshape(channels, -1).max(axis=1)
    usable = (mine > 0) & (theirs > 0)
    factors = np.sqrt(np.where(usable, mine, 1.0) / np.where(usable, theirs, 1.0))
    factors = np.clip(factors, 1e-6, 1e6)
    outputs /= factors.reshape(-1, *[1] * (outputs.ndim - 1))
    inputs *= factors.reshape(-1, *[1] * (inputs.ndim - 1))
    if len(pair.first.inputs) > 2 and pair.first.inputs[2] >= 0:
        bias = weights.of(pair.first.inputs[2])
        bias /= factors
    return factors


def _outputs_first(node: Node, array: np.ndarray) -> np.ndarray:
    """A view of weights by output channel: [channels, ...]."""
    return np.moveaxis(array, -1, 0) if node.op == "DEPTHWISE_CONV_2D" else array


def _inputs_first(node: Node, array: np.ndarray, channels: int) -> np.ndarray:
    """A view of weights by input channel, [channels, ...]: of a flattened map every `channels`-th input is of one channel."""
    if node.op == "DEPTHWISE_CONV_2D":  # [1, h, w, channels * multiplier], the multiples of a channel side by side
        return np.moveaxis(array.reshape(*array.shape[:-1], channels, -1), -2, 0)
    return np.moveaxis(array.reshape(*array.shape[:-1], -1, channels), -1, 0)
