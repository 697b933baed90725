"""Host-side preparation of the int8 kernels in devices/kernels/: real scales become integer multipliers, shifts, ranges, tables.

The order of operations and the precision of each (float32 or float64) are those of TensorFlow Lite 2.14; a multiplier
that differs in its last bit gives different outputs. devices/kernels/prepare.c computes the same in C, to the bit; both
are tested against each other and against tflite-runtime 2.14.0. docs/internals/kernels.md lists the formulas.

Scales are float32 values as stored in a .tflite (any Python or numpy float; rounded to float32 here). Zero points are
those of int8 tensors; lower the zero point of a uint8 tensor by 128.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.errors import UnsupportedError, UserInputError, unknown_name

INT8_MIN = -128
INT8_MAX = 127
#: fused activations of the .tflite schema, by name; the kernels know ranges only
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")

_ADD_LEFT_SHIFT = 20
_SOFTMAX_INTEGER_BITS = 5


@dataclass(frozen=True, kw_only=True)
class Multiplier:
    """A real number as `multiplier * 2^(shift - 31)`: multiplier 0 or of magnitude 2^30..2^31-1, shift -31..30."""

    multiplier: int
    shift: int


@dataclass(frozen=True, kw_only=True)
class ActivationRange:
    """The int8 values that a fused activation lets through, both ends included."""

    low: int
    high: int


@dataclass(frozen=True, kw_only=True)
class Window:
    """One dimension of a convolution or pooling window: output length, and padding before the first input."""

    output: int
    before: int


@dataclass(frozen=True, kw_only=True)
class AddParams:
    """ADD, SUB and SQUARED_DIFFERENCE: both inputs are scaled to twice the larger input scale, with `left_shift` spare bits."""

    left_shift: int
    input1: Multiplier
    input2: Multiplier
    output: Multiplier


@dataclass(frozen=True, kw_only=True)
class SoftmaxParams:
    """SOFTMAX: the scale of input differences in Q5.26, and the difference below which a value counts as zero."""

    scale: Multiplier
    difference_min: int


@dataclass(frozen=True, kw_only=True)
class LeakyReluParams:
    """LEAKY_RELU: one multiplier for values >= 0, one (times alpha) for those below."""

    identity: Multiplier
    alpha: Multiplier


@dataclass(frozen=True, kw_only=True)
class HardSwishParams:
    """HARD_SWISH in 16-bit fixed point: multipliers 0..32767."""

    output_multiplier: int
    output_shift: int
    relu_multiplier: int
    relu_shift: int


def quantize_multiplier(real: float) -> Multiplier:
    """A real number as a 32-bit multiplier and a shift (TFLite's QuantizeMultiplier: frexp in double, half away from zero).

    Numbers under 2^-32 become 0.

    Raises:
        UnsupportedError: not finite, or 2^30 and more, which 32-bit accumulators cannot be scaled by.
    """
    real = float(real)
    if real == 0.0:
        return Multiplier(multiplier=0, shift=0)
    if not math.isfinite(real):
        raise UnsupportedError(
            f"cannot make a fixed-point multiplier of {real}", hint="a tensor's scale is 0 or not a number"
        )
    fraction, shift = math.frexp(real)
    fixed = int(math.copysign(math.floor(abs(fraction) * 2147483648.0 + 0.5), fraction))
    if fixed == 1 << 31:
        fixed, shift = 1 << 30, shift + 1
    if shift < -31:
        return Multiplier(multiplier=0, shift=0)
    if shift > 30:
        raise UnsupportedError(
            f"a ratio of scales of {real:g} does not fit a multiplier", hint="check the tensors' scales"
        )
    return Multiplier(multiplier=fixed, shift=shift)


def convolution_multiplier(input_scale: float, weights_scale: float, output_scale: float) -> Multiplier:
    """Of one output channel of CONV_2D, DEPTHWISE_CONV_2D and per-channel FULLY_CONNECTED (int8): all in float64."""
    return quantize_multiplier(_f64(input_scale) * _f64(weights_scale) / _f64(output_scale))


def tensor_multiplier(input_scale: float, weights_scale: float, output_scale: float) -> Multiplier:
    """Of per-tensor FULLY_CONNECTED, and of all three ops in uint8 models: the product in float32, the rest in float64."""
    return quantize_multiplier(float(_f32(input_scale) * _f32(weights_scale)) / _f64(output_scale))


def mul_multiplier(scale1: float, scale2: float, output_scale: float) -> Multiplier:
    """Of MUL: product and ratio in float32."""
    return quantize_multiplier(float(_f32(scale1) * _f32(scale2) / _f32(output_scale)))


def div_multiplier(scale1: float, scale2: float, output_scale: float) -> Multiplier:
    """Of DIV: product and ratio in float32."""
    return quantize_multiplier(float(_f32(scale1) / (_f32(scale2) * _f32(output_scale))))


def relu_multiplier(input_scale: float, output_scale: float) -> Multiplier:
    """Of RELU, RELU6 and RELU_N1_TO_1 as ops of their own: the ratio in float32."""
    return quantize_multiplier(float(_f32(input_scale) / _f32(output_scale)))


def requantize_multiplier(input_scale: float, output_scale: float) -> Multiplier:
    """Of QUANTIZE between 8-bit types: the ratio in float64."""
    return quantize_multiplier(_f64(input_scale) / _f64(output_scale))


def mean_multiplier(input_scale: float, output_scale: float, elements: int) -> Multiplier:
    """Of MEAN, with the division by the number of reduced elements folded in (truncated, as in TFLite).

    Raises:
        UserInputError: no elements.
    """
    if elements < 1:
        raise UserInputError("MEAN over no elements", hint="one of the reduced dimensions is 0")
    scale = requantize_multiplier(input_scale, output_scale)
    bits = min(elements.bit_length() - 1, 32, 31 + scale.shift)
    return Multiplier(multiplier=(scale.multiplier << bits) // elements, shift=scale.shift - bits)


def add_params(scale1: float, scale2: float, output_scale: float, left_shift: int = _ADD_LEFT_SHIFT) -> AddParams:
    """Of ADD and SUB; `left_shift` is 20 for 8-bit activations and 15 for those of 16 bits.

    Raises:
        UnsupportedError: the output scale is not over 2^(1 - left_shift) of the larger input scale (the reference aborts there).
    """
    twice_larger = 2.0 * max(_f64(scale1), _f64(scale2))
    reals = (
        _f64(scale1) / twice_larger,
        _f64(scale2) / twice_larger,
        twice_larger / ((1 << left_shift) * _f64(output_scale)),
    )
    made = [quantize_multiplier(real) for real in reals]
    if any(real >= 1.0 or one.shift > 0 for real, one in zip(reals, made, strict=True)):
        raise UnsupportedError(
            f"ADD or SUB with input scales {float(scale1):g} and {float(scale2):g} and output scale {float(output_scale):g}",
            hint="the output scale is too small against the inputs'; calibrate on more data",
        )
    return AddParams(left_shift=left_shift, input1=made[0], input2=made[1], output=made[2])


def squared_difference_params(scale1: float, scale2: float, output_scale: float, left_shift: int) -> AddParams:
    """Of SQUARED_DIFFERENCE; `left_shift` is 7 for 8-bit activations and 0 for those of 16 bits.

    Raises:
        UnsupportedError: the output scale is so small that a difference of some steps is beyond it, and a product wraps.
    """
    twice_larger = 2.0 * max(_f64(scale1), _f64(scale2))
    ratio = twice_larger * twice_larger / ((1 << 2 * left_shift) * _f64(output_scale))
    made = [quantize_multiplier(real) for real in (_f64(scale1) / twice_larger, _f64(scale2) / twice_larger, ratio)]
    if any(one.shift > 0 for one in made):
        raise UnsupportedError(
            f"input scales {float(scale1):g} and {float(scale2):g} and output scale {float(output_scale):g}",
            hint="the output scale is too small against the inputs'; calibrate on more data",
        )
    return AddParams(left_shift=left_shift, input1=made[0], input2=made[1], output=made[2])


def softmax_params(input_scale: float, beta: float = 1.0) -> SoftmaxParams:
    """Of SOFTMAX.

    Raises:
        UnsupportedError: beta times the input scale is not over 2^-26.
    """
    unit = float(1 << (31 - _SOFTMAX_INTEGER_BITS))
    real = min(_f64(beta) * _f64(input_scale) * unit, 2147483647.0)
    if not real > 1.0:
        raise UnsupportedError(
            f"SOFTMAX with input scale {float(input_scale):g} and beta {float(beta):g}",
            hint="the product must be over 2^-26",
        )
    fraction, shift = math.frexp(real)
    fixed = math.floor(fraction * 2147483648.0 + 0.5)
    if fixed == 1 << 31:
        fixed, shift = 1 << 30, shift + 1
    radius = math.floor(((1 << _SOFTMAX_INTEGER_BITS) - 1) * unit / (1 << shift))
    return SoftmaxParams(scale=Multiplier(multiplier=fixed, shift=shift), difference_min=-radius)


def leaky_relu_params(input_scale: float, alpha: float, output_scale: float) -> LeakyReluParams:
    """Of LEAKY_RELU: float32 throughout."""
    alpha_ratio = _f32(input_scale) * _f32(alpha) / _f32(output_scale)
    return LeakyReluParams(
        identity=relu_multiplier(input_scale, output_scale), alpha=quantize_multiplier(float(alpha_ratio))
    )


def hard_swish_params(input_scale: float, output_scale: float) -> HardSwishParams:
    """Of HARD_SWISH: float32 ratios, multipliers rounded to 16 bits.

    Raises:
        UnsupportedError: the output scale is under 1/128 of the input scale, or the scales are out of all proportion.
    """
    fine = _f32(1.0 / 128.0) * _f32(input_scale)
    output = quantize_multiplier(float(fine / _f32(output_scale)))
    relu = quantize_multiplier(float(fine / _f32(3.0 / 32768.0)))
    if not (-15 <= output.shift <= 0 and -15 <= relu.shift <= 15):
        raise UnsupportedError(
            f"HARD_SWISH from scale {float(input_scale):g} to {float(output_scale):g}",
            hint="the output scale must be at least 1/128 of the input scale",
        )
    return HardSwishParams(
        output_multiplier=_to_16_bits(output.multiplier),
        output_shift=output.shift,
        relu_multiplier=_to_16_bits(relu.multiplier),
        relu_shift=relu.shift,
    )


def activation_range(
    activation: str, scale: float, zero_point: int, lowest: int = INT8_MIN, highest: int = INT8_MAX
) -> ActivationRange:
    """The range, int8 unless told otherwise, of a fused activation, or of a RELU op, for an output tensor's scale and zero point.

    Raises:
        UserInputError: an unknown activation.
        UnsupportedError: one that integer kernels do not have (TANH, SIGN_BIT).
    """
    if activation in ("TANH", "SIGN_BIT"):
        raise UnsupportedError(f"fused activation {activation} in an integer op", hint="convert it as an op of its own")
    bounds = {"NONE": (None, None), "RELU": (0.0, None), "RELU_N1_TO_1": (-1.0, 1.0), "RELU6": (0.0, 6.0)}
    if activation not in bounds:
        raise unknown_name("activation", activation, ACTIVATIONS)
    low, high = bounds[activation]
    return ActivationRange(
        low=lowest if low is None else _clamp(_steps(low, scale, highest) + zero_point, lowest, highest),
        high=highest if high is None else _clamp(_steps(high, scale, highest) + zero_point, lowest, highest),
    )


def window(padding: str, input_size: int, filter_size: int, stride: int, dilation: int = 1) -> Window:
    """Output length and leading padding of one dimension, padding "SAME" or "VALID".

    Raises:
        UserInputError: an unknown padding, a size, stride or dilation under 1, or a filter larger than its input.
    """
    if padding not in ("SAME", "VALID"):
        raise unknown_name("padding", padding, ("SAME", "VALID"))
    if min(input_size, filter_size, stride, dilation) < 1:
        raise UserInputError(
            f"a window of input {input_size}, filter {filter_size}, stride {stride}, dilation {dilation}",
            hint="all must be at least 1",
        )
    span = (filter_size - 1) * dilation + 1
    output = (input_size + stride - 1) // stride if padding == "SAME" else (input_size + stride - span) // stride
    if output < 1:
        raise UserInputError(f"a filter that spans {span} does not fit an input of {input_size} with VALID padding")
    return Window(output=output, before=max((output - 1) * stride + span - input_size, 0) // 2)


def logistic_table(
    input_scale: float, input_zero_point: int, output_scale: float, output_zero_point: int
) -> np.ndarray:
    """LOGISTIC for every int8 value: int8 array of 256, index = value + 128."""
    one = np.float32(1.0)
    return _table(
        lambda real: one / (one + np.float32(_exp(-float(real)))),
        input_scale,
        input_zero_point,
        output_scale,
        output_zero_point,
    )


def tanh_table(input_scale: float, input_zero_point: int, output_scale: float, output_zero_point: int) -> np.ndarray:
    """TANH for every int8 value: int8 array of 256, index = value + 128."""
    return _table(
        lambda real: np.float32(math.tanh(float(real))), input_scale, input_zero_point, output_scale, output_zero_point
    )


def concatenation_table(
    input_scale: float, input_zero_point: int, output_scale: float, output_zero_point: int
) -> np.ndarray:
    """What CONCATENATION of a uint8 model does to an input of another scale: int8 array of 256, index = value + 128."""
    scale = _f32(input_scale) * (np.float32(1.0) / _f32(output_scale))
    bias = -np.float32(input_zero_point + 128) * scale
    steps = [_round_away(np.float32(stored) * scale + bias) for stored in range(256)]
    return np.array([_clamp_int8(step + output_zero_point) for step in steps], np.int8)


def split_multipliers(multipliers: Sequence[Multiplier]) -> tuple[np.ndarray, np.ndarray]:
    """The int32 arrays `multipliers` and `shifts` of kn_channel_scales."""
    return (
        np.array([one.multiplier for one in multipliers], np.int32),
        np.array([one.shift for one in multipliers], np.int32),
    )


def _table(
    function: Callable[[np.float32], np.float32],
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
) -> np.ndarray:
    inverse = np.float32(1.0) / _f32(output_scale)
    table = np.empty(256, np.int8)
    for value in range(INT8_MIN, INT8_MAX + 1):
        real = _f32(input_scale) * np.float32(value - input_zero_point)
        table[value - INT8_MIN] = _clamp_int8(_round_away(function(real) * inverse) + output_zero_point)
    return table


def _exp(value: float) -> float:
    """exp in float64, rounded to float32 by the caller: within a last bit of C's expf."""
    return math.exp(value) if value < 88.0 else math.inf


def _steps(value: float, scale: float, highest: int) -> int:
    """Half away from zero; saturated where every use clamps."""
    most = 8.0 * (highest + 1)
    wide = max(-most, min(most, float(np.float32(value) / _f32(scale))))
    return int(math.copysign(math.floor(abs(wide) + 0.5), wide))


def _round_away(value: np.float32) -> int:
    """Half away from zero; saturated at 1024, beyond which every use clamps."""
    wide = max(-1024.0, min(1024.0, float(value)))
    return int(math.copysign(math.floor(abs(wide) + 0.5), wide))


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _clamp_int8(value: int) -> int:
    return max(INT8_MIN, min(INT8_MAX, value))


def _to_16_bits(multiplier: int) -> int:
    return 32767 if multiplier >= 2147483647 - (1 << 15) else (multiplier + (1 << 15)) >> 16


def _f32(value: float) -> np.float32:
    return np.float32(value)


def _f64(value: float) -> float:
    return float(np.float32(value))
