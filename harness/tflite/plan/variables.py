"""Resource variables of a model: which handles name them, and their first values."""

from __future__ import annotations

from dataclasses import replace

from harness.core.errors import UnsupportedError
from harness.tflite.graph import Graph, Node, Subgraph, Tensor
from harness.tflite.plan.values import Value, constant_values, declared

_RUN_ONCE = "only constants are taken as first values: save the model with variables that start from constants"


class Variables:
    """What CALL_ONCE gives the variables of a model. Use: `run_once` of each such node, then `first_value`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._first: dict[str, Value] = {}

    def run_once(self, node: Node) -> None:
        """Reads the graph that a CALL_ONCE runs: constants that are assigned to variables, and nothing else.

        Raises:
            UnsupportedError: it does something else.
        """
        number = int(node.options.get("init_subgraph_index", 0))
        if not 1 <= number <= len(self._graph.others):
            raise UnsupportedError(
                f"it runs graph {number}, which the model does not have", hint="the model is damaged"
            )
        once = self._graph.others[number - 1]
        names = _names(once.nodes)
        for inside in once.nodes:
            if inside.op == "VAR_HANDLE":
                continue
            if inside.op != "ASSIGN_VARIABLE" or len(inside.inputs) != 2 or inside.inputs[0] not in names:
                raise UnsupportedError(f"the graph that it runs has a {inside.op}", hint=_RUN_ONCE)
            self._first[names[inside.inputs[0]]] = _constant(once, inside.inputs[1])

    def first_value(self, handle: int) -> tuple[str, Value]:
        """Name and first value of the variable that a tensor of the main graph is the handle of.

        Raises:
            UnsupportedError: no such variable, or none that CALL_ONCE gives a value.
        """
        name = _names(self._graph.nodes).get(handle)
        if name is None:
            raise UnsupportedError("the handle of its variable comes from no VAR_HANDLE", hint="convert again")
        if name not in self._first:
            raise UnsupportedError(f"the variable '{name}' has no first value", hint=_RUN_ONCE)
        return name, self._first[name]


def _names(nodes: tuple[Node, ...]) -> dict[int, str]:
    """Tensor of a handle -> what its variable is called, in all graphs alike."""
    found = {}
    for node in nodes:
        if node.op == "VAR_HANDLE" and node.outputs:
            options = node.options
            found[node.outputs[0]] = f"{options.get('container', '')}/{options.get('shared_name', '')}"
    return found


def _constant(once: Subgraph, index: int) -> Value:
    tensor: Tensor | None = once.tensors[index] if index >= 0 else None
    if tensor is None or not tensor.is_constant:
        raise UnsupportedError("it assigns what it computes", hint=_RUN_ONCE)
    return replace(declared(tensor), data=constant_values(tensor))
