"""Weights of 4 bits stay packed in the plan: half the bytes, and the outputs of the same weights stored as int8.

HARNESS_KERNEL_CASES=2000 is the long run.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.graph import read_graph
from harness.tflite.plan import KERNEL_SETS, int4, make_plan, read_plan
from harness.tflite.plan.int4 import BLOCK, choose_packing, pack
from tests.support import tiny_model
from tests.support.int4_models import twins
from tests.support.kernel_catalog import make_cases
from tests.support.plan_runtime import HostRuntime

_CASES = int(os.environ.get("HARNESS_KERNEL_CASES", 60))


def _unpacked(packed: np.ndarray) -> np.ndarray:
    halves = packed.reshape(-1, BLOCK // 2)
    return np.concatenate([(halves << 4).view(np.int8) >> 4, halves.view(np.int8) >> 4], axis=1).reshape(-1)


def test_packing_keeps_every_weight_and_fills_each_run_up_to_whole_blocks() -> None:
    weights = np.random.default_rng(1).integers(-8, 8, (5, 3, 3, 7)).astype(np.int8)
    packed = pack(weights, 2 * 63)
    assert packed.nbytes == 2 * 64 + 32
    runs = [*_unpacked(packed[:128]).reshape(2, 128)[:, :126], _unpacked(packed[128:])[:63]]
    assert np.concatenate(runs).tolist() == weights.reshape(-1).tolist()
    assert set(weights.reshape(-1).tolist()) == set(range(-8, 8))


@pytest.mark.parametrize(("channels", "taps", "pixels"), [(8, 9, 100), (64, 576, 64), (128, 640, 1), (32, 288, 9216)])
def test_channels_are_unpacked_at_once_where_scratch_memory_is_small(channels: int, taps: int, pixels: int) -> None:
    packing = choose_packing(channels, taps, pixels, whole=False)
    whole = choose_packing(channels, taps, pixels, whole=True)
    assert whole.at_once == channels and whole.scratch_bytes >= channels * taps
    assert packing.scratch_bytes <= max(8192, min(whole.scratch_bytes, 4 * (taps + pixels) + BLOCK))
    assert packing.at_once == channels or packing.at_once % 4 == 0


@pytest.mark.parametrize("limit", [8192, 64], ids=["at once", "in parts"])
@pytest.mark.parametrize("name", ["conv", "depthwise", "fully_connected"])
def test_random_models_give_the_same_bytes_as_with_int8_weights(
    name: str, limit: int, plan_runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int4, "_SCRATCH_LIMIT", limit)
    compared, parts = 0, set()
    for index, case in enumerate(one for one in make_cases(name, 2 * _CASES, seed=9) if one.dtype == "int8"):
        kernels = KERNEL_SETS[index % 3]  # the host runs the portable ones whatever scratch and biases there are
        pair = twins(case.model)
        results = []
        for model in (pair.int8, pair.int4):
            plan = make_plan(model, kernels)
            plan_runtime.load(plan.data)
            results.append(plan_runtime.run(case.inputs)[0].tobytes())
        assert [op.op[-2:] for op in plan.ops if op.op != "COPY"] == ["_4"], case.text
        assert results[0] == results[1], case.text
        compared += 1
        fields = read_plan(plan.data).nodes[0].fields
        channels = fields["outputs"] if "outputs" in fields else fields["output_channels"]
        parts.add(fields["at_once"] != channels)
    assert compared >= _CASES // 2
    assert parts == ({True, False} if limit == 64 and name != "depthwise" else {False})


def test_a_model_of_int4_takes_half_the_flash(plan_runtime: HostRuntime) -> None:
    pair = twins(tiny_model.mnist_cnn())
    whole, packed = make_plan(pair.int8), make_plan(pair.int4)
    graph = read_graph(pair.int8)
    weights = sum(graph.tensors[node.inputs[1]].data().nbytes for node in graph.nodes if node.op in WEIGHTED_OPS)
    assert weights / 2 - 1000 < whole.constants_bytes - packed.constants_bytes <= weights / 2
    sample = np.random.default_rng(3).integers(-128, 128, (1, 28, 28, 1)).astype(np.int8)
    outputs = []
    for plan in (whole, packed):
        plan_runtime.load(plan.data)
        outputs.append(plan_runtime.run([sample])[0].tolist())
    assert outputs[0] == outputs[1] and len(set(outputs[0])) > 2
