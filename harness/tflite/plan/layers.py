"""The ways to compute one convolution: as itself, or as another op that gives the same bytes for fewer instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.tflite.plan.base import KernelSet
from harness.tflite.plan.cost import conv_2d_cost, depthwise_conv_2d_cost, fully_connected_cost, unpack_cost
from harness.tflite.plan.int4 import Packing, choose_packing, pack
from harness.tflite.plan.scratch import conv_2d_scratch, depthwise_conv_2d_scratch
from harness.tflite.plan.values import Value

#: the fields of kn_conv_params that kn_fully_connected_params has too
_SHARED = ("input_offset", "weights_offset", "output_offset", "activation_min", "activation_max", "rounding")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution as a kernel gets it.

    Attributes:
        weights: constants, in the layout of the op.
        params, shape: kn_conv_params and kn_conv_shape by field names.
        dense: computed as FULLY_CONNECTED; `shape` then has one tap per input.
    """

    depthwise: bool
    weights: Value
    params: dict[str, int]
    shape: dict[str, int]
    dense: bool = False

    @property
    def op(self) -> str:
        """The record's name."""
        plain = "FULLY_CONNECTED" if self.dense else "DEPTHWISE_CONV_2D" if self.depthwise else "CONV_2D"
        return f"{plain}_4" if self.weights.is_int4 else plain

    @property
    def packing(self) -> Packing | None:
        """How weights of 4 bits are unpacked; None where they have 8."""
        if not self.weights.is_int4:
            return None
        shape, channels = self.shape, self.shape["output_channels"]
        grouped = shape["filter_channels"] != shape["input_channels"]
        pixels = shape["batches"] * shape["output_height"] * shape["output_width"]
        return choose_packing(
            channels,
            self.weights.elements // channels,
            1 if self.depthwise else pixels,
            whole=self.depthwise or (grouped and not self.dense),
        )

    @property
    def stored_weights(self) -> np.ndarray:
        """As the plan has them."""
        assert self.weights.data is not None
        packing = self.packing
        if packing is None:
            return self.weights.data
        taps = self.weights.elements // self.shape["output_channels"]
        return pack(self.weights.data, packing.at_once * taps)

    @property
    def axis(self) -> int:
        """The dimension of the weights that counts output channels."""
        return 3 if self.depthwise else 0

    def fields(self) -> dict[str, int]:
        """The words of the record behind the operands."""
        packed = {} if self.packing is None else {"at_once": self.packing.at_once}
        if not self.dense:
            return {**self.params, **self.shape, **packed}
        batches, inputs, outputs = self._matrix
        return {
            **packed,
            "batches": batches,
            "inputs": inputs,
            "outputs": outputs,
            **{name: self.params[name] for name in _SHARED},
        }

    def scratch_bytes(self, kernels: KernelSet) -> int:
        unpacked = 0 if self.packing is None else self.packing.scratch_bytes
        if self.dense:
            return unpacked
        if self.depthwise:
            return unpacked + depthwise_conv_2d_scratch(kernels, self.shape)
        return unpacked + conv_2d_scratch(kernels, self.params, self.shape)

    def cost(self, kernels: KernelSet) -> float:
        """Instructions, estimated."""
        unpacking = unpack_cost(kernels, self.weights.elements) if self.weights.is_int4 else 0.0
        if self.dense:
            return unpacking + fully_connected_cost(kernels, *self._matrix)
        if self.depthwise:
            return unpacking + depthwise_conv_2d_cost(kernels, self.shape)
        return unpacking + conv_2d_cost(kernels, self.params, self.shape)

    @property
    def _matrix(self) -> tuple[int, int, int]:
        shape = self.shape
        inputs = shape["filter_height"] * shape["filter_width"] * shape["input_channels"]
        return shape["batches"], inputs, shape["output_channels"]


def dense_layer(weights: Value, batches: int, params: dict[str, int]) -> Layer:
    """FULLY_CONNECTED as such: weights [outputs, inputs], and the fields that a convolution has too."""
    outputs, inputs = weights.shape
    shape = dict.fromkeys(("input_height", "input_width", "filter_height", "filter_width"), 1)
    shape |= {"output_height": 1, "output_width": 1, "batches": batches, "output_channels": outputs}
    shape |= {"input_channels": inputs, "filter_channels": inputs}
    return Layer(depthwise=False, weights=weights, params=params, shape=shape, dense=True)


def lower_layer(kernels: KernelSet, layer: Layer) -> Layer:
    """The cheapest way by estimated count; the layer as it is where two are equal."""
    return min([layer, *_others(layer)], key=lambda way: way.cost(kernels))


def _others(layer: Layer) -> Iterator[Layer]:
    conv = layer
    if layer.depthwise:
        if layer.shape["input_channels"] != 1:
            return
        conv = _as_conv(layer)
        yield conv
    dense = _as_dense(conv)
    if dense is not None:
        yield dense


def _as_conv(layer: Layer) -> Layer:
    """A depthwise convolution of one input channel: every output channel has a filter of its own over the same input."""
    assert layer.weights.data is not None
    data = np.ascontiguousarray(np.transpose(layer.weights.data, (3, 1, 2, 0)))
    return replace(
        layer,
        depthwise=False,
        weights=replace(layer.weights, data=data, shape=data.shape, quantized_dimension=_moved(layer.weights)),
        shape={**layer.shape, "filter_channels": 1},
    )


def _moved(weights: Value) -> int:
    """Scales along dimension 3 are along dimension 0 after the transposition; any other is as wrong as before."""
    return {3: 0, 0: 3}.get(weights.quantized_dimension, weights.quantized_dimension)


def _as_dense(layer: Layer) -> Layer | None:
    """A convolution of one output pixel whose window covers the image: each row of weights against the whole image.

    Taps that lie outside the image count as its zero point, so they add nothing: they are cut off. None where a part of the
    image is not under the window, or not every tap (strides in the window, groups).
    """
    params, shape = layer.params, layer.shape
    if (shape["output_height"], shape["output_width"]) != (1, 1) or shape["filter_channels"] != shape["input_channels"]:
        return None
    assert layer.weights.data is not None
    data = layer.weights.data
    for axis, (name, pad) in enumerate((("height", "pad_top"), ("width", "pad_left")), start=1):
        before, size, taps = params[pad], shape[f"input_{name}"], shape[f"filter_{name}"]
        if (taps > 1 and params[f"dilation_{name}"] != 1) or before + size > taps:
            return None
        data = np.take(data, range(before, before + size), axis=axis)
    data = np.ascontiguousarray(data)
    return replace(
        layer,
        dense=True,
        weights=replace(layer.weights, data=data, shape=data.shape),
        shape={**shape, "filter_height": shape["input_height"], "filter_width": shape["input_width"]},
    )
