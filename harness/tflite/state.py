"""Whether a model remembers one inference in the next, and whether one may go on for ever."""

from __future__ import annotations

from harness.tflite.graph import Graph

#: ops that run another subgraph, each time
_CALLS = {"IF", "WHILE", "CALL", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE"}
#: ops that run another subgraph for as long as the model says
_LOOPS = {"WHILE", "STABLEHLO_WHILE"}


def keeps_state(graph: Graph) -> bool:
    """True when the model has variable tensors, or writes a resource outside of the graphs that run once."""
    main = {node.op for node in graph.nodes}
    if any(tensor.is_variable for tensor in graph.tensors):
        return True
    # Which subgraph a node is of is not kept: what is written where nothing else calls one gives first values, once.
    written = any(node.op == "ASSIGN_VARIABLE" for node in graph.other_nodes)
    return "ASSIGN_VARIABLE" in main or (written and bool(main & _CALLS or "CALL_ONCE" not in main))


def has_loop(graph: Graph) -> bool:
    """True when the model repeats a part of itself until a condition of its own holds, which may be never."""
    return any(node.op in _LOOPS for node in (*graph.nodes, *graph.other_nodes))
