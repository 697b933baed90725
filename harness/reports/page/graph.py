"""A model as a graph to draw: its nodes in layers, an edge for every tensor that one node makes and another takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: nodes of a model that are drawn; the table of ops has all of them
MAX_NODES = 600


def graph_of(ops: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The nodes and edges of a record's ops; None where it has none.

    Args:
        ops: a record's `ops`: {"node", "op", "ran_on", "inputs", "outputs"}, in the model's order.

    Returns:
        {"nodes": [[node, op, layer, lane]], "edges": [[from, to]], "left": how many nodes are left out}; edges count nodes
        from 0 by their place in the list. A node stands one layer below the lowest of those that it takes from. Where the
        record does not tell what a node takes (a microcontroller's firmware of somebody else), it follows the one before it.
    """
    shown = ops[:MAX_NODES]
    if not shown:
        return None
    made: dict[Any, int] = {}
    edges: list[list[int]] = []
    layers: list[int] = []
    lanes: dict[int, int] = {}
    nodes: list[list[Any]] = []
    for place, row in enumerate(shown):
        inputs = row.get("inputs")
        sources = sorted({made[t] for t in inputs if t in made}) if isinstance(inputs, list) else [place - 1][:place]
        edges += [[source, place] for source in sources]
        layer = 1 + max((layers[source] for source in sources), default=-1)
        layers.append(layer)
        lane = lanes.get(layer, 0)
        lanes[layer] = lane + 1
        nodes.append([row.get("node", place), str(row.get("op", "?")), layer, lane])
        outputs = row.get("outputs")
        for tensor in outputs if isinstance(outputs, list) else ():
            made[tensor] = place
    return {"nodes": nodes, "edges": edges, "left": len(ops) - len(shown)}


class Graphs:
    """The graphs of a run's models, each once, however many cells ran it."""

    def __init__(self) -> None:
        self.graphs: list[dict[str, Any]] = []
        self._known: dict[tuple[Any, ...], int] = {}

    def add(self, ops: Sequence[Mapping[str, Any]]) -> int | None:
        """The number of the graph of these ops; None without ops."""
        identity = tuple(
            (row.get("node"), row.get("op"), str(row.get("inputs")), str(row.get("outputs"))) for row in ops
        )
        if identity not in self._known:
            graph = graph_of(ops)
            if graph is None:
                return None
            self._known[identity] = len(self.graphs)
            self.graphs.append(graph)
        return self._known[identity]


def places(ops: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where each drawn node ran, in the graph's order."""
    return [str(row.get("ran_on", "?")) for row in ops[:MAX_NODES]]


def op_times(ops: Sequence[Mapping[str, Any]], unit: str | None = None) -> tuple[str, list[float | None]] | None:
    """What is known of each op's cost: what it is, and a value per drawn node; None where nothing is.

    What the board counted itself, in `unit`, goes before times that the vendor's benchmark measured, and these before a
    compiler's estimates.
    """
    kinds = (("count", f"{unit} of one inference, counted on the board"),
             ("vendor_ns", "measured by the vendor's benchmark, ns"), ("estimate_ns", "estimated by the compiler, ns"),
             ("cycles", "estimated by the compiler, cycles"))  # fmt: skip
    for name, words in kinds:
        values = [row.get(name) for row in ops[:MAX_NODES]]
        if any(value is not None for value in values):
            return words, values
    return None
