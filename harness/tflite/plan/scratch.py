"""How much scratch memory the fast kernels want: `fast_*_scratch` of devices/cortex_m/kernels/fast.h in Python.

The host plans the arena for one kernel set; the firmware asks the same question in C and takes the portable kernel where the
plan gives less. The two must agree: too little costs speed, too much costs memory, neither changes an output.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.tflite.plan.base import KernelSet

#: fast_dsp_conv.c: more scratch than this is not worth the speed
_DSP_WIDE_LIMIT = 8192
#: a column of bytes that has room on the stack
_DSP_SHORT_COLUMN = 96


def conv_2d_scratch(kernels: KernelSet, params: Mapping[str, int], shape: Mapping[str, int]) -> int:
    """Bytes of scratch for one CONV_2D, a multiple of 4.

    Args:
        kernels: the build of the firmware.
        params: kn_conv_params by field names.
        shape: kn_conv_shape by field names.
    """
    if kernels == "portable" or shape["filter_channels"] != shape["input_channels"]:
        return 0
    if kernels == "dsp" and is_wide(shape):
        return _wide_bytes(shape)
    return 0 if is_column(params, shape) else _column_bytes(shape)


def depthwise_conv_2d_scratch(kernels: KernelSet, shape: Mapping[str, int]) -> int:
    """Bytes of scratch for one DEPTHWISE_CONV_2D, a multiple of 4: the widened weights of four channels."""
    if kernels != "dsp" or shape["output_channels"] < 4:
        return 0
    return 8 * shape["filter_height"] * shape["filter_width"]


def is_column(params: Mapping[str, int], shape: Mapping[str, int]) -> bool:
    """Whether every window of a CONV_2D lies in the input as one dense run (fast_is_column)."""
    dense = shape["filter_width"] == 1 or params["dilation_width"] == 1
    joined = shape["filter_height"] == 1 or (
        params["dilation_height"] == 1 and shape["filter_width"] == shape["input_width"]
    )
    return dense and joined and _lies_inside(params, shape)


def is_wide(shape: Mapping[str, int]) -> bool:
    """Whether the DSP kernel of CONV_2D works on four pixels at a time."""
    return _wide_bytes(shape) <= _DSP_WIDE_LIMIT


def _wide_bytes(shape: Mapping[str, int]) -> int:
    """Four columns of 16-bit values, beside a long one of bytes where channels are not whole words."""
    column = _column_bytes(shape)
    return 8 * column + (column if shape["input_channels"] % 4 and column > _DSP_SHORT_COLUMN else 0)


def _column_bytes(shape: Mapping[str, int]) -> int:
    """One window as bytes, in whole words."""
    return (shape["filter_height"] * shape["filter_width"] * shape["input_channels"] + 3) // 4 * 4


def _lies_inside(params: Mapping[str, int], shape: Mapping[str, int]) -> bool:
    """Whether no window hangs over an edge of the input."""
    return all(
        params[pad] == 0
        and (shape[f"output_{axis}"] - 1) * params[f"stride_{axis}"]
        + (shape[f"filter_{axis}"] - 1) * params[f"dilation_{axis}"]
        < shape[f"input_{axis}"]
        for axis, pad in (("height", "pad_top"), ("width", "pad_left"))
    )
