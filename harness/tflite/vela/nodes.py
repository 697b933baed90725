"""From Vela's compiled file back to the nodes of the model it was made from: which went to the NPU, and at what cost.

The compiled file is the evidence: what stays on the CPU stands in it under its own name, and everything else is inside
custom operators named `ethos-u`. Vela's printed text adds the reasons, its per-layer table the cycles. All of them are
joined by the names of the tensors that nodes write, which Vela keeps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.tflite.graph import Graph, Node
from harness.tflite.vela.output import VelaLayer, VelaRefusal

#: custom name of an operator that runs a command stream on the NPU
CUSTOM_OP = "ethos-u"

#: `npu`: inside an `ethos-u` operator; `cpu`: left as it was; `removed`: not needed any more in the compiled model
Place = Literal["npu", "cpu", "removed"]


@dataclass(frozen=True, kw_only=True)
class VelaNode:
    """Where Vela put one node of the original model.

    Attributes:
        node: its index in the original model. `inputs` and `outputs` are tensor indices there, -1 for an absent one.
        compiled_node: index in the compiled model: of itself on the CPU, of the `ethos-u` operator it went into on the NPU;
            None when it was removed, and where tensor names do not tell.
        cycles: what Vela estimates for it; 0 for a node without work of its own on the NPU (a RESHAPE, a constant result);
            None off the NPU.
        reason: why it stays on the CPU, in Vela's words.
    """

    node: int
    op: str
    place: Place
    compiled_node: int | None = None
    cycles: int | None = None
    reason: str | None = None
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


def npu_operators(compiled: Graph) -> tuple[Node, ...]:
    """The `ethos-u` operators of a compiled model."""
    return tuple(node for node in compiled.nodes if node.custom_name == CUSTOM_OP)


def place_nodes(
    original: Graph, compiled: Graph, refusals: Sequence[VelaRefusal], layers: Sequence[VelaLayer]
) -> tuple[VelaNode, ...]:
    """Every node of the original model with its place, in the model's order."""
    left = _left_on_cpu(original, compiled)
    operator_of, complete = _operators(original, compiled, left)
    cycles = _cycles(original, layers, left)
    reasons = _reasons(refusals)
    placed = []
    for node in original.nodes:
        base = VelaNode(node=node.index, op=node.op, place="cpu", inputs=node.inputs, outputs=node.outputs)
        if node.index in left:
            names = _names(original, node.outputs)
            reason = next((reasons[n] for n in names if n in reasons), "Vela gives no reason")
            placed.append(replace(base, compiled_node=left[node.index], reason=reason))
        elif node.index in operator_of or not complete:
            # Where the walk is not complete, only the compiled file's word is taken: it is not on the CPU.
            at = operator_of.get(node.index)
            placed.append(replace(base, place="npu", compiled_node=at, cycles=cycles.get(node.index, 0)))
        else:
            placed.append(replace(base, place="removed"))
    return tuple(placed)


def _names(graph: Graph, tensors: Sequence[int]) -> tuple[str, ...]:
    return tuple(graph.tensors[t].name for t in tensors if t >= 0)


def _left_on_cpu(original: Graph, compiled: Graph) -> dict[int, int]:
    """Original nodes that stand in the compiled model (the same op writing the same tensors) -> their index there.

    Each is used once: of two nodes that cannot be told apart, as many are left as the compiled model has.
    """
    waiting: dict[tuple, list[int]] = defaultdict(list)
    for node in reversed(compiled.nodes):
        if node.custom_name != CUSTOM_OP:
            waiting[(node.op, node.custom_name, _names(compiled, node.outputs))].append(node.index)
    left = {}
    for node in original.nodes:
        same = waiting.get((node.op, node.custom_name, _names(original, node.outputs)))
        if same:
            left[node.index] = same.pop()
    return left


def _operators(original: Graph, compiled: Graph, left: Container[int]) -> tuple[dict[int, int], bool]:
    """Node index -> index of its `ethos-u` operator in the compiled model.

    Found walking back from each operator's outputs to its inputs.
    The second value is False when names do not tell tensors apart, so that nothing follows from not being found.
    """
    written = [name for node in original.nodes for name in _names(original, node.outputs)]
    if len(set(written)) != len(written) or "" in written:
        return {}, False
    producer = {name: node for node in original.nodes for name in _names(original, node.outputs)}
    found: dict[int, int] = {}
    for operator in npu_operators(compiled):
        inputs = set(_names(compiled, operator.inputs))
        pending = list(_names(compiled, operator.outputs))
        if not all(name in producer for name in pending):
            return found, False  # Vela made a tensor of its own at the border
        while pending:
            name = pending.pop()
            node = producer.get(name)
            if node is None or name in inputs or node.index in left or node.index in found:
                continue
            found[node.index] = operator.index
            pending += _names(original, node.inputs)
    return found, True


def _cycles(original: Graph, layers: Sequence[VelaLayer], left: Container[int]) -> dict[int, int]:
    """Node index -> estimated cycles.

    The layer that writes a node's own tensor carries its name. What Vela splits a node into (a SOFTMAX into 29) comes
    just before it under made-up names and with the same original operator, so it is counted to the next named layer of
    that operator; where none follows, to the last one, else to the first node of that op (a RESHAPE that became a copy).
    """
    by_tensor = {
        name: node.index for node in original.nodes if node.index not in left for name in _names(original, node.outputs)
    }
    cycles: dict[int, int] = defaultdict(int)
    parts: dict[str, int] = defaultdict(int)
    last: dict[str, int] = {}
    for layer in layers:
        if not layer.on_npu:
            continue
        index = by_tensor.get(layer.tensor)
        if index is None:
            parts[layer.original] += layer.cycles
            continue
        cycles[index] += layer.cycles + parts.pop(layer.original, 0)
        last[layer.original] = index
    first = {
        node.op.replace("_", "").lower(): node.index for node in reversed(original.nodes) if node.index not in left
    }
    for kind, rest in parts.items():
        index = last.get(kind, first.get(kind.lower()))
        if index is not None:
            cycles[index] += rest
    return dict(cycles)


def _reasons(refusals: Sequence[VelaRefusal]) -> dict[str, str]:
    """Tensor name -> reason. A fused activation is refused under its own name and writes the node's tensor."""
    reasons: dict[str, str] = {}
    for refusal in refusals:
        reasons.setdefault(refusal.tensor, refusal.reason)
    return reasons
