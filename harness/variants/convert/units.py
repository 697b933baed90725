"""Layers that leave int8 together, by the names that a recipe has for them: one, and those that read it.

A float or 16-bit layer alone does not help where the range of its output is the trouble: the next layer would round it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.tflite.graph import Graph
from harness.variants.audit.theory import CARRYING_OPS
from harness.variants.convert.layers import LayerOp
from harness.variants.mix import can_name


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Layers that are taken out of int8 together: one, and those that read what it writes.

    Attributes:
        layer: the one that it is about.
        layers: all of them, by the names that a recipe knows them by.
    """

    layer: str
    layers: tuple[str, ...]


def units_of(graph: Graph, ops: Sequence[LayerOp]) -> list[Unit]:
    """One unit per op that computes, in the order of the model; ops that only move values are part of the way to the next."""
    by_node = {op.node.index: op for op in ops}
    units = []
    for op in ops:
        if op.node.op in CARRYING_OPS:
            continue
        reached = _readers(graph, op, by_node)
        units.append(Unit(layer=word_of(op), layers=tuple(dict.fromkeys(word_of(one) for one in (op, *reached)))))
    return units


def word_of(op: LayerOp) -> str:
    """How a recipe names an op."""
    return op.name if can_name(op.name) else f"op{op.number}"


def _readers(graph: Graph, op: LayerOp, by_node: dict[int, LayerOp]) -> list[LayerOp]:
    """The ops that read an op's output, through those that only move it, these included."""
    found, left = [], list(op.node.outputs)
    while left:
        for node in graph.consumers.get(left.pop(), ()):
            reader = by_node.get(node.index)
            if reader is not None and reader not in found:
                found.append(reader)
                left += node.outputs if node.op in CARRYING_OPS else ()
    return found
