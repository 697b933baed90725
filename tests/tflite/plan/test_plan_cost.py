"""The planner's choice among lowerings is the one that counts least on the core that it is for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.bench_kernels import Layer, count_layers
from harness.tflite.plan.base import KernelSet
from harness.tflite.plan.cost import conv_2d_cost, depthwise_conv_2d_cost, fully_connected_cost
from tests.support.bare_metal_build import BOARDS

#: pairs of layers that give the same outputs
_PAIRS = [
    (Layer("depthwise", 1, 8, 49, 40, 10, 8, 2), Layer("conv", 1, 8, 49, 40, 10, 8, 2)),
    (Layer("depthwise", 1, 32, 12, 12, 3, 3), Layer("conv", 1, 32, 12, 12, 3, 3)),
    (Layer("conv", 200, 64), Layer("dense", 200, 64)),
    (Layer("conv", 64, 10), Layer("dense", 64, 10)),
]
_CORES: dict[str, KernelSet] = {"cortex-m3": "portable", "cortex-m4": "dsp", "cortex-m55": "mve"}


def _estimate(kernels: KernelSet, layer: Layer) -> float:
    if layer.kind == "dense":
        return fully_connected_cost(kernels, 1, layer.channels, layer.outputs)
    height, width = layer.output_size
    shape = {
        "batches": 1,
        "input_height": layer.height,
        "input_width": layer.width,
        "input_channels": layer.channels,
        "filter_height": layer.filter_height,
        "filter_width": layer.filter_width,
        "filter_channels": layer.outputs // layer.channels if layer.kind == "depthwise" else layer.channels,
        "output_height": height,
        "output_width": width,
        "output_channels": layer.outputs,
    }
    pads = dict.fromkeys(("pad_top", "pad_left"), int(layer.filter_height > 1))
    params = {**pads, **dict.fromkeys(("dilation_height", "dilation_width"), 1)}
    params.update(dict.fromkeys(("stride_height", "stride_width"), layer.stride))
    if layer.kind == "depthwise":
        return depthwise_conv_2d_cost(kernels, shape)
    return conv_2d_cost(kernels, params, shape)


@pytest.mark.parametrize("core", _CORES)
def test_the_estimate_orders_two_ways_as_their_counts_do(core: str, tmp_path: Path) -> None:
    layers = [layer for pair in _PAIRS for layer in pair]
    counts = [count.best for count in count_layers(BOARDS[core], layers, tmp_path)]
    for index in range(0, len(layers), 2):
        estimates = [_estimate(_CORES[core], layer) for layer in layers[index : index + 2]]
        real = counts[index : index + 2]
        # Where the two hardly differ, either choice is good.
        close = max(real) < 1.15 * min(real)
        assert close or (estimates[0] < estimates[1]) == (real[0] < real[1]), (core, layers[index], estimates, real)
        for estimate, count in zip(estimates, real, strict=True):
            assert abs(math.log(estimate / count)) < math.log(1.5), (core, layers[index], estimates, real)
