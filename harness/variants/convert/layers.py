"""Which ops of a .tflite a layer of the Keras model became, and what a recipe's words make of each op.

The converter keeps the paths of the layers in the names of tensors: `model/conv2d/Relu;model/conv2d/BiasAdd;...`. One op may
stand for several layers (a convolution with its normalization and ReLU), and one layer may be several ops. An op without a name
goes by its number among the ops of the float model: `op4` is the fifth.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import UnsupportedError
from harness.tflite.arithmetic import weights_of
from harness.tflite.graph import Graph, Node
from harness.variants.mix import LayerKind, Mix

#: what a quantizer puts between the ops of the float model
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")
_NUMBERED = re.compile(r"op(\d+)")
_MOST_NAMED = 12


@dataclass(frozen=True, kw_only=True)
class LayerOp:
    """One op of the model, in the order of the float model.

    Attributes:
        number: among the ops, 0 for the first; what the quantizer put between them does not count.
        layers: the layers that it computes, in the order of the model; empty where no tensor tells.
    """

    number: int
    node: Node
    layers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The first of its layers, or its number."""
        return self.layers[0] if self.layers else f"op{self.number}"


@dataclass(frozen=True, kw_only=True)
class OpChoice:
    """What a recipe wants of an op."""

    kind: LayerKind
    per_tensor: bool


def layer_ops(graph: Graph, layers: Sequence[str]) -> list[LayerOp]:
    """The ops of a float model, or of one that was quantized from it, with their layers.

    Args:
        layers: the names of the Keras model's layers, in its order.
    """
    known = {name: position for position, name in reversed(list(enumerate(layers)))}
    nodes = [node for node in graph.nodes if node.op not in _BETWEEN]
    return [
        LayerOp(number=number, node=node, layers=_layers_of(graph, node, known)) for number, node in enumerate(nodes)
    ]


def _layers_of(graph: Graph, node: Node, known: dict[str, int]) -> tuple[str, ...]:
    """By the op's own output; by its weights, then by its other constants, where that has a name of the graph's end."""
    weights = weights_of(graph, node)
    outputs = [graph.tensors[index].name for index in node.outputs]
    constants = [graph.tensors[index].name for index in node.inputs if index >= 0 and graph.tensors[index].is_constant]
    for names in (outputs, [weights.name] if weights is not None else [], constants):
        found = {part for name in names for path in name.split(";") for part in path.split("/") if part in known}
        if found:
            return tuple(sorted(found, key=lambda layer: known[layer]))
    return ()


def resolve(mix: Mix, ops: Sequence[LayerOp]) -> list[OpChoice]:
    """What the mix wants of each op. An op of several layers takes the word of the first of them that has one.

    Raises:
        UnsupportedError: the mix names a layer that no op belongs to.
    """
    kinds, weights = dict(mix.layers), dict(mix.weights)
    _require_known(mix.names(), ops)
    choices = []
    for op in ops:
        words = (*op.layers, f"op{op.number}")
        kind = next((kinds[word] for word in words if word in kinds), mix.base)
        per_tensor = next((weights[word] for word in words if word in weights), mix.per_tensor)
        choices.append(OpChoice(kind=kind, per_tensor=per_tensor))
    return choices


def _require_known(names: Sequence[str], ops: Sequence[LayerOp]) -> None:
    layers = list(dict.fromkeys(layer for op in ops for layer in op.layers))
    for name in names:
        numbered = _NUMBERED.fullmatch(name)
        if name in layers or (numbered is not None and int(numbered[1]) < len(ops)):
            continue
        near = difflib.get_close_matches(name, layers, n=3)
        shown = near or layers[:_MOST_NAMED]
        more = f" and {len(layers) - len(shown)} more" if not near and len(layers) > len(shown) else ""
        raise UnsupportedError(
            f"the recipe names the layer '{name}', and no op of the float .tflite belongs to a layer of that name",
            hint=f"{'near to it' if near else 'it has'}: {', '.join(shown)}{more}; or op0 to op{len(ops) - 1} by number",
        )
