"""Damaged models: the planner answers with an error of the harness, or with a plan that the firmware's own validation takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import HarnessError
from harness.tflite.plan import make_plan, read_plan
from tests.support import plan_models
from tests.support.kernel_catalog import GENERATORS, make_cases
from tests.support.lstm_models import lstm, lstm_16
from tests.support.plan_runtime import HostRuntime
from tests.support.svdf_models import svdf
from tests.support.wide_cases import every_generator, make_wide_cases

_DAMAGED = 1500
_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 128, 255, 65536)


@pytest.fixture(scope="module")
def runtime(plan_library: Path) -> HostRuntime:
    return HostRuntime(plan_library)


def _damage(model: bytes, rng: np.random.Generator) -> bytes:
    """One to three bytes, bits or aligned words changed."""
    data = bytearray(model)
    for _ in range(int(rng.integers(1, 4))):
        at, kind = int(rng.integers(len(data))), rng.random()
        if kind < 0.5:
            data[at] = int(rng.integers(256))
        elif kind < 0.8:
            data[at] ^= 1 << int(rng.integers(8))
        else:
            at = at // 4 * 4
            data[at : at + 4] = int(rng.choice(_NUMBERS)).to_bytes(4, "little", signed=True)
    return bytes(data)


def test_a_damaged_model_is_an_error_or_a_plan_that_the_runtime_takes(runtime: HostRuntime) -> None:
    rng = np.random.default_rng(12)
    models = [case.model for name in GENERATORS for case in make_cases(name, 2, seed=9)]
    models += [case.model for name in every_generator() for case in make_wide_cases(name, 1, seed=9)]
    models += [make(np.random.default_rng(seed), 1).model for make in (svdf, lstm, lstm_16) for seed in range(2)]
    models += [case.network.model() for name in plan_models.GENERATORS for case in plan_models.make_networks(name, 2)]
    seen: Counter[str] = Counter()
    for _ in range(_DAMAGED):
        try:
            plan = make_plan(_damage(models[int(rng.integers(len(models)))], rng), "dsp")
        except HarnessError as error:
            seen[type(error).__name__] += 1
            continue
        runtime.load(plan.data)
        runtime.run([np.zeros(entry.elements, entry.dtype) for entry in read_plan(plan.data).inputs])
        seen["plan"] += 1
    assert min(seen[name] for name in ("plan", "UserInputError", "PlanUnsupported")) > 40, seen
