"""Fixtures of the plan runtime's tests: the compiled runtime, and valid plans of every op."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UnsupportedError
from harness.tflite.plan import make_plan
from tests.support.fixtures_session import MakeOnce
from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.plan_builder import OPS
from tests.support.plan_kernels import PlanKernels
from tests.support.plan_runtime import LIBRARY, HostRuntime, build_runtime
from tests.support.wide_cases import WIDE_GENERATORS, make_wide_cases

#: how a plan of one node may be laid out
LAYOUTS = ({}, {"output_first": True, "fast": True}, {"in_place": True})


@pytest.fixture(scope="session")
def plan_library(make_once: MakeOnce) -> Path:
    return make_once("plan-runtime", build_runtime) / LIBRARY


@pytest.fixture
def plan_runtime(plan_library: Path) -> HostRuntime:
    return HostRuntime(plan_library)


def flip_sign(kernels: PlanKernels) -> None:
    """The one op that no case of the kernel tests calls by itself."""
    values = np.arange(37, dtype=np.uint8)
    output = np.empty(37, np.int8)
    kernels.call("kn_flip_sign", values.size, values, output)
    assert output.tolist() == [int(value) - 128 for value in values]


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
    # Ops without a kernel test of their own: plans that the planner makes.
    for name in WIDE_GENERATORS:
        for case in make_wide_cases(name, 4 * cases, seed=3):
            with contextlib.suppress(UnsupportedError):
                keep(make_plan(case.model).data)
    return found


@pytest.fixture(scope="session")
def plans(plan_library: Path) -> dict[str, bytes]:
    """A valid plan of one node for every op."""
    return {op: max(found, key=len) for op, found in valid_plans(plan_library, 8).items()}
