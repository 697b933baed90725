"""The fixed-point arithmetic under all kernels, against its definition in exact integers, and the two rounding modes.

kn_fully_connected with weights of 0 is the probe: its accumulator is the bias, so any 32-bit number can be put in.
"""

import numpy as np
import pytest

from harness.tflite.quantized_params import quantize_multiplier
from tests.support.kernels_abi import Kernels, struct

_DOUBLE, _SINGLE = 0, 1
_EXTREMES = [0, 1, -1, 2**31 - 1, -(2**31), 2**30, -(2**30), 12345678, -12345678]


def _scale(
    kernels: Kernels, values: list[int], multiplier: int, shift: int, rounding: int, zero_point: int = 0
) -> list[int]:
    bias = np.array(values, np.int32)
    params = struct(
        "kn_fully_connected_params",
        batches=1,
        inputs=1,
        outputs=len(values),
        input_offset=0,
        weights_offset=0,
        output_offset=zero_point,
        activation_min=-128,
        activation_max=127,
        rounding=rounding,
    )
    scales = struct(
        "kn_channel_scales",
        multipliers=np.array([multiplier], np.int32),
        shifts=np.array([shift], np.int32),
        per_channel=0,
    )
    output = np.empty(len(values), np.int8)
    kernels.call(
        "kn_fully_connected", params, scales, np.zeros(1, np.int8), np.zeros(len(values), np.int8), bias, output
    )
    return output.tolist()


def _wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _truncating_divide(value: int, divisor: int) -> int:
    return abs(value) // divisor * (1 if value >= 0 else -1)


def _twice_rounded(value: int, multiplier: int, shift: int) -> int:
    """gemmlowp's published definition, with its nudges and truncating division."""
    shifted = _wrap(value << max(shift, 0))
    product = shifted * multiplier
    high = _truncating_divide(product + (2**30 if product >= 0 else 1 - 2**30), 2**31)
    high = 2**31 - 1 if shifted == multiplier == -(2**31) else high
    exponent = max(-shift, 0)
    remainder, mask = high & (2**exponent - 1), 2**exponent - 1
    return (high >> exponent) + (1 if remainder > (mask >> 1) + (1 if high < 0 else 0) else 0)


def _clamp(value: int) -> int:
    return max(-128, min(127, value))


@pytest.mark.parametrize("shift", [-31, -20, -9, -8, -1, 0, 1, 7, 30])
def test_double_rounding_follows_the_definition(kernels: Kernels, shift: int) -> None:
    rng = np.random.default_rng(shift + 100)
    for multiplier in (1 << 30, 2**31 - 1, -(1 << 30), *rng.integers(1 << 30, 2**31, 10).tolist()):
        magnitude = min(2.0**31, 200 * 2.0**31 / abs(multiplier) / 2.0**shift)
        values = [
            *_EXTREMES,
            *rng.uniform(-magnitude, magnitude, 200).astype(np.int64).clip(-(2**31), 2**31 - 1).tolist(),
        ]
        assert _scale(kernels, values, multiplier, shift, _DOUBLE) == [
            _clamp(_twice_rounded(value, multiplier, shift)) for value in values
        ]


@pytest.mark.parametrize("shift", [-31, -9, 0, 7, 30])
def test_single_rounding_rounds_the_exact_product_half_up(kernels: Kernels, shift: int) -> None:
    rng = np.random.default_rng(shift + 200)
    for multiplier in (1 << 30, 2**31 - 1, *rng.integers(1 << 30, 2**31, 10).tolist()):
        magnitude = min(2.0**31, 200 * 2.0**31 / multiplier / 2.0**shift)
        values = rng.uniform(-magnitude, magnitude, 200).astype(np.int64).clip(-(2**31), 2**31 - 1).tolist()
        assert _scale(kernels, values, multiplier, shift, _SINGLE) == [
            _clamp((value * multiplier + (1 << (30 - shift))) >> (31 - shift)) for value in values
        ]


def test_the_two_roundings_differ_by_at_most_one_and_do_differ(kernels: Kernels) -> None:
    values = list(range(-20000, 20000, 7))
    scale = quantize_multiplier(0.0061)
    twice, once = (
        np.array(_scale(kernels, values, scale.multiplier, scale.shift, mode)) for mode in (_DOUBLE, _SINGLE)
    )
    halves = list(range(-255, 256, 2))
    half_twice, half_once = (np.array(_scale(kernels, halves, 1 << 30, 0, mode)) for mode in (_DOUBLE, _SINGLE))
    assert np.abs(twice - once).max() <= 1
    assert np.abs(half_twice - half_once).max() <= 1
    steps = quantize_multiplier(0.25)
    odd = [4 * n + 2 for n in range(-30, 30)]
    assert _scale(kernels, odd, steps.multiplier, steps.shift, _DOUBLE) != _scale(
        kernels, odd, steps.multiplier, steps.shift, _SINGLE
    )


def test_the_output_may_be_the_buffer_of_an_input(kernels: Kernels) -> None:
    rng = np.random.default_rng(3)
    scale = quantize_multiplier(0.7)
    params = struct(
        "kn_rescale_params",
        input_zero_point=3,
        output_zero_point=-5,
        multiplier=scale.multiplier,
        shift=scale.shift,
        activation_min=-128,
        activation_max=127,
        rounding=0,
    )
    values = rng.integers(-128, 128, 100).astype(np.int8)
    apart, in_place = np.empty_like(values), values.copy()
    kernels.call("kn_rescale", params, 100, values, apart)
    kernels.call("kn_rescale", params, 100, in_place, in_place)
    assert np.array_equal(apart, in_place)


def test_quantize_saturates_what_no_integer_holds(kernels: Kernels) -> None:
    values = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, 0.0], np.float32)
    output = np.empty(6, np.int8)
    kernels.call("kn_quantize", np.float32(0.5), 7, 6, values, output)
    assert output.tolist() == [127, -128, -128, 127, -128, 7]


def test_flip_sign_turns_uint8_into_int8_of_the_same_meaning(kernels: Kernels) -> None:
    values = np.arange(256).astype(np.uint8)
    output = np.empty(256, np.uint8)
    kernels.call("kn_flip_sign", 256, values, output)
    assert np.array_equal(output.view(np.int8).astype(int) + 128, values)
