"""Where a hybrid kernel's sums over rows of weights leave 16 bits: an arithmetic defect of LiteRT 2.3.0 on x86-64.

With float activations and integer weights, a kernel quantizes its inputs on the fly. Inputs with a zero point
(`asymmetric_quantize_inputs`) need the sum of every row of weights, to take the zero point out again. On x86-64 that sum is
kept in eight 16-bit lanes: each takes two neighbours of every block of 16 weights, and the first four lanes those of a half
block after the last whole one. A lane that ends outside -32768 .. 32767 has wrapped, and the output of its row is off by 65536
times the input's zero point and both scales. A lane of 127s holds 129 blocks, so that rows of up to 2,071 weights are always
right; longer ones are wrong when their weights lean to one side. Found with one-op models (tests/tflite/test_row_sums.py); the
aarch64 kernels of the same version sum in 32 bits and are right.
"""

from __future__ import annotations

import numpy as np

from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.graph import Graph, Node

_BLOCK = 16
#: with -128 in both its places, a lane leaves 16 bits in the block after this many at the earliest
_SAFE_BLOCKS = 128


def overflowing_rows(graph: Graph, node: Node) -> tuple[int, ...]:
    """The outputs (rows of constant int8 weights) whose lane sums leave 16 bits; empty where no sum is taken at all.

    Args:
        graph: the model.
        node: any node; those that are no FULLY_CONNECTED or BATCH_MATMUL with asymmetric inputs give an empty result.
    """
    if node.op not in ("FULLY_CONNECTED", "BATCH_MATMUL") or not node.options.get("asymmetric_quantize_inputs"):
        return ()
    weights = graph.input_at(node, WEIGHTED_OPS[node.op][1])
    if weights is None or weights.dtype != "int8" or not weights.is_constant or len(weights.shape) < 2:
        return ()
    values = weights.data()
    if node.op == "BATCH_MATMUL" and not node.options.get("adj_y"):
        values = np.swapaxes(values, -1, -2)  # the kernel transposes first, then sums
    depth = values.shape[-1]
    if depth <= _SAFE_BLOCKS * _BLOCK:
        return ()
    rows = values.reshape(-1, depth)
    whole, half = depth - depth % _BLOCK, depth - depth % (_BLOCK // 2)  # equal, or a half block apart
    lanes = rows[:, :whole].reshape(len(rows), -1, _BLOCK // 2, 2).sum((1, 3), dtype=np.int64)
    lanes[:, : (half - whole) // 2] += rows[:, whole:half].reshape(len(rows), -1, 2).sum(2, dtype=np.int64)
    outside = (lanes < -32768) | (lanes > 32767)
    return tuple(int(row) for row in np.flatnonzero(outside.any(axis=1)))
