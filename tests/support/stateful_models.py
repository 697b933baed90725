"""Small models that remember one inference in the next, and what they answer."""

from __future__ import annotations

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, write_tree

#: what a `running_sum` starts from
FIRST = 10.0
_TANH = 4


def running_sum(size: int = 4) -> bytes:
    """float32 [1, size] -> all inputs so far, and FIRST: a resource (VAR_HANDLE) that a graph run once fills."""
    editor = Editor()
    handle = editor.tensor("handle", (1,), "resource")
    x, before, y = (editor.tensor(name, (1, size), "float32") for name in ("x", "before", "y"))
    editor.add("CALL_ONCE", [], [], options="CallOnceOptions", fields={"init_subgraph_index": 1})
    editor.add("VAR_HANDLE", [], [handle], options="VarHandleOptions", fields={"shared_name": b"sum"})
    editor.add("READ_VARIABLE", [handle], [before], options="ReadVariableOptions")
    editor.add("ADD", [before, x], [y], options="AddOptions")
    editor.add("ASSIGN_VARIABLE", [handle, y], [], options="AssignVariableOptions")
    tree = editor.finish([x], [y])
    _add_first_value(tree, size)
    return write_tree(tree)


def stored_constant(size: int = 4) -> bytes:
    """float32 [1, size] -> input and FIRST: a resource that nothing writes after the graph that runs once."""
    editor = Editor()
    handle = editor.tensor("handle", (1,), "resource")
    x, before, y = (editor.tensor(name, (1, size), "float32") for name in ("x", "before", "y"))
    editor.add("CALL_ONCE", [], [], options="CallOnceOptions", fields={"init_subgraph_index": 1})
    editor.add("VAR_HANDLE", [], [handle], options="VarHandleOptions", fields={"shared_name": b"sum"})
    editor.add("READ_VARIABLE", [handle], [before], options="ReadVariableOptions")
    editor.add("ADD", [before, x], [y], options="AddOptions")
    tree = editor.finish([x], [y])
    _add_first_value(tree, size)
    return write_tree(tree)


def _add_first_value(tree: Record, size: int) -> None:
    tree.rows("subgraphs").append(Record("SubGraph"))
    once = Editor(tree, 1)
    handle = once.tensor("handle", (1,), "resource")
    value = once.tensor("value", (1, size), "float32", data=np.full((1, size), FIRST, np.float32))
    once.add("VAR_HANDLE", [], [handle], options="VarHandleOptions", fields={"shared_name": b"sum"})
    once.add("ASSIGN_VARIABLE", [handle, value], [], options="AssignVariableOptions")
    once.finish([], [])


def lstm(inputs: int = 4, cells: int = 3) -> bytes:
    """float32 [1, 1, inputs] -> [1, 1, cells]: one step of an LSTM whose state is in two variable tensors."""
    rng = np.random.default_rng(0)
    editor = Editor()
    x = editor.tensor("x", (1, 1, inputs), "float32")

    def constants(name: str, *shape: int) -> list[int]:
        values = rng.normal(size=(4, *shape)).astype(np.float32)
        return [editor.tensor(f"{name}{i}", shape, "float32", data=value) for i, value in enumerate(values)]

    from_input, from_state, bias = constants("w", cells, inputs), constants("r", cells, cells), constants("b", cells)
    state, cell = (editor.tensor(name, (1, cells), "float32", variable=True) for name in ("state", "cell"))
    y = editor.tensor("y", (1, 1, cells), "float32")
    places = [x, *from_input, *from_state, -1, -1, -1, *bias, -1, -1, state, cell, -1, -1, -1, -1]
    options = {"fused_activation_function": _TANH}
    name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    editor.add(name, places, [y], options="UnidirectionalSequenceLSTMOptions", fields=options)
    return write_tree(editor.finish([x], [y]))
