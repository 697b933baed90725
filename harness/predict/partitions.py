"""Into how many pieces does a delegate cut a model? The runtime's own partitioning, from the list of nodes it takes."""

from __future__ import annotations

from collections.abc import Container

from harness.tflite.graph import Graph


def count_partitions(graph: Graph, taken: Container[int]) -> int:
    """How many DELEGATE nodes the runtime makes when the delegate takes the nodes of these indices.

    TensorFlow Lite groups nodes greedily (graph_info.cc, PartitionGraphIntoIndependentNodeSubsets): it goes over the nodes
    again and again, adding to the current group every node of the same kind whose inputs are ready, and starts the next
    group when none is left.
    """
    written = {tensor for node in graph.nodes for tensor in node.outputs}
    ready = {i for i in range(len(graph.tensors)) if i not in written} | {-1}
    waiting = list(graph.nodes)
    partitions = 0
    while waiting:
        kind: bool | None = None
        progress = True
        while progress:
            progress = False
            left = []
            for node in waiting:
                is_taken = node.index in taken
                if kind in (None, is_taken) and all(tensor in ready for tensor in node.inputs):
                    kind = is_taken
                    ready.update(node.outputs)
                    progress = True
                else:
                    left.append(node)
            waiting = left
        if kind is None:
            break  # a cycle, which no runtime runs
        partitions += kind
    return partitions
