"""Ops on 16-bit activations with 8-bit weights (int16x8), and TRANSPOSE_CONV of both widths.

The reference adds such products up in 64 bits where the biases are int64, and in 32 bits where they are int32
(docs/internals/kernels.md); `wide` of the record says which. Zero points are 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.broadcast import broadcast
from harness.tflite.plan.ops_more import MOST_WIDE_SHIFT, WIDE_SHIFT_HINT
from harness.tflite.plan.ops_weighted import MOST_15_BITS, Convolution, checked_weights, read_convolution
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.values import EIGHT_BITS, Operand, Value, check_quantization, check_wide, operand_of

_INT16_MIN, _INT16_MAX = -32768, 32767
_RANGES = {"int8": (-128, 127), "int16": (_INT16_MIN, _INT16_MAX), "int32": (-(2**31), 2**31 - 1)}
_ITEM_BYTES = {"int8": 1, "uint8": 1, "int16": 2, "int32": 4}


def conv_2d(rule: NodeRule) -> None:
    _convolution(rule, read_convolution(rule, rule.wide(0), depthwise=False), "CONV_2D_16", axis=0)


def depthwise_conv_2d(rule: NodeRule) -> None:
    _convolution(rule, read_convolution(rule, rule.wide(0), depthwise=True), "DEPTHWISE_CONV_2D_16", axis=3)


def _convolution(rule: NodeRule, made: Convolution, op: str, axis: int) -> None:
    target = rule.target(made.output_shape)
    check_wide(target)
    operands, scales = _operands(rule, made.source, made.weights, target, made.shape["output_channels"], axis, bias=2)
    rule.emit(op, target, operands, {**scales, **made.params, **_wide_ending(rule, target), **made.shape})


def fully_connected(rule: NodeRule) -> None:
    """A convolution of one pixel: the inputs are its channels."""
    source, weights = rule.wide(0), checked_weights(rule, "int8")
    if len(weights.shape) != 2 or rule.option("weights_format", 0) != 0:
        raise UnsupportedError(f"weights of shape {list(weights.shape)}, or stored shuffled", hint="convert again")
    outputs, inputs = weights.shape
    keep = bool(rule.option("keep_num_dims", False))
    if source.elements % inputs or (keep and source.shape[-1] != inputs):
        raise UnsupportedError(f"weights of shape {list(weights.shape)} do not fit an input of {list(source.shape)}")
    batches = source.elements // inputs
    target = rule.target((*source.shape[:-1], outputs) if keep else (batches, outputs))
    check_wide(target)
    legacy = len(weights.scales) == 1
    operands, scales = _operands(rule, source, weights, target, outputs, 0, bias=2, legacy=legacy)
    ones = ("stride_height", "stride_width", "dilation_height", "dilation_width")
    sizes = ("input_height", "input_width", "filter_height", "filter_width", "output_height", "output_width")
    rule.emit(
        "CONV_2D_16",
        target,
        operands,
        {
            **scales,
            **dict.fromkeys(ones, 1),
            "pad_top": 0,
            "pad_left": 0,
            **_wide_ending(rule, target),
            **dict.fromkeys(sizes, 1),
            "batches": batches,
            "input_channels": inputs,
            "filter_channels": inputs,
            "output_channels": outputs,
        },
    )


def transpose_conv(rule: NodeRule) -> None:
    """TRANSPOSE_CONV (output shape, weights, input, bias)."""
    wide = rule.input(2).dtype == "int16"
    source = rule.wide(2) if wide else rule.activation(2)
    asked, weights = transposed_output(rule), checked_weights(rule, source.dtype if not wide else "int8")
    if source.dtype == "uint8":
        raise UnsupportedError("a uint8 TRANSPOSE_CONV", hint="convert to int8")
    places = transposed_places(rule, source, weights, asked)
    if any(weights.zero_points):
        raise UnsupportedError("its weights have a zero point that is not 0", hint="quantize weights symmetrically")
    target = rule.target(asked)
    (check_wide if wide else check_quantization)(target)
    operands, scales = _operands(rule, source, weights, target, asked[3], 0, bias=3, wide=wide)
    ending = (
        _wide_ending(rule, target)
        if wide
        else {
            "input_offset": -source.zero_point,
            "weights_offset": 0,
            "output_offset": target.zero_point,
            **range_of(rule, target, "int8"),
            "rounding": 0,
        }
    )
    rule.emit(
        "TRANSPOSE_CONV_16" if wide else "TRANSPOSE_CONV",
        target,
        operands,
        {
            **scales,
            **places.params,
            **ending,
            **places.shape,
        },
    )


@dataclass(frozen=True, kw_only=True)
class TransposedPlaces:
    """Where a TRANSPOSE_CONV spreads its input: fields of kn_conv_params (places only) and of kn_conv_shape."""

    params: dict[str, int]
    shape: dict[str, int]


def transposed_places(rule: NodeRule, source: Value, weights: Value, asked: Sequence[int]) -> TransposedPlaces:
    """Strides, paddings and shapes of a TRANSPOSE_CONV, checked against each other.

    Raises:
        UnsupportedError: shapes that do not fit, or numbers that the kernels do not hold.
    """
    if len(source.shape) != 4 or len(weights.shape) != 4 or len(asked) != 4 or weights.shape[3] != source.shape[3]:
        raise UnsupportedError(
            f"weights of shape {list(weights.shape)} and an output of {asked} do not fit an input of {list(source.shape)}"
        )
    strides, padding = (rule.option("stride_h", 0), rule.option("stride_w", 0)), rule.option("padding", "SAME")
    if min(strides) < 1 or max(*strides, *weights.shape[1:3]) > MOST_15_BITS or padding not in ("SAME", "VALID"):
        raise UnsupportedError(f"strides {list(strides)}, a filter of {list(weights.shape[1:3])}, padding {padding}")
    if asked[0] != source.shape[0] or asked[3] != weights.shape[0] or min(asked) < 1:
        raise UnsupportedError(f"an output of {asked} from an input of {list(source.shape)}")
    pads = [
        _transposed_pad(padding, asked[1 + i], source.shape[1 + i], weights.shape[1 + i], strides[i]) for i in (0, 1)
    ]
    return TransposedPlaces(
        params={
            "stride_height": strides[0],
            "stride_width": strides[1],
            "dilation_height": 1,
            "dilation_width": 1,
            "pad_top": pads[0],
            "pad_left": pads[1],
        },
        shape={
            "batches": source.shape[0],
            "input_height": source.shape[1],
            "input_width": source.shape[2],
            "input_channels": source.shape[3],
            "filter_height": weights.shape[1],
            "filter_width": weights.shape[2],
            "filter_channels": source.shape[3],
            "output_height": asked[1],
            "output_width": asked[2],
            "output_channels": asked[3],
        },
    )


def transposed_output(rule: NodeRule) -> list[int]:
    """The constant that says it; or, where that is an input of the model, what the output is declared as."""
    found = rule.input(0)
    if found.data is not None:
        return rule.integers(0, "output shape")
    shape = rule.declared_output()
    if shape is None:
        raise UnsupportedError(
            "its output shape is not constant", hint="a plan has fixed shapes; convert with a fixed input shape"
        )
    return list(shape)


def _transposed_pad(padding: str, output: int, size: int, taps: int, stride: int) -> int:
    """Padding before the *output*, as that of the convolution which this one turns round.

    Raises:
        UnsupportedError: an output that such a convolution does not have.
    """
    expected = -(-output // stride) if padding == "SAME" else (output - taps) // stride + 1
    if expected != size:
        raise UnsupportedError(
            f"an output of {output} from an input of {size} with a filter of {taps}, stride {stride} and {padding}",
            hint="convert again with a fixed input shape",
        )
    return max((size - 1) * stride + taps - output, 0) // 2 if padding == "SAME" else 0


def add_or_sub(rule: NodeRule) -> None:
    first, second = rule.wide(0), rule.wide(1)
    walk = broadcast(first.shape, second.shape)
    target = rule.target(walk.shape)
    check_wide(target)
    if rule.option("pot_scale_int16", False) and all(
        math.frexp(one.scale)[0] == 0.5 for one in (first, second, target)
    ):
        raise UnsupportedError(
            "scales that are powers of 2 and the option pot_scale_int16", hint="convert with a current converter"
        )
    made = qp.add_params(first.scale, second.scale, target.scale, left_shift=15)
    rule.emit(
        f"{rule.node.op}_16",
        target,
        {"input1": operand_of(first), "input2": operand_of(second)},
        {
            **walk.fields(),
            "left_shift": made.left_shift,
            "input1_offset": 0,
            "input1_multiplier": made.input1.multiplier,
            "input1_shift": made.input1.shift,
            "input2_offset": 0,
            "input2_multiplier": made.input2.multiplier,
            "input2_shift": made.input2.shift,
            "output_offset": 0,
            "output_multiplier": made.output.multiplier,
            "output_shift": made.output.shift,
            **range_of(rule, target, "int16"),
            "rounding": 0,
        },
        in_place=[value for value in (first, second) if value.elements == target.elements],
    )


def leaky_relu(rule: NodeRule) -> None:
    source = rule.wide(0)
    target = rule.target(source.shape)
    check_wide(target)
    made = qp.leaky_relu_params(source.scale, rule.option("alpha", 0.0), target.scale)
    rule.emit(
        "LEAKY_RELU_16",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_zero_point": 0,
            "output_zero_point": 0,
            "multiplier": made.identity.multiplier,
            "shift": made.identity.shift,
            "alpha_multiplier": made.alpha.multiplier,
            "alpha_shift": made.alpha.shift,
        },
        in_place=[source],
    )


def quantize(rule: NodeRule) -> None:
    """QUANTIZE between int8, int16 and int32, and from float32 to int16."""
    source = rule.input(0)
    check_shape(source)
    target = rule.target(source.shape)
    if source.dtype == "float32":
        check_wide(target)
        fields = {"count": source.elements, "zero_point": 0, "scale": target.scale}
        rule.emit("QUANTIZE_16", target, {"input": operand_of(source)}, fields)
        return
    for value in (source, target):
        check_shape(value)
        if value.dtype in EIGHT_BITS:
            check_quantization(value)
        elif value is source and value.dtype == "int16" and value.zero_points == (-32768,):
            check_wide(replace(value, zero_points=(0,)))  # SOFTMAX of int8 to int16
        else:
            check_wide(value, ("int16", "int32"))
    scale = qp.requantize_multiplier(source.scale, target.scale)
    low, high = _RANGES["int8" if target.dtype == "uint8" else target.dtype]
    rule.emit(
        "REQUANTIZE",
        target,
        {"input": operand_of(source)},
        {
            "count": source.elements,
            "input_bytes": _ITEM_BYTES[source.dtype],
            "output_bytes": _ITEM_BYTES[target.dtype],
            "input_zero_point": source.zero_point,
            "output_zero_point": target.zero_point,
            "multiplier": scale.multiplier,
            "shift": scale.shift,
            "activation_min": low,
            "activation_max": high,
            "rounding": 0,
        },
    )


def dequantize(rule: NodeRule) -> None:
    """DEQUANTIZE from int16 to float32."""
    source = rule.wide(0)
    target = rule.target(source.shape)
    if target.dtype != "float32":
        raise UnsupportedError(f"to {target.dtype}", hint="the kernel writes float32")
    fields = {"count": source.elements, "zero_point": 0, "scale": source.scale}
    rule.emit("DEQUANTIZE_16", target, {"input": operand_of(source)}, fields)


def range_of(rule: NodeRule, target: Value, dtype: str) -> dict[str, int]:
    activation = str(rule.option("fused_activation_function", "NONE"))
    span = qp.activation_range(activation, target.scale, target.zero_point, *_RANGES[dtype])
    return {"activation_min": span.low, "activation_max": span.high}


def _wide_ending(rule: NodeRule, target: Value) -> dict[str, int]:
    return {
        "input_offset": 0,
        "weights_offset": 0,
        "output_offset": 0,
        **range_of(rule, target, "int16"),
        "rounding": 0,
    }


def _operands(
    rule: NodeRule,
    source: Value,
    weights: Value,
    target: Value,
    channels: int,
    axis: int,
    *,
    bias: int,
    wide: bool = True,
    legacy: bool = False,
) -> tuple[dict[str, Operand], dict[str, Any]]:
    """The operands but scratch and output, and what the record says of scales and biases.

    Args:
        bias: its position among the node's inputs.
        wide: of 16-bit activations, whose biases may be int64.
    """
    if any(weights.zero_points):
        raise UnsupportedError("its weights have a zero point that is not 0", hint="quantize weights symmetrically")
    count = len(weights.scales)
    if count not in (1, channels) or (count > 1 and weights.quantized_dimension != axis):
        raise UnsupportedError(
            f"{count} scales along dimension {weights.quantized_dimension} for {channels} output channels",
            hint="quantize per output channel",
        )
    if not all(scale > 0 for scale in weights.scales):
        raise UnsupportedError(
            "a scale of its weights is not positive", hint="train or quantize again: a channel may be dead"
        )
    rate = qp.tensor_multiplier if legacy else qp.convolution_multiplier
    multipliers, shifts = qp.split_multipliers([rate(source.scale, scale, target.scale) for scale in weights.scales])
    offset = rule.optional(bias)
    types = ("int64", "int32") if wide else ("int32",)
    if offset is not None and (offset.data is None or offset.dtype not in types or offset.elements != channels):
        raise UnsupportedError(
            f"its bias is {offset.dtype} {list(offset.shape)}" + ("" if offset.is_constant else ", not constant"),
            hint=f"the kernels take {channels} constants of {' or '.join(types)}",
        )
    if offset is not None:
        in_64_bits = offset.dtype == "int64"
    else:  # what tflite-runtime 2.14 does without biases, and TFLite Micro where 2.14 refuses: in CONV_2D, DEPTHWISE_CONV_2D
        in_64_bits = (
            rule.node.op not in ("TRANSPOSE_CONV", "FULLY_CONNECTED")
            and rule.option("quantized_bias_type", "") != "INT32"
        )
    if wide and in_64_bits and int(shifts.max()) > MOST_WIDE_SHIFT:
        raise UnsupportedError(f"a ratio of scales of 2^{int(shifts.max())}", hint=WIDE_SHIFT_HINT)
    assert weights.data is not None
    operands: dict[str, Operand] = {
        "input": operand_of(source),
        "weights": weights.data,
        "bias": None if offset is None or offset.data is None else np.ascontiguousarray(offset.data).view(np.int32),
        "folded": None,
        "multipliers": multipliers,
        "shifts": shifts,
    }
    scales = {"per_channel": int(count > 1)}
    return operands, {**scales, "wide": int(in_64_bits)} if wide else scales
