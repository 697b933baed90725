"""What the nodes of a model take where a core counts: from counts between nodes, or from models that end one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from harness.explain.document import LayerCost


def counted_nodes(counts: Mapping[int | None, float]) -> dict[int, LayerCost]:
    """What each node takes, where the board reads its counter between them.

    Args:
        counts: node -> count; None stands for what converts inputs and outputs at the model's edges, which is no node's.
    """
    return {node: LayerCost(value=float(count), method="counter") for node, count in counts.items() if node is not None}


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
