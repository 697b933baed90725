"""Small real .tflite models made without TensorFlow, so that boards can be tested where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import flatbuffers
import numpy as np
import tflite

_RELU = {"FusedActivationFunction": 1}
_TYPES = {"float32": tflite.TensorType.FLOAT32, "int8": tflite.TensorType.INT8, "int32": tflite.TensorType.INT32}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor; a constant when `data` is given. `scale` 0 means not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0
    data: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """A builtin op over tensor indices. `options` is the name of its options table, `fields` what is not default in it."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str | None = None
    fields: dict[str, int | float] = field(default_factory=dict)


def float_mlp(version: int = 1) -> bytes:
    """float32 [1, 4] -> FULLY_CONNECTED 8, RELU -> FULLY_CONNECTED 3 -> SOFTMAX -> float32 [1, 3]. Three nodes.

    Args:
        version: the op version that FULLY_CONNECTED claims; a very high one is refused by every runtime.
    """
    rng = np.random.default_rng(1)
    tensors = [
        Tensor(name="in", shape=(1, 4), dtype="float32"),
        _constant("w1", rng.standard_normal((8, 4), np.float32)),
        _constant("b1", np.zeros(8, np.float32)),
        Tensor(name="hidden", shape=(1, 8), dtype="float32"),
        _constant("w2", rng.standard_normal((3, 8), np.float32)),
        _constant("b2", np.ones(3, np.float32)),
        Tensor(name="logits", shape=(1, 3), dtype="float32"),
        Tensor(name="out", shape=(1, 3), dtype="float32"),
    ]
    nodes = [
        Node(op="FULLY_CONNECTED", inputs=(0, 1, 2), outputs=(3,), options="FullyConnectedOptions", fields=_RELU),
        Node(op="FULLY_CONNECTED", inputs=(3, 4, 5), outputs=(6,), options="FullyConnectedOptions"),
        Node(op="SOFTMAX", inputs=(6,), outputs=(7,), options="SoftmaxOptions", fields={"Beta": 1.0}),
    ]
    return build(tensors, nodes, inputs=(0,), outputs=(7,), versions={"FULLY_CONNECTED": version})


def float_mlp_reference(samples: np.ndarray) -> np.ndarray:
    """What `float_mlp` computes: float32 [N, 4] -> float32 [N, 3]."""
    rng = np.random.default_rng(1)
    w1, w2 = rng.standard_normal((8, 4), np.float32), rng.standard_normal((3, 8), np.float32)
    logits = np.maximum(samples @ w1.T, 0) @ w2.T + 1
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def int8_dense(inputs: int = 16, outputs: int = 10) -> bytes:
    """int8 [1, inputs] -> FULLY_CONNECTED -> int8 [1, outputs]; scales .5, .01 and .25, output zero point 3."""
    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, (outputs, inputs), dtype=np.int8)
    tensors = [
        Tensor(name="in", shape=(1, inputs), dtype="int8", scale=0.5, zero_point=-1),
        Tensor(name="w", shape=weights.shape, dtype="int8", scale=0.01, data=weights),
        Tensor(name="b", shape=(outputs,), dtype="int32", scale=0.005, data=np.zeros(outputs, np.int32)),
        Tensor(name="out", shape=(1, outputs), dtype="int8", scale=0.25, zero_point=3),
    ]
    node = Node(op="FULLY_CONNECTED", inputs=(0, 1, 2), outputs=(3,), options="FullyConnectedOptions")
    return build(tensors, [node], inputs=(0,), outputs=(3,), versions={"FULLY_CONNECTED": 4})


def mnist_cnn() -> bytes:
    """int8 [1, 28, 28, 1] -> CONV_2D 12 of 3x3, RELU -> MAX_POOL_2D 2 -> FULLY_CONNECTED 10 -> int8 [1, 10].

    The size of the published MNIST network, with random weights.
    """
    rng = np.random.default_rng(3)
    kernel = rng.integers(-127, 128, (12, 3, 3, 1), dtype=np.int8)
    weights = rng.integers(-127, 128, (10, 13 * 13 * 12), dtype=np.int8)
    tensors = [
        Tensor(name="image", shape=(1, 28, 28, 1), dtype="int8", scale=1 / 255, zero_point=-128),
        Tensor(name="kernel", shape=kernel.shape, dtype="int8", scale=0.002, data=kernel),
        Tensor(name="kernel_bias", shape=(12,), dtype="int32", scale=0.002 / 255, data=np.zeros(12, np.int32)),
        Tensor(name="conv", shape=(1, 26, 26, 12), dtype="int8", scale=0.008, zero_point=-128),
        Tensor(name="pool", shape=(1, 13, 13, 12), dtype="int8", scale=0.008, zero_point=-128),
        Tensor(name="weights", shape=weights.shape, dtype="int8", scale=0.002, data=weights),
        Tensor(name="bias", shape=(10,), dtype="int32", scale=0.000016, data=np.zeros(10, np.int32)),
        Tensor(name="logits", shape=(1, 10), dtype="int8", scale=0.2),
    ]
    valid = {"Padding": 1}
    steps = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    pool = {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
    nodes = [
        Node(op="CONV_2D", inputs=(0, 1, 2), outputs=(3,), options="Conv2DOptions", fields={**valid, **steps, **_RELU}),
        Node(op="MAX_POOL_2D", inputs=(3,), outputs=(4,), options="Pool2DOptions", fields={**valid, **pool}),
        Node(op="FULLY_CONNECTED", inputs=(4, 5, 6), outputs=(7,), options="FullyConnectedOptions"),
    ]
    return build(
        tensors, nodes, inputs=(0,), outputs=(7,), versions={"FULLY_CONNECTED": 4, "CONV_2D": 3, "MAX_POOL_2D": 2}
    )


def sum_and_softmax() -> bytes:
    """Two float32 [1, 4] inputs a, b; two outputs: a + b [1, 4], and its SOFTMAX [1, 4]."""
    names = ("a", "b", "sum", "softmax")
    tensors = [Tensor(name=name, shape=(1, 4), dtype="float32") for name in names]
    nodes = [
        Node(op="ADD", inputs=(0, 1), outputs=(2,), options="AddOptions"),
        Node(op="SOFTMAX", inputs=(2,), outputs=(3,), options="SoftmaxOptions", fields={"Beta": 1.0}),
    ]
    return build(tensors, nodes, inputs=(0, 1), outputs=(2, 3))


def build(
    tensors: Sequence[Tensor],
    nodes: Sequence[Node],
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
    versions: Mapping[str, int] | None = None,
) -> bytes:
    """The flatbuffer of one subgraph. Ops are of version 1 unless `versions` says otherwise."""
    builder = flatbuffers.Builder(4096)
    ops = sorted({node.op for node in nodes})
    constants = [i for i, tensor in enumerate(tensors) if tensor.data is not None]
    buffers = [_table(builder, "Buffer")] + [
        _table(builder, "Buffer", Data=builder.CreateByteVector(np.ascontiguousarray(tensors[i].data).tobytes()))
        for i in constants
    ]
    tensor_offsets = [
        _tensor(builder, tensor, 1 + constants.index(i) if i in constants else 0) for i, tensor in enumerate(tensors)
    ]
    operators = [_operator(builder, node, ops.index(node.op)) for node in nodes]
    subgraph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, tensor_offsets),
        Inputs=_numbers(builder, inputs),
        Outputs=_numbers(builder, outputs),
        Operators=_offsets(builder, operators),
    )
    codes = [
        _table(
            builder,
            "OperatorCode",
            DeprecatedBuiltinCode=getattr(tflite.BuiltinOperator, op),
            BuiltinCode=getattr(tflite.BuiltinOperator, op),
            Version=(versions or {}).get(op, 1),
        )
        for op in ops
    ]
    model = _table(
        builder,
        "Model",
        Version=3,
        OperatorCodes=_offsets(builder, codes),
        Subgraphs=_offsets(builder, [subgraph]),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def _constant(name: str, data: np.ndarray) -> Tensor:
    return Tensor(name=name, shape=data.shape, dtype=str(data.dtype), data=data)


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int) -> int:
    quantization = None
    if tensor.scale:
        scales = builder.CreateNumpyVector(np.array([tensor.scale], np.float32))
        zero_points = builder.CreateNumpyVector(np.array([tensor.zero_point], np.int64))
        quantization = _table(builder, "QuantizationParameters", Scale=scales, ZeroPoint=zero_points)
    values = {
        "Shape": _numbers(builder, tensor.shape),
        "Type": _TYPES[tensor.dtype],
        "Buffer": buffer,
        "Name": builder.CreateString(tensor.name),
        "Quantization": quantization,
    }
    return _table(builder, "Tensor", **values)


def _operator(builder: flatbuffers.Builder, node: Node, opcode: int) -> int:
    values = {
        "OpcodeIndex": opcode,
        "Inputs": _numbers(builder, node.inputs),
        "Outputs": _numbers(builder, node.outputs),
    }
    if node.options:
        values["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, node.options)
        values["BuiltinOptions"] = _table(builder, node.options, **node.fields)
    return _table(builder, "Operator", **values)


def _table(builder: flatbuffers.Builder, name: str, **values: int | float | None) -> int:
    """Writes one table of the schema with the generated code of the `tflite` package."""
    getattr(tflite, f"{name}Start")(builder)
    for column, value in values.items():
        if value is not None:
            getattr(tflite, f"{name}Add{column}")(builder, value)
    return getattr(tflite, f"{name}End")(builder)


def _numbers(builder: flatbuffers.Builder, values: Sequence[int]) -> int:
    return builder.CreateNumpyVector(np.array(values, np.int32))


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
