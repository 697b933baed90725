"""Which node of a float model is which of a quantized one: by structure first, by names where several would fit.

Converters make both of the same graph, and fold and rename on the way. So nodes are matched in order: the same op, fed by what is
matched already. What rounds or turns numbers into floats (QUANTIZE, DEQUANTIZE, FAKE_QUANT) stands for what it reads. Batch
normalization that the float model has in its weights may stand as MUL and ADD behind the layer here, because quantization-aware
training put a quantizer between the two: then the output of ADD is what the float model's layer gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.core.errors import HarnessError
from harness.tflite.arithmetic import WEIGHTED_OPS, weights_of
from harness.tflite.graph import Graph, Node, Tensor
from harness.workloads.input_names import same_inputs

_ALIASES = ("QUANTIZE", "DEQUANTIZE", "FAKE_QUANT")
#: ops whose weights a converter folds a normalization into
_FOLDING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
#: weights of one layer of one training agree at least so well, whatever rounded them
_LEAST_CORRELATION = 0.8


@dataclass(frozen=True, kw_only=True)
class Match:
    """What belongs to what.

    Attributes:
        tensors: tensor of the quantized model -> tensor of the float model that holds the same value.
        nodes: the same of nodes.
        constants: (node, input position) of the quantized model -> the float constant there.
        missing: nodes that compute and have no counterpart.
        unfolded: nodes whose normalization stands behind them here, and is in the weights of their counterpart. Their constants
            are that one's, each channel scaled back by the factor that brings it nearest to what is stored.
    """

    tensors: dict[int, int] = field(default_factory=dict)
    nodes: dict[int, int] = field(default_factory=dict)
    constants: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    unfolded: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NoMatch:
    """Why a float model is not what a quantized one was made of."""

    why: str


def match_models(quantized: Graph, plain: Graph) -> Match | NoMatch:
    """Finds the counterparts.

    Args:
        quantized: the model to explain.
        plain: the float model of the same training.
    """
    if len(quantized.inputs) != len(plain.inputs) or len(quantized.outputs) != len(plain.outputs):
        return NoMatch(why="the two have other numbers of inputs or outputs")
    for mine, theirs in zip(quantized.inputs, same_inputs(quantized, plain), strict=True):
        if quantized.tensors[mine].shape[1:] != plain.tensors[plain.inputs[theirs]].shape[1:]:
            return NoMatch(why="the two take samples of other shapes")
    matcher = _Matcher(quantized, plain)
    matcher.run()
    weighted = [node for node in quantized.nodes if _constant_weights(quantized, node) is not None]
    apart = [node for node in weighted if node.index in matcher.nodes and not matcher.same_weights(node)]
    if apart:
        return NoMatch(why=f"the weights of node {apart[0].index} {apart[0].op} are of another training")
    if weighted and not any(node.index in matcher.nodes for node in weighted):
        return NoMatch(why="no layer with weights of the one is found in the other")
    return Match(
        tensors=matcher.tensors,
        nodes=matcher.nodes,
        constants=matcher.constants(),
        missing=tuple(
            n.index
            for n in quantized.nodes
            if n.op not in _ALIASES and n.index not in matcher.nodes and n.index not in matcher.within
        ),
        unfolded=tuple(matcher.unfolded),
    )


class _Matcher:
    def __init__(self, quantized: Graph, plain: Graph) -> None:
        self._quantized, self._plain = quantized, plain
        self.nodes: dict[int, int] = {}
        places = same_inputs(quantized, plain)
        self.tensors = {mine: plain.inputs[place] for mine, place in zip(quantized.inputs, places, strict=True)}
        self._taken: set[int] = set()
        #: what belongs to a node before it: its normalization, or an activation of its own
        self.within: set[int] = set()
        self.unfolded: list[int] = []

    def run(self) -> None:
        for node in self._quantized.nodes:
            if node.op in _ALIASES:
                source = node.inputs[0] if node.inputs else -1
                if source in self.tensors:
                    self.tensors[node.outputs[0]] = self.tensors[source]
                continue
            if node.index in self.within:
                continue
            found = self._counterpart(node)
            if found is None:
                continue
            self.nodes[node.index] = found.index
            self._taken.add(found.index)
            followers = self._followers(node, found)
            self.within |= {follower.index for follower in followers}
            last = followers[-1] if followers else node
            self.tensors.update(zip(last.outputs, found.outputs, strict=True))

    def _followers(self, node: Node, found: Node) -> list[Node]:
        """What computes behind a node here and inside its counterpart there: MUL and ADD of a normalization, an activation."""
        followers: list[Node] = []
        if node.op not in _FOLDING:
            return followers
        scale = self._sole_reader(self._quantized, node)
        shift = None if scale is None else self._sole_reader(self._quantized, scale)
        if (
            _by_constant(self._quantized, scale, "MUL")
            and _by_constant(self._quantized, shift, "ADD")
            and not _by_constant(self._plain, self._sole_reader(self._plain, found), "MUL")
        ):
            assert scale is not None and shift is not None
            followers = [scale, shift]
            self.unfolded.append(node.index)
        last = followers[-1] if followers else node
        separate = self._sole_reader(self._quantized, last)
        fused = found.options.get("fused_activation_function")
        if separate is not None and last.options.get("fused_activation_function") != fused == separate.op:
            followers.append(separate)
        return followers

    @staticmethod
    def _sole_reader(graph: Graph, node: Node) -> Node | None:
        """The one node that reads a node's output, whatever rounds it on the way; None where several do or the model gives it."""
        tensor = node.outputs[0]
        while tensor not in graph.outputs and len(readers := graph.consumers.get(tensor, ())) == 1:
            if readers[0].op not in _ALIASES:
                return readers[0]
            tensor = readers[0].outputs[0]
        return None

    def _counterpart(self, node: Node) -> Node | None:
        candidates = [
            other
            for other in self._plain.nodes
            if other.index not in self._taken and other.op == node.op and self._fits(node, other)
        ]
        fed = [other for other in candidates if self._fed_alike(node, other)]
        named = [other for other in fed or candidates if self._same_name(node, other)]
        if named:
            return named[0]
        if len(fed) > 1 and _constant_weights(self._quantized, node) is not None:
            fed.sort(key=lambda other: -self._correlation(node, other))
        return fed[0] if fed else None

    def _fits(self, node: Node, other: Node) -> bool:
        if len(node.outputs) != len(other.outputs):
            return False
        return all(
            self._quantized.tensors[mine].shape[1:] == self._plain.tensors[theirs].shape[1:]
            for mine, theirs in zip(node.outputs, other.outputs, strict=True)
        )

    def _fed_alike(self, node: Node, other: Node) -> bool:
        mine = [self.tensors.get(t, -2) for t in self._flowing(self._quantized, node)]
        theirs = self._flowing(self._plain, other)
        return bool(mine) and mine == theirs

    @staticmethod
    def _flowing(graph: Graph, node: Node) -> list[int]:
        """What varies among a node's inputs; of a constant that is turned into floats, nothing."""
        return [
            t
            for t in node.inputs
            if t >= 0 and not graph.tensors[t].is_constant and not graph.tensors[t].is_variable
            and not _of_constant(graph, t)
        ]  # fmt: skip

    def _same_name(self, node: Node, other: Node) -> bool:
        mine = self._quantized.tensors[node.outputs[0]].name
        return bool(mine) and mine == self._plain.tensors[other.outputs[0]].name

    def _correlation(self, node: Node, other: Node) -> float:
        mine, theirs = _constant_weights(self._quantized, node), _constant_weights(self._plain, other)
        if mine is None or theirs is None or mine.shape != theirs.shape:
            return -1.0
        a, b = _real(mine), _real(theirs)
        if node.index in self.unfolded:
            b = _scaled_back(a, b, channel_axis(mine, node))
        a, b = a.ravel(), b.ravel()
        if not (a @ a) or not (b @ b):
            return 1.0 if not (a @ a) and not (b @ b) else 0.0
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    def same_weights(self, node: Node) -> bool:
        """Whether a matched node's weights are of the same training."""
        return self._correlation(node, self._plain.nodes[self.nodes[node.index]]) >= _LEAST_CORRELATION

    def constants(self) -> dict[tuple[int, int], np.ndarray]:
        """The float constants that stand where the quantized model has quantized ones."""
        found = {}
        for index, counterpart in self.nodes.items():
            node, other = self._quantized.nodes[index], self._plain.nodes[counterpart]
            weights = WEIGHTED_OPS[node.op][1] if node.op in WEIGHTED_OPS else None
            for position, (mine, theirs) in enumerate(zip(node.inputs, other.inputs, strict=False)):
                if mine < 0 or theirs < 0:
                    continue
                stored, plain = _source(self._quantized, mine), _source(self._plain, theirs)
                if not stored.is_constant or not plain.is_constant or plain.dtype != "float32":
                    continue
                if plain.shape != stored.shape or not self._differs(stored, plain):
                    continue
                if index not in self.unfolded:
                    found[index, position] = plain.data()
                elif position == weights:  # a bias would be that of the normalization
                    scaled = _scaled_back(_real(stored), _real(plain), channel_axis(stored, node))
                    found[index, position] = scaled.astype(np.float32)
        return found

    @staticmethod
    def _differs(stored: Tensor, plain: Tensor) -> bool:
        """Whether a stored constant is the float one rounded: in an integer type, or in float32 by a simulated scheme."""
        if stored.is_quantized or stored.dtype in ("int32", "int64", "float16"):
            return True
        return stored.dtype == "float32" and not np.array_equal(stored.data(), plain.data())


def _by_constant(graph: Graph, node: Node | None, op: str) -> bool:
    """Whether a node is this op, with one constant among its two inputs."""
    return node is not None and node.op == op and sum(_source(graph, t).is_constant for t in node.inputs if t >= 0) == 1


def channel_axis(weights: Tensor, node: Node) -> int:
    """The axis of the output channels in a node's weights."""
    axis = weights.quantized_dimension if weights.per_channel else 3 if node.op == "DEPTHWISE_CONV_2D" else 0
    return min(axis, max(len(weights.shape) - 1, 0))


def _scaled_back(stored: np.ndarray, plain: np.ndarray, axis: int) -> np.ndarray:
    """Float weights with each channel scaled to the stored one; a channel that is all zeros there stays as it is stored."""
    if not stored.ndim:
        return plain
    others = tuple(i for i in range(stored.ndim) if i != axis)
    agree = (stored * plain).sum(axis=others, keepdims=True)
    power = (plain * plain).sum(axis=others, keepdims=True)
    return np.where(agree * power != 0, plain * agree / np.where(power == 0, 1.0, power), stored)


def _of_constant(graph: Graph, tensor: int) -> bool:
    producer = graph.producers.get(tensor)
    return producer is not None and producer.op == "DEQUANTIZE" and graph.tensors[producer.inputs[0]].is_constant


def _source(graph: Graph, tensor: int) -> Tensor:
    """The tensor, or the constant that is turned into it when the model runs."""
    index = graph.producers[tensor].inputs[0] if _of_constant(graph, tensor) else tensor
    return graph.tensors[index]


def _constant_weights(graph: Graph, node: Node) -> Tensor | None:
    """The weights of a node, where they are in the file."""
    tensor = weights_of(graph, node)
    if tensor is not None and _of_constant(graph, tensor.index):
        tensor = graph.tensors[graph.producers[tensor.index].inputs[0]]
    return tensor if tensor is not None and tensor.is_constant and not tensor.is_sparse else None


def weight_values(graph: Graph, node: Node) -> np.ndarray | None:
    """The weights of a node as real numbers, float64; None where it has none in the file."""
    tensor = _constant_weights(graph, node)
    if tensor is None:
        return None
    try:
        return _real(tensor)
    except HarnessError:
        return None


def bias_values(graph: Graph, node: Node) -> np.ndarray | None:
    """The bias of a node, real values float64; None where it has none in the file that says what it means."""
    if node.op not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return None
    tensor = graph.input_at(node, 2)
    if tensor is None or not tensor.is_constant or not (tensor.is_quantized or tensor.dtype == "float32"):
        return None
    return _real(tensor).ravel()


def _real(tensor: Tensor) -> np.ndarray:
    values = tensor.data().astype(np.float64)
    if not tensor.is_quantized:
        return values
    scales, zeros = np.asarray(tensor.scales), np.asarray(tensor.zero_points, np.float64)
    if scales.size > 1:
        spread = [1] * values.ndim
        spread[tensor.quantized_dimension] = -1
        scales, zeros = scales.reshape(spread), zeros.reshape(spread)
    return scales * (values - zeros)
