"""Writes integer networks of several nodes for the tests of plans: tensors get their shapes from what made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support.kernel_cases import Quantized, activation_tensor, index_tensor, pick_quantized, random_int8, stored
from tests.support.kernel_cases_simple import UNIT_OUTPUT
from tests.support.op_models import Node, Op, Tensor, activation_code, build_graph, padding_code

_TABLES = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
}


class Net:
    """A network under construction; methods return indices of tensors.

    Args:
        dtype: of every activation, `int8` or `uint8`.
    """

    def __init__(self, rng: np.random.Generator, dtype: str) -> None:
        self.rng, self.dtype = rng, dtype
        self.tensors: list[Tensor] = []
        self.quantized: dict[int, Quantized] = {}
        self.nodes: list[Node] = []

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        return build_graph(self.tensors, self.nodes, inputs, outputs)

    def shape(self, index: int) -> tuple[int, ...]:
        return self.tensors[index].shape

    def tensor(self, shape: Sequence[int], q: Quantized | None = None, data: np.ndarray | None = None) -> int:
        q = q or pick_quantized(self.rng, 0.02, 0.2)
        index = self.raw(activation_tensor(tuple(int(s) for s in shape), self.dtype, q, data))
        self.quantized[index] = q
        return index

    def raw(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, shape: Sequence[int], q: Quantized | None = None) -> int:
        return self.tensor(shape, q, random_int8(self.rng, tuple(shape)))

    def index(self, values: Sequence[int]) -> int:
        return self.raw(index_tensor(np.array(values, np.int32)))

    def dynamic(self, index: int) -> None:
        """Gives a tensor a batch of -1 in its signature."""
        tensor = self.tensors[index]
        self.tensors[index] = dataclasses.replace(tensor, shape_signature=(-1, *tensor.shape[1:]))

    def node(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], table: str | None = None, **options: Any
    ) -> None:
        self.nodes.append(Node(op=Op(name=name, options_table=table, options=options), inputs=inputs, outputs=outputs))

    def pair(self, name: str, first: int, second: int, activation: str = "NONE") -> int:
        shape = np.broadcast_shapes(self.shape(first), self.shape(second))
        options = {} if name in ("MAXIMUM", "MINIMUM") else {"FusedActivationFunction": activation_code(activation)}
        q = self.quantized[first] if name in ("MAXIMUM", "MINIMUM") else None
        target = self.tensor(shape, q)
        self.node(name, [first, second], [target], _TABLES[name], **options)
        return target

    def unary(self, name: str, source: int) -> int:
        q = {"LOGISTIC": UNIT_OUTPUT, "SOFTMAX": UNIT_OUTPUT, "HARD_SWISH": self.quantized[source]}.get(name)
        target = self.tensor(self.shape(source), q)
        tables = {
            "LEAKY_RELU": ("LeakyReluOptions", {"Alpha": 0.1}),
            "SOFTMAX": ("SoftmaxOptions", {"Beta": 1.0}),
            "HARD_SWISH": ("HardSwishOptions", {}),
        }
        table, options = tables.get(name, (None, {}))
        self.node(name, [source], [target], table, **options)
        return target

    def moved(
        self, name: str, source: int, shape: Sequence[int], indices: Sequence[Sequence[int]], table: str, **options: Any
    ) -> int:
        """An op that keeps the quantization, with constant index inputs."""
        target = self.tensor(shape, self.quantized[source])
        self.node(name, [source, *[self.index(one) for one in indices]], [target], table, **options)
        return target

    def reshape(self, source: int, shape: Sequence[int]) -> int:
        return self.moved("RESHAPE", source, shape, [shape], "ReshapeOptions")

    def weights(self, shape: tuple[int, ...], source: int, channels: int, axis: int) -> tuple[list[int], float]:
        """Weights and bias of an op on `source`, per channel for int8; also their largest scale."""
        count = channels if self.dtype == "int8" and channels > 1 and self.rng.random() < 0.7 else 1
        scales = [float(np.float32(one)) for one in self.rng.uniform(0.002, 0.02, count)]
        zero_point = int(self.rng.integers(-20, 20)) if self.dtype == "uint8" else 0
        weights = self.raw(
            Tensor(
                shape=shape,
                dtype=self.dtype,
                scales=scales,
                quantized_dimension=axis,
                zero_points=[zero_point + (128 if self.dtype == "uint8" else 0)] * count,
                data=stored(random_int8(self.rng, shape), self.dtype),
            )
        )
        bias = self.raw(
            Tensor(
                shape=(channels,),
                dtype="int32",
                zero_points=[0] * count,
                scales=[float(np.float32(self.quantized[source].scale) * np.float32(s)) for s in scales],
                data=self.rng.integers(-5000, 5000, channels).astype(np.int32),
            )
        )
        return [weights, bias], max(scales)

    def conv(
        self,
        source: int,
        channels: int,
        kernel: int = 3,
        stride: int = 1,
        activation: str = "RELU",
        *,
        depthwise: bool = False,
        padding: str = "SAME",
    ) -> int:
        batch, height, width, depth = self.shape(source)
        channels = depth if depthwise else channels
        shape = (1, kernel, kernel, channels) if depthwise else (channels, kernel, kernel, depth)
        parts, scale = self.weights(shape, source, channels, 3 if depthwise else 0)
        places = [qp.window(padding, size, kernel, stride) for size in (height, width)]
        taps = kernel * kernel * (1 if depthwise else depth)
        span = float(self.quantized[source].scale) * scale * 74.0 * 74.0 * 4.0 * np.sqrt(taps)
        target = self.tensor(
            (batch, places[0].output, places[1].output, channels),
            Quantized(scale=np.float32(span / 255.0), zero_point=int(self.rng.integers(-128, 20))),
        )
        options = {
            "Padding": padding_code(padding),
            "StrideW": stride,
            "StrideH": stride,
            "DilationWFactor": 1,
            "DilationHFactor": 1,
            "FusedActivationFunction": activation_code(activation),
        }
        if depthwise:
            self.node(
                "DEPTHWISE_CONV_2D", [source, *parts], [target], "DepthwiseConv2DOptions", DepthMultiplier=1, **options
            )
        else:
            self.node("CONV_2D", [source, *parts], [target], "Conv2DOptions", **options)
        return target

    def dense(self, source: int, outputs: int) -> int:
        inputs = int(np.prod(self.shape(source)[1:]))
        parts, scale = self.weights((outputs, inputs), source, outputs, 0)
        span = float(self.quantized[source].scale) * scale * 74.0 * 74.0 * 4.0 * np.sqrt(inputs)
        target = self.tensor((self.shape(source)[0], outputs), Quantized(scale=np.float32(span / 255.0), zero_point=0))
        self.node("FULLY_CONNECTED", [source, *parts], [target], "FullyConnectedOptions")
        return target

    def pool(self, name: str, source: int, size: int) -> int:
        batch, height, width, depth = self.shape(source)
        places = [qp.window("VALID", one, size, size) for one in (height, width)]
        target = self.tensor((batch, places[0].output, places[1].output, depth), self.quantized[source])
        self.node(
            name,
            [source],
            [target],
            "Pool2DOptions",
            Padding=padding_code("VALID"),
            StrideW=size,
            StrideH=size,
            FilterWidth=size,
            FilterHeight=size,
        )
        return target

    def quantize(self, source: int, q: Quantized) -> int:
        target = self.tensor(self.shape(source), q)
        self.node("QUANTIZE", [source], [target], "QuantizeOptions")
        return target

    def dequantize(self, source: int) -> int:
        target = self.raw(Tensor(shape=self.shape(source), dtype="float32"))
        self.node("DEQUANTIZE", [source], [target], "DequantizeOptions")
        return target
