"""What the nodes of a model take where a core counts: from counts between nodes, or from models that end one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.explain.document import LayerCost

#: in a row of a record's `ops`: what the firmware counted for the node, in the unit of the cell's whole count
COUNT = "count"


def counted_nodes(ops: Sequence[Mapping[str, Any]]) -> dict[int, LayerCost] | None:
    """The counts between nodes of a cell that was run; None where its firmware counts the whole model only.

    This is the one place that knows where such counts are: with them no prefix is run.
    """
    found = {row["node"]: row[COUNT] for row in ops if isinstance(row.get(COUNT), int | float)}
    if not found:
        return None
    return {int(node): LayerCost(value=float(count), method="counter") for node, count in found.items()}


def from_prefixes(counts: Mapping[int, float]) -> dict[int, LayerCost]:
    """What each node takes, from the counts of models that end after it: exact where counts are, and their sum is the whole's.

    Args:
        counts: node -> count of the model that ends there. A node that is missing is counted with the next one.
    """
    found, before = {}, 0.0
    for node in sorted(counts):
        found[node] = LayerCost(value=counts[node] - before, method="prefix")
        before = counts[node]
    return found
