"""Which memory of a plan's nodes may overlap: inputs, outputs and scratch, per op."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support import kernels_abi
from tests.support.plan_builder import NONE, PlanBuilder
from tests.support.plan_fields import COUNTED, ONE_INPUT, changed_plan, refusal
from tests.support.plan_runtime import (
    HostRuntime,
)


def _two_inputs(
    second: int, op: str = "ADD", dims: tuple[int, int] = (2, 3), strides: tuple[int, int] = (3, 1), output: int = 0
) -> bytes:
    """input1 and the output at 0, 6 elements each, input2 at `second`."""
    plan = PlanBuilder(arena_bytes=32)
    broadcast = kernels_abi.struct("kn_broadcast", rank=2, dims=dims, strides1=strides, strides2=(3, 1))
    params = kernels_abi.struct(
        "kn_add_params",
        left_shift=20,
        input1_offset=0,
        input1_multiplier=1 << 30,
        input1_shift=0,
        input2_offset=0,
        input2_multiplier=1 << 30,
        input2_shift=0,
        output_offset=0,
        output_multiplier=1 << 30,
        output_shift=-18,
        activation_min=-128,
        activation_max=127,
        rounding=0,
    )
    plan.node(op, 0, second, output, broadcast, *([params] if op in ("ADD", "SUB") else []))
    plan.output(0, "int8", 6)
    return plan.build()


@pytest.mark.parametrize("op", ["ADD", "SUB", "MAXIMUM", "MINIMUM"])
def test_a_pair_may_overwrite_an_input_that_is_not_repeated_and_no_other(op: str, plan_runtime: HostRuntime) -> None:
    plan_runtime.load(_two_inputs(8, op))
    plan_runtime.load(_two_inputs(0, op))
    for plan in (
        _two_inputs(8, op, strides=(0, 1)),
        _two_inputs(8, op, strides=(1, 2)),
        _two_inputs(4, op),
        _two_inputs(8, op, output=1),
        _two_inputs(8, op, output=5),
        _two_inputs(8, op, output=9),
    ):
        assert "overlaps an input where its op does not allow it" in refusal(plan_runtime, plan).text


@pytest.mark.parametrize("op", sorted(ONE_INPUT))
def test_an_output_lies_on_its_input_only_where_the_kernel_allows_it(
    op: str, plans: dict[str, bytes], plan_runtime: HostRuntime
) -> None:
    same = changed_plan(plans[op], op, {"input": 0, "output": 0})
    shifted = changed_plan(
        plans[op], op, {"input": 0, "output": 4, "count": 5} if op in COUNTED else {"input": 0, "output": 4}
    )
    # Element by element, each written after it was read, and of one size.
    in_place = op in ("LEAKY_RELU_16", "LOOKUP_16", "SIGMOID_16", "SQRT_16") or (
        op in COUNTED and op not in ("QUANTIZE", "DEQUANTIZE")
    )
    if not in_place:
        assert "overlaps an input" in refusal(plan_runtime, same).text
    else:
        plan_runtime.load(same)
    if op != "COPY":
        assert re.search("overlaps an input|inside the arena", refusal(plan_runtime, shifted).text)


def test_a_copy_may_overlap_its_input_anyhow(plan_runtime: HostRuntime) -> None:
    plan = PlanBuilder(arena_bytes=12)
    plan.input(0, "int8", 8)
    plan.node("COPY", 0, 4, 8)
    plan.output(4, "int8", 8)
    plan_runtime.load(plan.build())
    assert plan_runtime.run([np.arange(8, dtype=np.int8)])[0].tolist() == list(range(8))


def test_scratch_keeps_clear_of_input_and_output(plan_runtime: HostRuntime) -> None:
    def plan(scratch: int) -> bytes:
        made = PlanBuilder(arena_bytes=24)
        weights, table = made.constant(np.ones(8, np.int8)), made.constant(np.zeros(1, np.int32))
        params = kernels_abi.struct(
            "kn_fully_connected_params",
            batches=1,
            inputs=8,
            outputs=1,
            input_offset=0,
            weights_offset=0,
            output_offset=0,
            activation_min=-128,
            activation_max=127,
            rounding=0,
        )
        made.node("FULLY_CONNECTED", 0, weights, NONE, NONE, table, table, scratch, 8, 8, 0, params)
        made.output(8, "int8", 1)
        return made.build()

    plan_runtime.load(plan(12))
    assert "scratch memory overlaps an input" in refusal(plan_runtime, plan(0)).text
    assert "scratch memory overlaps the output" in refusal(plan_runtime, plan(8)).text
    assert "multiple of 4" in refusal(plan_runtime, plan(13)).text
