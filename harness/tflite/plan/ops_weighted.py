"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.layers import Layer, dense_layer, lower_layer
from harness.tflite.plan.rule import NodeRule
from harness.tflite.plan.values import Frame, Operand, Value, check_quantization, operand_of

#: the kernels hold sizes of filters, strides, dilations and paddings in 15 bits
MOST_15_BITS = 32767


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution as its node has it: fields of kn_conv_params (places only) and of kn_conv_shape."""

    source: Value
    weights: Value
    output_shape: tuple[int, ...]
    params: dict[str, int]
    shape: dict[str, int]


def conv_2d(rule: NodeRule) -> None:
    _convolution(rule, depthwise=False)


def depthwise_conv_2d(rule: NodeRule) -> None:
    _convolution(rule, depthwise=True)


def _convolution(rule: NodeRule, *, depthwise: bool) -> None:
    source = rule.activation(0)
    made = read_convolution(rule, source, depthwise=depthwise)
    target = rule.target(made.output_shape)
    _check_pair(source, target)
    params = {**made.params, **_offsets(rule, source, made.weights, target)}
    layer = lower_layer(rule.kernels, Layer(depthwise=depthwise, weights=made.weights, params=params, shape=made.shape))
    channels, legacy = made.shape["output_channels"], source.dtype == "uint8"
    operands, scales = _weighted_operands(rule, source, layer.weights, target, channels, layer.axis, legacy=legacy)
    operands["weights"] = layer.stored_weights
    rule.emit(layer.op, target, operands, {**scales, **layer.fields()}, scratch_bytes=layer.scratch_bytes(rule.kernels))


def read_convolution(rule: NodeRule, source: Value, *, depthwise: bool) -> Convolution:
    """Shapes, strides and paddings of CONV_2D and DEPTHWISE_CONV_2D, checked against each other.

    Raises:
        UnsupportedError: shapes that do not fit, or numbers that the kernels do not hold.
    """
    weights = checked_weights(rule, "int8" if source.dtype == "int16" else source.dtype)
    if len(source.shape) != 4 or len(weights.shape) != 4:
        raise UnsupportedError(
            f"its input {list(source.shape)} or weights {list(weights.shape)} do not have 4 dimensions"
        )
    inputs = source.shape[3]
    channels, depth = (
        (weights.shape[3], weights.shape[3] // inputs) if depthwise else (weights.shape[0], weights.shape[3])
    )
    if depthwise:
        fits = weights.shape[0] == 1 and depth >= 1 and channels == inputs * depth
        fits = fits and rule.option("depth_multiplier", 0) in (0, depth)
    else:
        fits = depth >= 1 and inputs % depth == 0 and channels % (inputs // depth) == 0
    if not fits:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} do not fit an input of {inputs} channels")
    strides = (rule.option("stride_h", 0), rule.option("stride_w", 0))
    dilations = (rule.option("dilation_hfactor", 1), rule.option("dilation_wfactor", 1))
    places = [place_window(rule, source.shape[1 + i], weights.shape[1 + i], strides[i], dilations[i]) for i in range(2)]
    frame = source.frame or Frame(top=0, left=0, height=0, width=0)
    return Convolution(
        source=source,
        weights=weights,
        output_shape=(source.shape[0], places[0].output, places[1].output, channels),
        params={
            "stride_height": strides[0],
            "stride_width": strides[1],
            "dilation_height": dilations[0],
            "dilation_width": dilations[1],
            "pad_top": places[0].before + frame.top,
            "pad_left": places[1].before + frame.left,
        },
        shape={
            "batches": source.shape[0],
            "input_height": source.shape[1] - frame.height,
            "input_width": source.shape[2] - frame.width,
            "input_channels": inputs,
            "filter_height": weights.shape[1],
            "filter_width": weights.shape[2],
            "filter_channels": depth,
            "output_height": places[0].output,
            "output_width": places[1].output,
            "output_channels": channels,
        },
    )


def fully_connected(rule: NodeRule) -> None:
    source = rule.activation(0)
    weights = checked_weights(rule, source.dtype)
    if len(weights.shape) != 2:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} do not have 2 dimensions")
    outputs, inputs = weights.shape
    if rule.option("weights_format", 0) != 0:
        raise UnsupportedError("its weights are stored shuffled", hint="convert without shuffled weights")
    if source.elements % inputs:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} do not fit an input of {list(source.shape)}")
    batches = source.elements // inputs
    keep = bool(rule.option("keep_num_dims", False))
    if keep and source.shape[-1] != inputs:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} do not fit an input of {list(source.shape)}")
    target = rule.target((*source.shape[:-1], outputs) if keep else (batches, outputs))
    _check_pair(source, target)
    operands, scales = _weighted_operands(rule, source, weights, target, outputs, 0, legacy=len(weights.scales) == 1)
    layer = dense_layer(weights, batches, _offsets(rule, source, weights, target, free_zero_point=True))
    operands["weights"] = layer.stored_weights
    rule.emit(layer.op, target, operands, {**scales, **layer.fields()}, scratch_bytes=layer.scratch_bytes(rule.kernels))


def place_window(rule: NodeRule, size: int, filter_size: int, stride: int, dilation: int = 1) -> qp.Window:
    """One dimension of a convolution or pooling.

    Raises:
        UnsupportedError: numbers that the kernels do not hold.
        UserInputError: a filter that does not fit.
    """
    padding = rule.option("padding", "SAME")
    if padding not in ("SAME", "VALID"):
        raise UnsupportedError(f"padding {padding}", hint="the kernels have SAME and VALID")
    if max(filter_size, stride, dilation, (filter_size - 1) * dilation + 1) > MOST_15_BITS:
        raise UnsupportedError(
            f"a filter of {filter_size}, stride {stride}, dilation {dilation}",
            hint=f"the kernels hold up to {MOST_15_BITS}",
        )
    return qp.window(padding, size, filter_size, stride, dilation)


def limits(rule: NodeRule, target: Value) -> dict[str, int]:
    """The fused activation as a range of int8 values."""
    activation = rule.option("fused_activation_function", "NONE")
    span = qp.activation_range(str(activation), target.scale, target.zero_point)
    return {"activation_min": span.low, "activation_max": span.high}


def checked_weights(rule: NodeRule, dtype: str) -> Value:
    """The constant weights of a node, input 1, of the type that its kernel takes.

    Raises:
        UnsupportedError: not constant, of another type, without a scale.
    """
    weights = rule.input(1)
    if weights.data is None:
        raise UnsupportedError("its weights are not constant", hint="a plan multiplies activations by constants only")
    if weights.dtype != dtype:
        raise UnsupportedError(
            f"its weights are {weights.dtype}, and its input needs {dtype}",
            hint="int8 and int16 inputs take int8 weights, uint8 inputs uint8 weights",
        )
    if not weights.scales and dtype != "float32":
        raise UnsupportedError("its weights have no scale", hint="the model is damaged, or was not quantized")
    if not all(-128 <= zero_point <= 127 for zero_point in weights.zero_points):
        raise UnsupportedError(f"a zero point of its weights is outside {weights.dtype}", hint="the model is damaged")
    if any(size < 1 for size in weights.shape):
        raise UnsupportedError(f"weights of shape {list(weights.shape)}")
    return weights


def _check_pair(source: Value, target: Value) -> None:
    check_quantization(target)
    if source.dtype != target.dtype:
        raise UnsupportedError(
            f"its input is {source.dtype} and its output {target.dtype}", hint="both must be of one type"
        )


def _offsets(
    rule: NodeRule, source: Value, weights: Value, target: Value, *, free_zero_point: bool = False
) -> dict[str, int]:
    """`free_zero_point`: int8 weights may have one, as long as it is the only one (docs/internals/kernels.md)."""
    free = source.dtype == "uint8" or (free_zero_point and len(weights.scales) == 1)
    if not free and any(weights.zero_points):
        raise UnsupportedError(
            "its int8 weights have a zero point that is not 0",
            hint="quantize weights symmetrically (a quantizer with symmetric=True)",
        )
    if source.dtype == "uint8" and len(set(weights.zero_points)) > 1:
        raise UnsupportedError(
            "its uint8 weights have several zero points", hint="uint8 models are quantized per tensor"
        )
    return {
        "input_offset": -source.zero_point,
        "weights_offset": -weights.zero_points[0] if free else 0,
        "output_offset": target.zero_point,
        **limits(rule, target),
        "rounding": 0,
    }


def _weighted_operands(
    rule: NodeRule, source: Value, weights: Value, target: Value, channels: int, axis: int, *, legacy: bool
) -> tuple[dict[str, Operand], dict[str, Any]]:
    """The operands but scratch and output, and whether scales are per channel.

    `legacy`: the product of scales in float32 (docs/internals/kernels.md has which op does what).
    """
    count = len(weights.scales)
    if count not in (1, channels):
        raise UnsupportedError(f"{count} scales for {channels} output channels", hint="the model is damaged")
    if count > 1 and weights.quantized_dimension != axis:
        raise UnsupportedError(
            f"its weights are quantized along dimension {weights.quantized_dimension}, not {axis}",
            hint="quantize per output channel",
        )
    if not all(scale > 0 for scale in weights.scales):
        raise UnsupportedError(
            "a scale of its weights is not positive", hint="train or quantize again: a channel may be dead"
        )
    if count > 1 and source.dtype == "uint8":
        raise UnsupportedError("uint8 weights quantized per channel", hint="convert to int8")
    rate = qp.tensor_multiplier if legacy else qp.convolution_multiplier
    multipliers, shifts = qp.split_multipliers([rate(source.scale, scale, target.scale) for scale in weights.scales])
    bias = rule.optional(2)
    if bias is not None and (bias.data is None or bias.dtype != "int32" or bias.elements != channels):
        raise UnsupportedError(
            f"its bias is {bias.dtype} {list(bias.shape)}" + ("" if bias.is_constant else ", not constant"),
            hint=f"the kernels take {channels} constants of int32",
        )
    assert weights.data is not None
    return {
        "input": operand_of(source),
        "weights": weights.data,
        "bias": operand_of(bias),
        "folded": None if rule.kernels == "portable" else _fold_bias(source, weights.data, bias, axis),
        "multipliers": multipliers,
        "shifts": shifts,
    }, {"per_channel": int(count > 1)}


def _fold_bias(source: Value, weights: np.ndarray, bias: Value | None, axis: int) -> np.ndarray:
    """bias + input_offset * sum of the weights of each channel, modulo 2^32 (fast.h)."""
    sums = weights.astype(np.int64).sum(axis=tuple(d for d in range(weights.ndim) if d != axis))
    total = sums * -source.zero_point
    if bias is not None and bias.data is not None:
        total = total + bias.data.reshape(-1).astype(np.int64)
    return (total & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
