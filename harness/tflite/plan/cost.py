"""What a lowering costs: instructions of the kernels of `devices/`, estimated, so that the planner can choose between two.

The numbers are straight lines through counts (`benchmarks/bench_kernels.py`); `tests/tflite/plan/test_plan_cost.py` holds them
against counts on emulated cores. They are good to compare two ways to compute the same layer on the same core, and to nothing
else: a count is not a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.tflite.plan.base import KernelSet
from harness.tflite.plan.scratch import is_column, is_wide

Fields = Mapping[str, int]


def conv_2d_cost(kernels: KernelSet, params: Fields, shape: Fields) -> float:
    """Of one CONV_2D; arguments as in `scratch.py`."""
    rows, channels = shape["filter_height"], shape["output_channels"]
    taps = rows * shape["filter_width"] * shape["filter_channels"]
    pixels = _pixels(shape)
    if kernels == "portable" or shape["filter_channels"] != shape["input_channels"]:
        return pixels * channels * (6 * taps + 47 * rows + 95)
    gather = 0.0 if is_column(params, shape) else 25.0 * rows + 40
    if kernels == "mve":
        gather += taps / 4 if gather else 0
        return 250 + 5 * channels + pixels * (60 + gather + -(-channels // 4) * (10 * -(-taps // 16) + 41))
    if is_wide(shape):
        widen = 60 + 25 * rows + taps * (2 if shape["input_channels"] % 4 == 0 else 4)
        return pixels * widen + -(-pixels // 4) * (channels * (3.25 * taps + 80) + 60)
    if channels < 4:
        return conv_2d_cost("portable", params, shape)
    return pixels * (50 + gather + (taps if gather else 0) + -(-channels // 4) * (5.75 * taps + 100))


def depthwise_conv_2d_cost(kernels: KernelSet, shape: Fields) -> float:
    """Of one DEPTHWISE_CONV_2D; arguments as in `scratch.py`."""
    rows, channels = shape["filter_height"], shape["output_channels"]
    taps = rows * shape["filter_width"]
    pixels = _pixels(shape)
    if kernels == "portable" or (kernels == "dsp" and channels < 4):
        return pixels * channels * (13 * taps + 13 * rows + 90)
    if kernels == "mve":
        simple = channels >= 8 and shape["filter_channels"] == 1
        block = 10 * taps + 8 * rows + 65 if simple else 13 * taps + 8 * rows + 480
        return pixels * (75 + -(-channels // 8) * block)
    simple = shape["filter_channels"] == 1
    if simple and shape["filter_width"] == 3:
        window = 8 * taps + 10 * rows + 70
    else:
        window = (21 if simple else 27) * taps + 10 * rows + 140
    return -(-channels // 4) * (150 + 8 * taps + pixels * window)


def fully_connected_cost(kernels: KernelSet, batches: int, inputs: int, outputs: int) -> float:
    """Of one FULLY_CONNECTED."""
    if kernels == "mve":
        return 150 + 5 * outputs + batches * (60 + -(-outputs // 4) * (10 * -(-inputs // 16) + 37))
    if kernels == "dsp" and outputs >= 4:
        return batches * (60 + -(-outputs // 4) * (5.75 * inputs + 95))
    return batches * outputs * (6 * inputs + 40)


def unpack_cost(kernels: KernelSet, weights: int) -> float:
    """Of the unpacking of so many weights of 4 bits."""
    return -(-weights // 32) * (62 if kernels == "portable" else 50)


def _pixels(shape: Fields) -> int:
    return shape["batches"] * shape["output_height"] * shape["output_width"]
