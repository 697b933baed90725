"""Builds .tflite models of one op or a few, without TensorFlow, for differential tests against a real runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

_TYPES = {
    "int8": tflite.TensorType.INT8,
    "uint8": tflite.TensorType.UINT8,
    "int32": tflite.TensorType.INT32,
    "float32": tflite.TensorType.FLOAT32,
    "int16": tflite.TensorType.INT16,
    "float16": tflite.TensorType.FLOAT16,
    "int64": tflite.TensorType.INT64,
    "bool": tflite.TensorType.BOOL,
    "int4": tflite.TensorType.INT4,
}
_ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}
_PADDINGS = {"SAME": 0, "VALID": 1}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor of the model: a constant where `data` is given, else an input or output of the graph.

    The data of an int4 tensor is given as int8.

    Scales and zero points have one entry (per-tensor) or one per index of `quantized_dimension`; none for float and index
    tensors.
    """

    shape: tuple[int, ...]
    dtype: str
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    quantized_dimension: int = 0
    data: np.ndarray | None = None
    #: with -1 for dynamic dimensions; empty: `shape` is all there is
    shape_signature: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Op:
    """A builtin op: its name in the schema, the schema's options table, and the fields set in it."""

    name: str
    options_table: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


def build_model(op: Op, inputs: Sequence[Tensor], output: Tensor) -> bytes:
    """A model with one subgraph and one op; its inputs are the tensors without data, in order."""
    node = Node(op=op, inputs=range(len(inputs)), outputs=[len(inputs)])
    model_inputs = [i for i, tensor in enumerate(inputs) if tensor.data is None]
    return build_graph([*inputs, output], [node], model_inputs, [len(inputs)])


@dataclass(frozen=True, kw_only=True)
class Node:
    """An op over tensor indices; -1 for an optional input that is absent."""

    op: Op
    inputs: Sequence[int]
    outputs: Sequence[int]


def build_graph(
    tensors: Sequence[Tensor], nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int]
) -> bytes:
    """A model with one subgraph.

    The schema defines each table; fields are written with the generated code of the `tflite` package.
    """
    builder = flatbuffers.Builder(1024)
    buffers = [_buffer(builder, None)]
    tensor_offsets = []
    for tensor in tensors:
        if tensor.data is not None:
            packed = tensor.dtype == "int4"
            buffers.append(_buffer(builder, _pack(tensor.data) if packed else np.ascontiguousarray(tensor.data)))
        tensor_offsets.append(_tensor(builder, tensor, len(buffers) - 1 if tensor.data is not None else 0))
    kinds = list(dict.fromkeys((node.op.name, node.op.version) for node in nodes))
    operators = [_operator(builder, node, kinds.index((node.op.name, node.op.version))) for node in nodes]
    subgraph = _subgraph(builder, tensor_offsets, inputs, outputs, operators)
    codes = _offsets(
        builder,
        [
            _table(
                builder,
                tflite,
                "OperatorCode",
                {
                    "DeprecatedBuiltinCode": min(getattr(tflite.BuiltinOperator, name), 127),
                    "BuiltinCode": getattr(tflite.BuiltinOperator, name),
                    "Version": version,
                },
            )
            for name, version in kinds
        ],
    )
    subgraphs = _offsets(builder, [subgraph])
    buffer_vector = _offsets(builder, buffers)
    model = _table(
        builder,
        tflite,
        "Model",
        {"Version": 3, "OperatorCodes": codes, "Subgraphs": subgraphs, "Buffers": buffer_vector},
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def _pack(values: np.ndarray) -> np.ndarray:
    """int4 values, given as int8: two in a byte, the first one in its lower half."""
    flat = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)).view(np.uint8) & 0xF
    return flat[0::2] | flat[1::2] << 4


def activation_code(name: str) -> int:
    return _ACTIVATIONS[name]


def padding_code(name: str) -> int:
    return _PADDINGS[name]


def _table(builder: flatbuffers.Builder, module: Any, name: str, fields: Mapping[str, Any]) -> int:
    start: Callable = getattr(module, f"{name}Start")
    start(builder)
    for key, value in fields.items():
        getattr(module, f"{name}Add{key}")(builder, value)
    return getattr(module, f"{name}End")(builder)


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _vector(builder: flatbuffers.Builder, values: Sequence, dtype: type) -> int:
    return builder.CreateNumpyVector(np.asarray(values, dtype))


def _buffer(builder: flatbuffers.Builder, data: np.ndarray | None) -> int:
    fields = {}
    if data is not None:
        raw = np.frombuffer(data.tobytes(), np.uint8)
        builder.StartVector(1, len(raw), 16)
        builder.head -= len(raw)
        builder.Bytes[builder.head : builder.head + len(raw)] = raw.tobytes()
        builder.vectorNumElems = len(raw)
        fields["Data"] = builder.EndVector()
    return _table(builder, tflite, "Buffer", fields)


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int) -> int:
    shape = _vector(builder, tensor.shape, np.int32)
    fields = {"Shape": shape, "Type": _TYPES[tensor.dtype], "Buffer": buffer}
    if tensor.shape_signature:
        fields["ShapeSignature"] = _vector(builder, tensor.shape_signature, np.int32)
    if tensor.scales:
        scales = _vector(builder, tensor.scales, np.float32)
        zero_points = _vector(builder, tensor.zero_points, np.int64)
        fields["Quantization"] = _table(
            builder,
            tflite,
            "QuantizationParameters",
            {"Scale": scales, "ZeroPoint": zero_points, "QuantizedDimension": tensor.quantized_dimension},
        )
    return _table(builder, tflite, "Tensor", fields)


def _operator(builder: flatbuffers.Builder, node: Node, opcode: int) -> int:
    op = node.op
    input_vector = _vector(builder, node.inputs, np.int32)
    output_vector = _vector(builder, node.outputs, np.int32)
    fields: dict[str, Any] = {"OpcodeIndex": opcode, "Inputs": input_vector, "Outputs": output_vector}
    if op.options_table:
        values = {
            key: _vector(builder, value, np.int32) if isinstance(value, list) else value
            for key, value in op.options.items()
        }
        fields["BuiltinOptions"] = _table(builder, tflite, op.options_table, values)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, op.options_table)
    return _table(builder, tflite, "Operator", fields)


def _subgraph(
    builder: flatbuffers.Builder,
    tensors: Sequence[int],
    inputs: Sequence[int],
    outputs: Sequence[int],
    nodes: Sequence[int],
) -> int:
    tensor_vector = _offsets(builder, tensors)
    input_vector = _vector(builder, inputs, np.int32)
    output_vector = _vector(builder, outputs, np.int32)
    operators = _offsets(builder, nodes)
    return _table(
        builder,
        tflite,
        "SubGraph",
        {"Tensors": tensor_vector, "Inputs": input_vector, "Outputs": output_vector, "Operators": operators},
    )
