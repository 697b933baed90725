"""Two graphs side by side: each aligned pair of nodes with what differs in it, and the nodes that only one of them has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from harness.diff.align import Alignment, align, op_of
from harness.diff.tensors import TensorChange, compare_tensors, shape_text
from harness.tflite.features import features
from harness.tflite.graph import Graph, Node, Tensor

State = Literal["same", "changed", "moved", "rewired", "removed", "added"]
#: what constant inputs of common ops are called, by position
_ROLES = {
    "CONV_2D": {1: "weights", 2: "bias"},
    "DEPTHWISE_CONV_2D": {1: "weights", 2: "bias"},
    "FULLY_CONNECTED": {1: "weights", 2: "bias"},
    "TRANSPOSE_CONV": {1: "weights", 3: "bias"},
}


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """A node as the table shows it."""

    node: int
    op: str
    version: int
    output: str
    arithmetic: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table: a node of A, a node of B, or both.

    Attributes:
        state: `changed` where anything but names differs.
        options: option -> (A's, B's) of those that differ.
        tensors: what differs of outputs and constants.
        constants_a, constants_b: bytes of the node's constants.
    """

    state: State
    a: NodeFacts | None
    b: NodeFacts | None
    options: dict[str, tuple[Any, Any]]
    tensors: tuple[TensorChange, ...]
    constants_a: int = 0
    constants_b: int = 0

    @property
    def version_changed(self) -> bool:
        return self.a is not None and self.b is not None and self.a.version != self.b.version

    @property
    def differs(self) -> bool:
        return self.state != "same"


def rows_of(a: Graph, b: Graph) -> list[Row]:
    """The table, in the order of A, with B's own nodes where they stand in B."""
    return _Table(a, b).rows()


class _Table:
    def __init__(self, a: Graph, b: Graph) -> None:
        self._a, self._b = a, b
        self._alignment: Alignment = align(a, b)
        self._arithmetic = features(a).arithmetic, features(b).arithmetic

    def rows(self) -> list[Row]:
        found, added = [], list(self._alignment.added)
        partner = dict(self._alignment.pairs)
        moved = set(self._alignment.moved)
        for i in range(len(self._a.nodes)):
            j = partner.get(i)
            if j is not None and (i, j) not in moved:
                while added and added[0] < j:
                    found.append(self._alone(added.pop(0), of_b=True))
            found.append(self._alone(i, of_b=False) if j is None else self._pair(i, j))
        return found + [self._alone(j, of_b=True) for j in added]

    def _pair(self, i: int, j: int) -> Row:
        a, b = self._a.nodes[i], self._b.nodes[j]
        tensors = tuple(self._tensors(a, b))
        options = {
            name: (a.options.get(name), b.options.get(name))
            for name in sorted({*a.options, *b.options})
            if _plain(a.options.get(name)) != _plain(b.options.get(name))
        }
        state: State = "same"
        if (i, j) in self._alignment.moved:
            state = "moved"
        elif (i, j) in self._alignment.rewired:
            state = "rewired"
        elif tensors or options or a.version != b.version:
            state = "changed"
        return Row(
            state=state,
            a=self._facts(i, of_b=False),
            b=self._facts(j, of_b=True),
            options=options,
            tensors=tensors,
            constants_a=_constant_bytes(self._a, a),
            constants_b=_constant_bytes(self._b, b),
        )

    def _alone(self, number: int, *, of_b: bool) -> Row:
        graph = self._b if of_b else self._a
        size, facts = _constant_bytes(graph, graph.nodes[number]), self._facts(number, of_b=of_b)
        return Row(
            state="added" if of_b else "removed",
            a=None if of_b else facts,
            b=facts if of_b else None,
            options={},
            tensors=(),
            constants_a=0 if of_b else size,
            constants_b=size if of_b else 0,
        )

    def _facts(self, number: int, *, of_b: bool) -> NodeFacts:
        graph, arithmetic = (self._b, self._arithmetic[1]) if of_b else (self._a, self._arithmetic[0])
        node = graph.nodes[number]
        outputs = [f"{t.dtype} {shape_text(t)}" for t in graph.node_outputs(node)]
        return NodeFacts(
            node=number, op=op_of(node), version=node.version, output=", ".join(outputs), arithmetic=arithmetic[number]
        )

    def _tensors(self, a: Node, b: Node) -> list[TensorChange]:
        """Outputs, and the inputs that are constant in one of the two. Other inputs are the outputs of other nodes."""
        changes: list[TensorChange] = []
        for position in range(max(len(a.outputs), len(b.outputs))):
            role = "output" if max(len(a.outputs), len(b.outputs)) == 1 else f"output {position}"
            changes += compare_tensors(role, _at(self._a, a.outputs, position), _at(self._b, b.outputs, position))
        for position in range(max(len(a.inputs), len(b.inputs))):
            one, two = _at(self._a, a.inputs, position), _at(self._b, b.inputs, position)
            if any(t is not None and t.is_constant for t in (one, two)) or (one is None) != (two is None):
                role = _ROLES.get(a.op, {}).get(position, f"input {position}")
                changes += compare_tensors(role, one, two)
        return changes


def edges_of(a: Graph, b: Graph) -> list[TensorChange]:
    """What differs of the models' inputs and outputs, position by position."""
    found: list[TensorChange] = []
    for word, one, two in (("model input", a.inputs, b.inputs), ("model output", a.outputs, b.outputs)):
        for position in range(max(len(one), len(two))):
            found += compare_tensors(f"{word} {position}", _at(a, one, position), _at(b, two, position))
    return found


def _at(graph: Graph, indices: tuple[int, ...], position: int) -> Tensor | None:
    if position >= len(indices) or indices[position] < 0:
        return None
    return graph.tensors[indices[position]]


def _constant_bytes(graph: Graph, node: Node) -> int:
    return sum(t.buffer_bytes for t in graph.node_inputs(node))


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
