"""Models whose inputs are indices: an embedding, and what is computed of indices."""

from __future__ import annotations

import numpy as np

from tests.support.op_models import Node, Op, Tensor, build_graph

#: rows of the embedding's table, and ids of one sample
WORDS, LENGTH = 20, 6
_WIDTH, _CLASSES = 8, 5


def embedding(ids: str = "int32") -> bytes:
    """[1, 6] token ids -> [1, 1] the class of the text, int64: rows of a table of int8, a dense layer, ARG_MAX."""
    rng = np.random.default_rng(12)
    scale = {"scales": (0.05,), "zero_points": (3,)}
    weights = rng.integers(-127, 128, (_CLASSES, LENGTH * _WIDTH)).astype(np.int8)
    tensors = [
        Tensor(shape=(1, LENGTH), dtype=ids),
        Tensor(
            shape=(WORDS, _WIDTH), dtype="int8", data=rng.integers(-127, 128, (WORDS, _WIDTH)).astype(np.int8), **scale
        ),
        Tensor(shape=(1, LENGTH, _WIDTH), dtype="int8", **scale),
        Tensor(shape=(2,), dtype="int32", data=np.array([1, LENGTH * _WIDTH], np.int32)),
        Tensor(shape=(1, LENGTH * _WIDTH), dtype="int8", **scale),
        Tensor(shape=weights.shape, dtype="int8", scales=(0.01,), zero_points=(0,), data=weights),
        Tensor(shape=(1, _CLASSES), dtype="int8", scales=(0.3,), zero_points=(-5,)),
        Tensor(shape=(1,), dtype="int32", data=np.array([1], np.int32)),
        Tensor(shape=(1,), dtype="int64"),
    ]
    nodes = [
        Node(op=Op(name="GATHER", options_table="GatherOptions", options={"Axis": 0}), inputs=[1, 0], outputs=[2]),
        Node(op=Op(name="RESHAPE"), inputs=[2, 3], outputs=[4]),
        Node(op=Op(name="FULLY_CONNECTED", options_table="FullyConnectedOptions"), inputs=[4, 5, -1], outputs=[6]),
        Node(
            op=Op(name="ARG_MAX", options_table="ArgMaxOptions", options={"OutputType": 4}), inputs=[6, 7], outputs=[8]
        ),
    ]
    return build_graph(tensors, nodes, [0], [6, 8])


def texts(count: int, ids: str = "int32") -> np.ndarray:
    """Token ids [count, 6]."""
    return np.random.default_rng(2).integers(0, WORDS, (count, LENGTH)).astype(ids)
