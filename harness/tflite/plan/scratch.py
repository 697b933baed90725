"""How much scratch memory the fast kernels want: `fast_*_scratch` of devices/cortex_m/kernels/fast.h in Python.

The host plans the arena for one kernel set; the firmware asks the same question in C and takes the portable kernel where the
plan gives less. The two must agree: too little costs speed, too much costs memory, neither changes an output.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.tflite.plan.base import KernelSet

#: fast_dsp_conv.c: more scratch than this is not worth the speed
_DSP_WIDE_LIMIT = 8192


def conv_2d_scratch(kernels: KernelSet, params: Mapping[str, int], shape: Mapping[str, int]) -> int:
    """Bytes of scratch for one CONV_2D, a multiple of 4.

    Args:
        kernels: the build of the firmware.
        params: kn_conv_params by field names.
        shape: kn_conv_shape by field names.
    """
    if kernels == "portable" or shape["filter_channels"] != shape["input_channels"]:
        return 0
    column = _column_bytes(shape, shape["input_channels"])
    is_column = shape["filter_height"] == shape["filter_width"] == 1 and _lies_inside(params, shape)
    narrow = 0 if is_column else column
    if kernels == "mve":
        return narrow
    # Four columns of 16-bit values, beside one of bytes where channels are not whole words.
    wide = 8 * column + (column if shape["input_channels"] % 4 else 0)
    return wide if wide <= _DSP_WIDE_LIMIT else narrow


def depthwise_conv_2d_scratch(kernels: KernelSet, params: Mapping[str, int], shape: Mapping[str, int]) -> int:
    """Bytes of scratch for one DEPTHWISE_CONV_2D, a multiple of 4; arguments as above."""
    if kernels == "portable":
        return 0
    if _lies_inside(params, shape) and shape["filter_channels"] == 1 and params["dilation_width"] == 1:
        return 0
    return _column_bytes(shape, shape["output_channels"])


def _column_bytes(shape: Mapping[str, int], channels: int) -> int:
    """One window as bytes, in whole words."""
    return (shape["filter_height"] * shape["filter_width"] * channels + 3) // 4 * 4


def _lies_inside(params: Mapping[str, int], shape: Mapping[str, int]) -> bool:
    """Whether no window hangs over an edge of the input."""
    return all(
        params[pad] == 0
        and (shape[f"output_{axis}"] - 1) * params[f"stride_{axis}"]
        + (shape[f"filter_{axis}"] - 1) * params[f"dilation_{axis}"]
        < shape[f"input_{axis}"]
        for axis, pad in (("height", "pad_top"), ("width", "pad_left"))
    )
