"""How much scratch memory the fast kernels want: `fast_*_scratch` of devices/cortex_m/kernels/fast.h in Python.

The host plans the arena for one kernel set; the firmware asks the same question in C and takes the portable kernel where the
plan gives less. The two must agree: too little costs speed, too much costs memory, neither changes an output.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.tflite.plan.base import KernelSet


def conv_2d_scratch(kernels: KernelSet, params: Mapping[str, int], shape: Mapping[str, int]) -> int:
    """Bytes of scratch for one CONV_2D, a multiple of 4.

    Args:
        kernels: the build of the firmware.
        params: kn_conv_params by field names.
        shape: kn_conv_shape by field names.
    """
    return 0


def depthwise_conv_2d_scratch(kernels: KernelSet, params: Mapping[str, int], shape: Mapping[str, int]) -> int:
    """Bytes of scratch for one DEPTHWISE_CONV_2D, a multiple of 4; arguments as above."""
    return 0
