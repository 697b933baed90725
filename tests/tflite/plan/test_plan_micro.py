"""16-bit ops that only TensorFlow Lite Micro has: the firmware's runtime against its interpreter, bit for bit.

HARNESS_KERNEL_CASES=2000 runs that many random models per op instead of the quick set.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from harness.tflite.plan import make_plan
from tests.support.cases_16 import MICRO_16
from tests.support.lstm_models import lstm_16
from tests.support.micro_runtime import MicroRuntime
from tests.support.plan_runtime import HostRuntime
from tests.support.wide_cases import make_wide_cases

_CASES, _STEPS = int(os.environ.get("HARNESS_KERNEL_CASES", 60)), 9


@pytest.mark.parametrize("name", sorted(MICRO_16))
def test_random_models_of_one_op_give_the_same_bytes(
    name: str, plan_runtime: HostRuntime, micro_runtime: MicroRuntime
) -> None:
    cases, problems = make_wide_cases(name, _CASES), []
    for case, expected in zip(cases, micro_runtime.run(cases), strict=True):
        assert not isinstance(expected, str), f"{case.text}: {expected}"
        plan_runtime.load(make_plan(case.model).data)
        if plan_runtime.run(case.inputs)[0].tobytes() != expected.tobytes():
            problems.append(case.text)
    assert not problems, f"{len(problems)} of {len(cases)}: {problems[:5]}"


def test_an_lstm_gives_the_same_bytes_at_every_step(plan_runtime: HostRuntime, micro_runtime: MicroRuntime) -> None:
    rng, problems = np.random.default_rng(4), []
    cases = [lstm_16(rng, _STEPS) for _ in range(_CASES)]
    for case, expected in zip(cases, micro_runtime.run(cases, steps=_STEPS), strict=True):
        assert not isinstance(expected, str), f"{case.text}: {expected}"
        plan_runtime.load(make_plan(case.model).data)
        first = _sequence(plan_runtime, case.inputs[0])
        plan_runtime.reset()
        if not (first.tobytes() == expected.tobytes() == _sequence(plan_runtime, case.inputs[0]).tobytes()):
            problems.append(case.text)
    assert not problems, f"{len(problems)} of {len(cases)}: {problems[:5]}"


def _sequence(runtime: HostRuntime, inputs: np.ndarray) -> np.ndarray:
    return np.stack([runtime.run([values])[0] for values in inputs])
