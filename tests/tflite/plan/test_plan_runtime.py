"""The plan runtime runs what the kernels compute, in any layout of the arena, and keeps to its interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.tflite.plan import make_plan
from tests.support.fixtures_plan import LAYOUTS, flip_sign, state_plans
from tests.support.float_cases import FLOAT_GENERATORS, make_float_cases
from tests.support.float_state import float_state_plans
from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.kernels_abi import Kernels, struct
from tests.support.plan_builder import NONE, OPS, PlanBuilder
from tests.support.plan_kernels import PlanKernels
from tests.support.plan_runtime import NO_NODE, RUN_FAILED, HostRuntime, PlanRefusedError
from tests.support.wide_cases import every_generator, make_wide_cases

_CASES = 60


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "+".join(layout) or "output-last")
def test_a_plan_of_one_node_computes_what_its_kernel_computes(layout: dict, plan_library: Path) -> None:
    direct, planned = Kernels(plan_library), PlanKernels(plan_library, **layout)
    for name in GENERATORS:
        for case in make_cases(name, _CASES, seed=11):
            assert case.run(planned).tobytes() == case.run(direct).tobytes(), f"{name}: {case.text}"
    flip_sign(planned)


def test_the_random_cases_reach_every_op(plan_library: Path) -> None:
    seen = set()
    kernels = PlanKernels(plan_library, keep=lambda plan: seen.add(plan[int.from_bytes(plan[20:24], "little")]))
    for name in GENERATORS:
        make_cases(name, 1)[0].run(kernels)
    flip_sign(kernels)
    for name in every_generator():
        for case in make_wide_cases(name, 3):
            plan = make_plan(case.model).data
            seen.add(plan[int.from_bytes(plan[20:24], "little")])
    for name in FLOAT_GENERATORS:
        for one in make_float_cases(name, 3):
            plan = make_plan(one.case.model).data
            seen.add(plan[int.from_bytes(plan[20:24], "little")])
    for plan in (*state_plans(np.random.default_rng(0)), *float_state_plans(np.random.default_rng(0))):
        seen.add(plan[int.from_bytes(plan[20:24], "little")])
    assert seen == set(OPS.values())


def test_every_op_of_plan_h_is_announced(plan_runtime: HostRuntime) -> None:
    assert plan_runtime.ops == sum(1 << number for number in OPS.values())
    assert plan_runtime.name == "plan 1"


def _chain() -> bytes:
    """uint8 -> int8 -> table -> in place negative part cut -> uint8, two inputs, two outputs, an intermediate one among them."""
    plan = PlanBuilder()
    first, second, middle = plan.arena(8), plan.arena(8), plan.arena(8)
    doubled = plan.constant(np.clip(2 * np.arange(-128, 128), -128, 127).astype(np.int8))
    rank1 = struct("kn_broadcast", rank=1, dims=[8], strides1=[1], strides2=[1])
    plan.node("FLIP_SIGN", first, first, 8)
    plan.node("LOOKUP", first, middle, 8, doubled)
    plan.node("MAXIMUM", middle, second, middle, rank1)
    plan.node("COPY", middle, first, 8)
    plan.node("FLIP_SIGN", first, first, 8)
    plan.input(first, "uint8", 8)
    plan.input(second, "int8", 8)
    plan.output(first, "uint8", 8)
    plan.output(middle, "int8", 8)
    return plan.build()


def test_nodes_run_one_after_the_other_and_again_from_new_inputs(plan_runtime: HostRuntime) -> None:
    plan_runtime.load(_chain())
    assert plan_runtime.arena_used == 24
    for seed in range(3):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, 256, 8, np.uint8), rng.integers(-128, 128, 8).astype(np.int8)
        expected = np.maximum(np.clip(2 * (a.astype(int) - 128), -128, 127), b).astype(np.int8)
        bytes_out, int8_out = plan_runtime.run([a, b])
        assert int8_out.tolist() == expected.tolist()
        assert bytes_out.tolist() == (expected.astype(int) + 128).tolist()


def test_a_plan_without_nodes_hands_its_input_through(plan_runtime: HostRuntime) -> None:
    plan = PlanBuilder(arena_bytes=4)
    plan.input(0, "float32", 1)
    plan.output(0, "float32", 1)
    plan_runtime.load(plan.build())
    assert plan_runtime.run([np.array([2.5], np.float32)])[0].tolist() == [2.5]


def test_a_weighted_op_needs_neither_bias_nor_fast_operands(plan_runtime: HostRuntime) -> None:
    plan = PlanBuilder()
    source, target = plan.arena(4), plan.arena(4)
    weights, multiplier, shift = (
        plan.constant(np.array(v, t))
        for v, t in (([1, 2, 3, 4, 0, 0, 0, 1], np.int8), ([1 << 30], np.int32), ([1], np.int32))
    )
    params = struct(
        "kn_fully_connected_params",
        batches=1,
        inputs=4,
        outputs=2,
        input_offset=0,
        weights_offset=0,
        output_offset=0,
        activation_min=-128,
        activation_max=127,
        rounding=0,
    )
    plan.node("FULLY_CONNECTED", source, weights, NONE, NONE, multiplier, shift, NONE, target, 0, 0, params)
    plan.input(source, "int8", 4)
    plan.output(target, "int8", 2)
    plan_runtime.load(plan.build())
    assert plan_runtime.run([np.array([1, -1, 2, 5], np.int8)])[0].tolist() == [25, 5]


def test_nothing_is_loaded_after_unload_or_after_a_refusal(plan_runtime: HostRuntime) -> None:
    plan_runtime.load(_chain())
    plan_runtime.unload()
    assert plan_runtime.arena_used == 0
    plan_runtime.load(_chain())
    with pytest.raises(PlanRefusedError):
        plan_runtime.load(_chain()[:-4])
    assert plan_runtime.arena_used == 0
    with pytest.raises(PlanRefusedError, match="no plan is loaded") as refused:
        plan_runtime.run([])
    assert (refused.value.code, refused.value.node) == (RUN_FAILED, NO_NODE)
