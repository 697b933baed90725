"""Small models of every kind that an offline NPU compiler meets: all its, partly its, none of its, and two separate parts."""

from __future__ import annotations

import numpy as np

from tests.support.tiny_model import Node, Tensor, build


def float_io() -> bytes:
    """float32 [1, 16] -> QUANTIZE -> FULLY_CONNECTED int8 -> DEQUANTIZE -> float32 [1, 10]: only the middle is integer."""
    tensors = [
        Tensor(name="in", shape=(1, 16), dtype="float32"),
        Tensor(name="q", shape=(1, 16), dtype="int8", scale=0.5, zero_point=-1),
        *_dense_constants(16, 10),
        Tensor(name="h", shape=(1, 10), dtype="int8", scale=0.25, zero_point=3),
        Tensor(name="out", shape=(1, 10), dtype="float32"),
    ]
    nodes = [
        Node(op="QUANTIZE", inputs=(0,), outputs=(1,)),
        Node(op="FULLY_CONNECTED", inputs=(1, 2, 3), outputs=(4,), options="FullyConnectedOptions"),
        Node(op="DEQUANTIZE", inputs=(4,), outputs=(5,)),
    ]
    return build(tensors, nodes, inputs=(0,), outputs=(5,), versions={"FULLY_CONNECTED": 4, "DEQUANTIZE": 2})


def split_by_float() -> bytes:
    """int8 [1, 16] -> FULLY_CONNECTED -> DEQUANTIZE -> FLOOR -> QUANTIZE -> FULLY_CONNECTED -> int8 [1, 10].

    Float ops in the middle leave two separate integer parts.
    """

    def activation(name: str, width: int, dtype: str = "int8") -> Tensor:
        return Tensor(name=name, shape=(1, width), dtype=dtype, scale=0.5 if dtype == "int8" else 0.0)

    tensors = [
        activation("in", 16),
        *_dense_constants(16, 16, "a"),
        activation("a", 16),
        activation("float", 16, "float32"),
        activation("floor", 16, "float32"),
        activation("q", 16),
        *_dense_constants(16, 10, "b"),
        activation("out", 10),
    ]
    nodes = [
        Node(op="FULLY_CONNECTED", inputs=(0, 1, 2), outputs=(3,), options="FullyConnectedOptions"),
        Node(op="DEQUANTIZE", inputs=(3,), outputs=(4,)),
        Node(op="FLOOR", inputs=(4,), outputs=(5,)),
        Node(op="QUANTIZE", inputs=(5,), outputs=(6,)),
        Node(op="FULLY_CONNECTED", inputs=(6, 7, 8), outputs=(9,), options="FullyConnectedOptions"),
    ]
    return build(tensors, nodes, inputs=(0,), outputs=(9,), versions={"FULLY_CONNECTED": 4, "DEQUANTIZE": 2})


def softmax() -> bytes:
    """int8 [1, 10] -> SOFTMAX -> int8 [1, 10], which Vela splits into a table look-up and integer arithmetic."""
    tensors = [
        Tensor(name="in", shape=(1, 10), dtype="int8", scale=0.1),
        Tensor(name="out", shape=(1, 10), dtype="int8", scale=1 / 256, zero_point=-128),
    ]
    node = Node(op="SOFTMAX", inputs=(0,), outputs=(1,), options="SoftmaxOptions", fields={"Beta": 1.0})
    return build(tensors, [node], inputs=(0,), outputs=(1,), versions={"SOFTMAX": 2})


def _dense_constants(inputs: int, outputs: int, name: str = "") -> tuple[Tensor, Tensor]:
    weights = np.random.default_rng(7).integers(-127, 128, (outputs, inputs), dtype=np.int8)
    return (
        Tensor(name=f"{name}w", shape=weights.shape, dtype="int8", scale=0.01, data=weights),
        Tensor(name=f"{name}b", shape=(outputs,), dtype="int32", scale=0.005, data=np.zeros(outputs, np.int32)),
    )
