"""Models whose weights are int4, and the same numbers as int8: what the board gives for one it must give for the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.cut.edit import packed_bytes
from harness.tflite.cut.tree import read_tree, write_tree
from harness.tflite.graph import read_graph
from harness.tflite.schema import type_code


@dataclass(frozen=True, kw_only=True)
class Twins:
    """One model with weights of -8..7, stored as int8 and as int4."""

    int8: bytes
    int4: bytes


def twins(model: bytes) -> Twins:
    """Both from a model with int8 weights, of which the upper 4 bits stay: steps are 16 times as large then."""
    graph = read_graph(model)
    made = {}
    for dtype in ("int8", "int4"):
        tree = read_tree(model)
        subgraph = tree.rows("subgraphs")[0]
        for node in graph.nodes:
            positions = WEIGHTED_OPS.get(node.op)
            weights = graph.input_at(node, positions[1]) if positions else None
            if weights is None or weights.dtype != "int8" or not weights.is_constant:
                continue
            tensor = subgraph.rows("tensors")[weights.index]
            tensor["quantization"]["scale"] = 16 * np.array(weights.scales, np.float32)
            tensor["type"] = type_code(dtype)
            tree.rows("buffers")[tensor.number("buffer")]["data"] = packed_bytes(weights.data() >> 4, dtype)
        made[dtype] = write_tree(tree)
    return Twins(int8=made["int8"], int4=made["int4"])
