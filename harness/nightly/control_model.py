"""Control models: small int8 networks that the harness writes itself from a seed, the same bytes everywhere and for ever.

They stand for the board. A model of a user's changes for many reasons; these never do, so that when they get slower together, the
board did. Their weights are raw output of PCG64 (O'Neill 2014), which numpy promises to keep; a test holds their hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: how many there are
CONTROLS = 5
#: (side, channels, convolutions, units) of each: from ten thousand to some million multiplications: caches matter differently
_SHAPES = ((8, 8, 1, 16), (12, 8, 2, 32), (16, 16, 2, 64), (24, 16, 2, 64), (16, 32, 3, 128))
_CLASSES = 10
_SCALE, _WEIGHT_SCALE = 0.05, 0.01


@dataclass(frozen=True, kw_only=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    kind: str
    scale: float
    data: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class _Node:
    op: str
    inputs: tuple[int, ...]
    output: int


def control_name(index: int) -> str:
    """Such as `control-0`."""
    return f"control-{index}"


def control_model(index: int) -> bytes:
    """The .tflite of a control: int8 [1, side, side, channels] -> 3x3 convolutions with ReLU -> dense -> dense -> int8 [1, 10].

    Args:
        index: 0 to CONTROLS - 1; it is also the seed of the weights.
    """
    side, channels, convolutions, units = _SHAPES[index]
    bits = np.random.PCG64(index)
    tensors = [_Tensor(name="in", shape=(1, side, side, channels), kind="int8", scale=_SCALE)]
    nodes: list[_Node] = []

    def layer(op: str, weights: tuple[int, ...], shape: tuple[int, ...]) -> None:
        source = len(tensors) - 1
        tensors.append(_weights(bits, f"w{len(nodes)}", weights))
        bias = np.zeros(weights[0], np.int32)
        tensors.append(
            _Tensor(name=f"b{len(nodes)}", shape=bias.shape, kind="int32", scale=_SCALE * _WEIGHT_SCALE, data=bias)
        )
        tensors.append(_Tensor(name=f"t{len(nodes)}", shape=shape, kind="int8", scale=_SCALE))
        nodes.append(_Node(op=op, inputs=(source, source + 1, source + 2), output=source + 3))

    for _ in range(convolutions):
        layer("CONV_2D", (channels, 3, 3, channels), (1, side, side, channels))
    layer("FULLY_CONNECTED", (units, side * side * channels), (1, units))
    layer("FULLY_CONNECTED", (_CLASSES, units), (1, _CLASSES))
    return _flatbuffer(tensors, nodes)


def _weights(bits: np.random.PCG64, name: str, shape: tuple[int, ...]) -> _Tensor:
    count = int(np.prod(shape))
    raw = bits.random_raw(-(-count // 8)).astype("<u8").view(np.int8)[:count]
    data = np.maximum(raw, -127).reshape(shape)
    return _Tensor(name=name, shape=shape, kind="int8", scale=_WEIGHT_SCALE, data=data)


def _flatbuffer(tensors: Sequence[_Tensor], nodes: Sequence[_Node]) -> bytes:
    """One subgraph from the first tensor to the last one, by the schema's generated code."""
    import flatbuffers
    import tflite

    builder = flatbuffers.Builder(1 << 16)

    def table(name: str, **values: int | None) -> int:
        getattr(tflite, f"{name}Start")(builder)
        for column, value in values.items():
            if value is not None:
                getattr(tflite, f"{name}Add{column}")(builder, value)
        return int(getattr(tflite, f"{name}End")(builder))

    def numbers(values: Sequence[int], kind: type = np.int32) -> int:
        return int(builder.CreateNumpyVector(np.array(values, kind)))

    def offsets(values: Sequence[int]) -> int:
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependUOffsetTRelative(value)
        return int(builder.EndVector())

    def tensor(one: _Tensor, buffer: int) -> int:
        scale = builder.CreateNumpyVector(np.array([one.scale], np.float32))
        quantization = table("QuantizationParameters", Scale=scale, ZeroPoint=numbers([0], np.int64))
        kind = tflite.TensorType.INT8 if one.kind == "int8" else tflite.TensorType.INT32
        shape, name = numbers(one.shape), builder.CreateString(one.name)
        return table("Tensor", Shape=shape, Type=kind, Buffer=buffer, Name=name, Quantization=quantization)

    def operator(node: _Node, code: int) -> int:
        relu = tflite.ActivationFunctionType.RELU
        if node.op == "CONV_2D":
            same = tflite.Padding.SAME
            options = table(
                "Conv2DOptions",
                Padding=same,
                StrideW=1,
                StrideH=1,
                DilationWFactor=1,
                DilationHFactor=1,
                FusedActivationFunction=relu,
            )
            kind = tflite.BuiltinOptions.Conv2DOptions
        else:
            options, kind = table("FullyConnectedOptions"), tflite.BuiltinOptions.FullyConnectedOptions
        inputs, outputs = numbers(node.inputs), numbers([node.output])
        return table(
            "Operator",
            OpcodeIndex=code,
            Inputs=inputs,
            Outputs=outputs,
            BuiltinOptionsType=kind,
            BuiltinOptions=options,
        )

    constants = [one for one in tensors if one.data is not None]
    buffers = [table("Buffer")]
    for one in constants:
        assert one.data is not None
        buffers.append(table("Buffer", Data=builder.CreateByteVector(np.ascontiguousarray(one.data).tobytes())))
    placed = [tensor(one, 1 + constants.index(one) if one.data is not None else 0) for one in tensors]
    ops = {
        "CONV_2D": (tflite.BuiltinOperator.CONV_2D, 3),
        "FULLY_CONNECTED": (tflite.BuiltinOperator.FULLY_CONNECTED, 4),
    }
    operators = [operator(node, list(ops).index(node.op)) for node in nodes]
    subgraph = table(
        "SubGraph",
        Tensors=offsets(placed),
        Inputs=numbers([0]),
        Outputs=numbers([len(tensors) - 1]),
        Operators=offsets(operators),
    )
    codes = [
        table("OperatorCode", DeprecatedBuiltinCode=code, BuiltinCode=code, Version=version)
        for code, version in ops.values()
    ]
    model = table(
        "Model",
        Version=3,
        OperatorCodes=offsets(codes),
        Subgraphs=offsets([subgraph]),
        Buffers=offsets(buffers),
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())
