"""A small model with a loop of its own, which may never end."""

from __future__ import annotations

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, write_tree


def doubling(shape: tuple[int, ...] = (1,)) -> bytes:
    """float32 -> doubled while it is under 100, then 1 is added: WHILE with two subgraphs. It never ends for 0 and below.

    Args:
        shape: of one element.
    """
    editor = Editor()
    x, looped, one, y = (editor.tensor(name, shape, "float32") for name in ("x", "looped", "one", "y"))
    editor.tensors[one]["buffer"] = editor.buffer(np.ones(1, np.float32).tobytes())
    loop = editor.add("WHILE", [x], [looped], options="WhileOptions")
    loop["builtin_options"]["cond_subgraph_index"], loop["builtin_options"]["body_subgraph_index"] = 2, 1
    editor.add("ADD", [looped, one], [y], options="AddOptions")
    tree = editor.finish([x], [y])
    for op, options, constant, dtype in (("MUL", "MulOptions", 2.0, "float32"), ("LESS", "LessOptions", 100.0, "bool")):
        tree.rows("subgraphs").append(Record("SubGraph"))
        part = Editor(tree, len(tree.rows("subgraphs")) - 1)
        a = part.tensor("a", shape, "float32")
        b = part.tensor("b", shape, "float32", data=np.full(shape, constant, np.float32))
        c = part.tensor("c", shape, dtype)
        part.add(op, [a, b], [c], options=options)
        if dtype == "bool" and shape != (1,):  # a condition has one element and one axis
            size, flat = part.tensor("size", (1,), "int32", data=np.ones(1, np.int32)), part.tensor("flat", (1,), dtype)
            part.add("RESHAPE", [c, size], [flat], options="ReshapeOptions")
            c = flat
        part.finish([a], [c])
    return write_tree(tree)
