"""Random cases of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED."""

from __future__ import annotations

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support.kernel_cases import (
    ACTIVATIONS,
    Case,
    Quantized,
    activation_tensor,
    limits,
    pick_dtype,
    pick_output,
    pick_quantized,
    random_int8,
    stored,
)
from tests.support.kernels_abi import Kernels, struct
from tests.support.op_models import Op, Tensor, activation_code, build_model, padding_code


def conv_case(rng: np.random.Generator) -> Case:
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    filter_channels = int(rng.integers(1, 6))
    channels = groups * int(rng.integers(1, 6))
    return _window_case(rng, "CONV_2D", filter_channels * groups, filter_channels, channels)


def depthwise_case(rng: np.random.Generator) -> Case:
    input_channels = int(rng.integers(1, 9))
    multiplier = int(rng.choice([1, 1, 2, 3]))
    return _window_case(rng, "DEPTHWISE_CONV_2D", input_channels, multiplier, input_channels * multiplier)


def _window_case(rng: np.random.Generator, op: str, input_channels: int, filter_channels: int, channels: int) -> Case:
    dtype = pick_dtype(rng)
    batches = int(rng.choice([1, 1, 2]))
    kernel, stride = rng.integers(1, 6, 2), rng.integers(1, 4, 2)
    dilation = rng.integers(1, 4, 2) if rng.random() < 0.3 else np.array([1, 1])
    padding = str(rng.choice(["SAME", "VALID"]))
    span = (kernel - 1) * dilation + 1
    size = rng.integers(1, 11, 2) if padding == "SAME" else span + rng.integers(0, 7, 2)
    windows = [qp.window(padding, int(size[i]), int(kernel[i]), int(stride[i]), int(dilation[i])) for i in range(2)]
    depthwise = op == "DEPTHWISE_CONV_2D"
    shape = struct(
        "kn_conv_shape",
        batches=batches,
        input_height=size[0],
        input_width=size[1],
        input_channels=input_channels,
        filter_height=kernel[0],
        filter_width=kernel[1],
        filter_channels=filter_channels,
        output_height=windows[0].output,
        output_width=windows[1].output,
        output_channels=channels,
    )
    values = random_int8(rng, (batches, int(size[0]), int(size[1]), input_channels))
    weights_shape = (
        (1, int(kernel[0]), int(kernel[1]), channels)
        if depthwise
        else (channels, int(kernel[0]), int(kernel[1]), filter_channels)
    )
    taps = int(kernel[0] * kernel[1]) * (1 if depthwise else filter_channels)
    parts = _weights(
        rng,
        dtype,
        weights_shape,
        channels,
        taps,
        quantized_dimension=3 if depthwise else 0,
        per_channel=dtype == "int8" and rng.random() < 0.7,
        always_bias=not depthwise,
    )
    activation = str(rng.choice(ACTIVATIONS))
    params = struct(
        "kn_conv_params",
        stride_height=stride[0],
        stride_width=stride[1],
        dilation_height=dilation[0],
        dilation_width=dilation[1],
        pad_top=windows[0].before,
        pad_left=windows[1].before,
        input_offset=-parts.input.zero_point,
        weights_offset=-parts.weights_zero_point,
        output_offset=parts.output.zero_point,
        rounding=0,
        **limits(qp.activation_range(activation, parts.output.scale, parts.output.zero_point)),
    )
    scales = parts.channel_scales(uint8_like=dtype == "uint8")
    output_shape = (batches, windows[0].output, windows[1].output, channels)

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        kernels.call(
            "kn_depthwise_conv_2d" if depthwise else "kn_conv_2d",
            params,
            shape,
            scales,
            values,
            parts.values,
            parts.bias,
            output,
        )
        return output

    options = {
        "Padding": padding_code(padding),
        "StrideW": int(stride[1]),
        "StrideH": int(stride[0]),
        "FusedActivationFunction": activation_code(activation),
        "DilationWFactor": int(dilation[1]),
        "DilationHFactor": int(dilation[0]),
    }
    if depthwise:
        options["DepthMultiplier"] = filter_channels
    table = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    model = build_model(
        Op(name=op, options_table=table, options=options),
        [activation_tensor(values.shape, dtype, parts.input), *parts.tensors],
        activation_tensor(output_shape, dtype, parts.output),
    )
    text = f"{dtype} {values.shape} * {weights_shape} {padding} stride {stride} dilation {dilation} {activation}"
    return Case(op=op, text=text, model=model, inputs=(stored(values, dtype),), run=run, dtype=dtype)


def fully_connected_case(rng: np.random.Generator) -> Case:
    dtype = pick_dtype(rng)
    batches, inputs, outputs = int(rng.integers(1, 5)), int(rng.integers(1, 65)), int(rng.integers(1, 17))
    per_channel = dtype == "int8" and outputs > 1 and rng.random() < 0.4
    # Int8 FULLY_CONNECTED honours a zero point of per-tensor weights, other than the convolutions.
    parts = _weights(
        rng,
        dtype,
        (outputs, inputs),
        outputs,
        inputs,
        quantized_dimension=0,
        per_channel=per_channel,
        free_zero_point=not per_channel and rng.random() < 0.3,
    )
    values = random_int8(rng, (batches, inputs))
    activation = str(rng.choice(ACTIVATIONS))
    params = struct(
        "kn_fully_connected_params",
        batches=batches,
        inputs=inputs,
        outputs=outputs,
        input_offset=-parts.input.zero_point,
        weights_offset=-parts.weights_zero_point,
        output_offset=parts.output.zero_point,
        rounding=0,
        **limits(qp.activation_range(activation, parts.output.scale, parts.output.zero_point)),
    )
    scales = parts.channel_scales(uint8_like=not per_channel)

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty((batches, outputs), np.int8)
        kernels.call("kn_fully_connected", params, scales, values, parts.values, parts.bias, output)
        return output

    options = {"FusedActivationFunction": activation_code(activation)}
    model = build_model(
        Op(name="FULLY_CONNECTED", options_table="FullyConnectedOptions", options=options),
        [activation_tensor(values.shape, dtype, parts.input), *parts.tensors],
        activation_tensor((batches, outputs), dtype, parts.output),
    )
    text = f"{dtype} {batches} x {inputs} -> {outputs} per_channel={per_channel} {activation}"
    return Case(op="FULLY_CONNECTED", text=text, model=model, inputs=(stored(values, dtype),), run=run, dtype=dtype)


class _Weights:
    """Weights and bias with their quantization, and those of input and output, in int8 terms."""

    def __init__(
        self,
        *,
        values: np.ndarray,
        bias: np.ndarray | None,
        scales: list[np.float32],
        zero_point: int,
        input: Quantized,
        output: Quantized,
        dtype: str,
        quantized_dimension: int,
    ) -> None:
        self.values, self.bias, self.scales, self.weights_zero_point = values, bias, scales, zero_point
        self.input, self.output = input, output
        offset = 128 if dtype == "uint8" else 0
        floats = [float(scale) for scale in scales]
        self.tensors = [
            Tensor(
                shape=values.shape,
                dtype=dtype,
                scales=floats,
                data=stored(values, dtype),
                zero_points=[zero_point + offset] * len(scales),
                quantized_dimension=quantized_dimension,
            )
        ]
        if bias is not None:
            self.tensors.append(
                Tensor(
                    shape=bias.shape,
                    dtype="int32",
                    scales=[float(input.scale * s) for s in scales],
                    zero_points=[0] * len(scales),
                    data=bias,
                )
            )

    def channel_scales(self, *, uint8_like: bool):
        """kn_channel_scales: the product of scales in float32 where `uint8_like`, else in float64."""
        rule = qp.tensor_multiplier if uint8_like else qp.convolution_multiplier
        multipliers, shifts = qp.split_multipliers([rule(self.input.scale, s, self.output.scale) for s in self.scales])
        return struct("kn_channel_scales", multipliers=multipliers, shifts=shifts, per_channel=len(self.scales) > 1)


def _weights(
    rng: np.random.Generator,
    dtype: str,
    shape: tuple[int, ...],
    channels: int,
    taps: int,
    *,
    quantized_dimension: int,
    per_channel: bool,
    free_zero_point: bool = False,
    always_bias: bool = False,
) -> _Weights:
    source = pick_quantized(rng)
    scales = [pick_quantized(rng, 1e-3, 0.1).scale] * (channels if per_channel else 1)
    scales = [np.float32(scale * np.exp(rng.uniform(-1, 1))) for scale in scales]
    zero_point = int(rng.integers(-128, 128)) if dtype == "uint8" or free_zero_point else 0
    span = 74.0 * 74.0 * np.sqrt(taps) * 4.0
    bias = None
    if always_bias or rng.random() < 0.8:  # the reference refuses CONV_2D without one
        bias = rng.integers(-int(span / 2), int(span / 2), channels).astype(np.int32)
    output = pick_output(rng, float(source.scale) * float(scales[0]) * span)
    return _Weights(
        values=random_int8(rng, shape),
        bias=bias,
        scales=scales,
        zero_point=zero_point,
        input=source,
        output=output,
        dtype=dtype,
        quantized_dimension=quantized_dimension,
    )
