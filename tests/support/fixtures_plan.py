"""Fixtures of the plan runtime's tests: the compiled runtime, and valid plans of every op."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.plan import make_plan
from tests.support.fixtures_session import MakeOnce
from tests.support.float_cases import FLOAT_GENERATORS, OF_ONE_OP, make_float_cases
from tests.support.float_state import float_state_plans
from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.kernels_abi import struct
from tests.support.lstm_models import lstm_16_plan, lstm_plan
from tests.support.micro_runtime import MicroRuntime
from tests.support.plan_builder import NONE, OPS, PlanBuilder
from tests.support.plan_kernels import PlanKernels
from tests.support.plan_runtime import LIBRARY, HostRuntime, build_runtime
from tests.support.wide_cases import every_generator, make_wide_cases

#: the first op of plan_more.h
_RARER = 33
#: how a plan of one node may be laid out
LAYOUTS = ({}, {"output_first": True, "fast": True}, {"in_place": True})


@pytest.fixture(scope="session")
def plan_library(make_once: MakeOnce) -> Path:
    return make_once("plan-runtime", build_runtime) / LIBRARY


@pytest.fixture
def plan_runtime(plan_library: Path) -> HostRuntime:
    return HostRuntime(plan_library)


@pytest.fixture(scope="session")
def micro_runtime() -> Iterator[MicroRuntime]:
    """A third oracle, for what the other two do not have."""
    runtime = MicroRuntime()
    yield runtime
    runtime.close()


def flip_sign(kernels: PlanKernels) -> None:
    """The one op that no case of the kernel tests calls by itself."""
    values = np.arange(37, dtype=np.uint8)
    output = np.empty(37, np.int8)
    kernels.call("kn_flip_sign", values.size, values, output)
    assert output.tolist() == [int(value) - 128 for value in values]


def state_plans(rng: np.random.Generator) -> tuple[bytes, ...]:
    """FILL, ASSIGN, SVDF of both memories, LSTM and LSTM_16, each as a plan of one node: the planner makes them together."""
    fill = PlanBuilder()
    count = int(rng.integers(1, 50))
    fill.node("FILL", place := fill.arena(count), count, int(rng.integers(-128, 128)))
    fill.output(place, "int8", count)
    assign = PlanBuilder()
    assign.node("ASSIGN", source := assign.arena(count), target := assign.arena(count), count)
    assign.input(source, "int8", count)
    assign.output(target, "int8", count)
    return fill.build(), assign.build(), svdf_plan(rng), svdf_plan(rng, np.int8), lstm_plan(rng), lstm_16_plan(rng)


def svdf_plan(rng: np.random.Generator, memory_dtype: type = np.int16) -> bytes:
    """SVDF as a plan of one node."""
    item = np.dtype(memory_dtype).itemsize
    svdf = PlanBuilder()
    batches, inputs, units, rank, memory = (int(n) for n in rng.integers(1, 5, 5))
    filters = units * rank
    source, state = svdf.arena(batches * inputs), svdf.arena(item * batches * filters * memory)
    target = svdf.arena(batches * units)
    params = struct(
        "kn_svdf_params",
        batches=batches,
        inputs=inputs,
        filters=filters,
        rank=rank,
        memory=memory,
        input_offset=int(rng.integers(-127, 129)),
        output_offset=int(rng.integers(-128, 128)),
        multiplier1=int(rng.integers(1 << 30, 1 << 31)),
        shift1=int(rng.integers(-8, 3)),
        multiplier2=int(rng.integers(1 << 30, 1 << 31)),
        shift2=int(rng.integers(-16, 0)),
    )
    svdf.node(
        "SVDF" if item == 2 else "SVDF_8",
        source,
        state,
        svdf.constant(rng.integers(-127, 128, (filters, inputs)).astype(np.int8)),
        svdf.constant(rng.integers(-127, 128, (filters, memory)).astype(memory_dtype)),
        svdf.constant(rng.integers(-(2**20), 2**20, units).astype(np.int32)) if rng.random() < 0.7 else NONE,
        target,
        params,
        *([] if item == 2 else [int(rng.integers(-128, 128))]),
    )
    svdf.input(source, "int8", batches * inputs)
    svdf.output(target, "int8", batches * units)
    return svdf.build()


def valid_plans(library: Path, cases: int, generators: Iterable[str] = tuple(GENERATORS)) -> dict[str, list[bytes]]:
    """Plans of one node by op: `cases` random ones of each generator, in every layout."""
    found: dict[str, list[bytes]] = {op: [] for op in OPS}
    names = {number: op for op, number in OPS.items()}

    def keep(plan: bytes) -> None:
        node = int.from_bytes(plan[20:24], "little")
        found[names[int.from_bytes(plan[node : node + 2], "little")]].append(plan)

    for layout in LAYOUTS:
        kernels = PlanKernels(library, keep=keep, **layout)
        for name in generators:
            for case in make_cases(name, cases, seed=3):
                case.run(kernels)
        for _ in range(cases):
            flip_sign(kernels)
    for case in range(cases):
        for plan in state_plans(np.random.default_rng(case)):
            keep(plan)
    # Ops without a kernel test of their own: plans that the planner makes.
    covered = {op for op, made in found.items() if made}
    for name in every_generator():
        for case in make_wide_cases(name, 4 * cases, seed=3):
            with contextlib.suppress(UnsupportedError):
                plan = make_plan(case.model)
                if len(plan.ops) == 1 and plan.ops[0].op not in covered:
                    keep(plan.data)
    for name in FLOAT_GENERATORS:
        for one in make_float_cases(name, cases // 3 if name in OF_ONE_OP else 2 * cases, seed=3):
            plan = make_plan(one.case.model)
            if len(plan.ops) == 1 and plan.ops[0].op not in covered:
                keep(plan.data)
    for case in range(cases):
        for plan in float_state_plans(np.random.default_rng(case)):
            keep(plan)
    return found


@pytest.fixture(scope="session")
def plans(plan_library: Path) -> dict[str, bytes]:
    """A valid plan of one node for every op."""
    found = valid_plans(plan_library, 8)
    return {op: max(made, key=len if OPS[op] < _RARER else _size) for op, made in found.items()}


def _size(plan: bytes) -> tuple[int, int]:
    """Bytes of the plan, and of its arena: in a large one, a place that is wrong is outside, or on another tensor."""
    return len(plan), int.from_bytes(plan[12:16], "little")
