"""Models that a user may hold in hand and that no plain runtime runs, or not as they look: each a .tflite of few nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, write_tree
from tests.support import tiny_model
from tests.support.looping_models import doubling


def custom(name: str, dtype: str = "float32") -> bytes:
    """[1, 4] -> one custom op of this name -> [1, 4]."""
    editor = Editor()
    scales = {} if dtype == "float32" else {"scales": [0.1], "zero_points": [0]}
    x, y = editor.tensor("x", (1, 4), dtype, **scales), editor.tensor("y", (1, 4), dtype, **scales)
    editor.add("CUSTOM", [x], [y], custom=name)
    return bytes(write_tree(editor.finish([x], [y])))


def one_op(op: str, dtype: str, shape: tuple[int, ...] = (1, 4), options: str | None = None) -> bytes:
    """A tensor into one op of one input and out again."""
    editor = Editor()
    x, y = editor.tensor("x", shape, dtype), editor.tensor("y", shape, dtype)
    editor.add(op, [x], [y], options=options)
    return bytes(write_tree(editor.finish([x], [y])))


def dense(change: Callable[[Editor, int], None] = lambda editor, weights: None, rows: int = 3) -> bytes:
    """float32 [1, 4] -> FULLY_CONNECTED -> [1, rows], with something done to its weights."""
    editor = Editor()
    x = editor.tensor("x", (1, 4), "float32")
    w = editor.tensor("w", (rows, 4), "float32", data=np.random.default_rng(0).random((rows, 4), dtype=np.float32))
    y = editor.tensor("y", (1, rows), "float32")
    change(editor, w)
    editor.add("FULLY_CONNECTED", [x, w, -1], [y], options="FullyConnectedOptions")
    return bytes(write_tree(editor.finish([x], [y])))


def _sparse(editor: Editor, weights: int) -> None:
    editor.tensors[weights]["sparsity"] = Record(
        "SparsityParameters",
        traversal_order=np.array([0, 1], np.int32),
        dim_metadata=[
            Record("DimensionMetadata", format=0, dense_size=3),
            Record("DimensionMetadata", format=0, dense_size=4),
        ],
    )


def branches() -> bytes:
    """bool [1] and float32 [1, 4]: IF doubles it or leaves it."""
    editor = Editor()
    condition, x = editor.tensor("condition", (1,), "bool"), editor.tensor("x", (1, 4), "float32")
    y = editor.tensor("y", (1, 4), "float32")
    node = editor.add("IF", [condition, x], [y], options="IfOptions")
    node["builtin_options"]["then_subgraph_index"], node["builtin_options"]["else_subgraph_index"] = 1, 2
    tree = editor.finish([condition, x], [y])
    for factor in (2.0, 1.0):
        tree.rows("subgraphs").append(Record("SubGraph"))
        part = Editor(tree, len(tree.rows("subgraphs")) - 1)
        a = part.tensor("a", (1, 4), "float32")
        b = part.tensor("b", (1, 4), "float32", data=np.full((1, 4), factor, np.float32))
        c = part.tensor("c", (1, 4), "float32")
        part.add("MUL", [a, b], [c], options="MulOptions")
        part.finish([a], [c])
    return bytes(write_tree(tree))


#: name -> the model
ODD: dict[str, Callable[[], bytes]] = {
    "custom": lambda: custom("MyOwnOp"),
    "flex": lambda: custom("FlexErf"),
    "edgetpu": lambda: custom("edgetpu-custom-op", "uint8"),
    "vela": lambda: custom("ethos-u", "int8"),
    "postprocess": lambda: custom("TFLite_Detection_PostProcess"),
    "while": lambda: doubling(),
    "if": branches,
    "no_batch": lambda: one_op("RELU", "float32", (8,)),
    "scalar": lambda: one_op("ABS", "float32", ()),
    "batch_of_8": lambda: one_op("RELU", "float32", (8, 4)),
    "string": lambda: one_op("RESHAPE", "string", options="ReshapeOptions"),
    "float64": lambda: one_op("ABS", "float64"),
    "complex64": lambda: one_op("COMPLEX_ABS", "complex64"),
    "bool": lambda: one_op("LOGICAL_NOT", "bool", options="LogicalNotOptions"),
    "sparse": lambda: dense(_sparse),
    "truncated": lambda: tiny_model.mnist_cnn()[:9000],
    "empty": lambda: b"",
    "zeros": lambda: bytes(4096),
    "large": lambda: dense(rows=6_600_000),
}
