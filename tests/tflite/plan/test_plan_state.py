"""Plans that keep values from one inference to the next: SVDF and LSTM against tflite-runtime 2.14.0, and what a reset does.

HARNESS_KERNEL_CASES=2000 runs that many random models instead of the quick set.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from harness.tflite.plan import check, dump, make_plan, read_plan
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.kernel_cases import Case
from tests.support.lstm_models import lstm, lstm_16
from tests.support.plan_runtime import HostRuntime
from tests.support.svdf_models import running_sum, svdf

_CASES, _STEPS = 60, 9


_MAKERS = {"SVDF": svdf, "LSTM": lstm}
#: and that of test_plan_micro.py
_ALL_MAKERS = {**_MAKERS, "LSTM_16": lstm_16}


def _cases(op: str) -> list[Case]:
    rng = np.random.default_rng(4)
    return [_ALL_MAKERS[op](rng, _STEPS) for _ in range(int(os.environ.get("HARNESS_KERNEL_CASES", _CASES)))]


def _sequence(runtime: HostRuntime, case: Case) -> np.ndarray:
    return np.stack([runtime.run([values])[0] for values in case.inputs[0]])


@pytest.mark.parametrize("op", _MAKERS)
def test_it_gives_the_same_bytes_at_every_step(
    op: str, plan_runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    cases, problems = _cases(op), []
    for case, expected in zip(cases, reference_runtime.run(cases, steps=_STEPS), strict=True):
        assert not isinstance(expected, str), expected
        plan_runtime.load(make_plan(case.model).data)
        first = _sequence(plan_runtime, case)
        plan_runtime.reset()
        if not (first.tobytes() == expected.tobytes() == _sequence(plan_runtime, case).tobytes()):
            problems.append(case.text)
    assert not problems, f"{len(problems)} of {len(cases)}: {problems[:5]}"


@pytest.mark.parametrize("op", _ALL_MAKERS)
def test_without_a_reset_the_next_sequence_starts_from_the_last_one(op: str, plan_runtime: HostRuntime) -> None:
    """The same inputs twice give other outputs in some of the cases, and the same after a reset in all of them."""
    differ = 0
    for case in _cases(op):
        plan_runtime.load(make_plan(case.model).data)
        differ += _sequence(plan_runtime, case).tobytes() != _sequence(plan_runtime, case).tobytes()
    assert differ > 20


@pytest.mark.parametrize("op", _ALL_MAKERS)
def test_the_memory_of_a_state_belongs_to_nothing_else(op: str) -> None:
    for case in _cases(op)[:20]:
        plan = make_plan(case.model)
        (state,) = (span for span in plan.tensors if span.role == "state")
        assert (state.first, state.last) == (-1, len(plan.ops))
        assert read_plan(plan.data).reset_nodes == 1
        assert [op.op for op in plan.ops] == ["FILL", op]
        assert dump(plan).count("at a reset only") == 1
        for other in plan.tensors:
            apart = other.offset + other.size_bytes <= state.offset or state.offset + state.size_bytes <= other.offset
            assert other is state or apart


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_variable_gives_what_the_reference_gives_at_every_step(
    dtype: str, plan_runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    values = np.random.default_rng(2).integers(-12, 13, (_STEPS, 1, 4)).astype(dtype)
    case = Case(op="variable", text=dtype, model=running_sum(dtype), inputs=(values,), run=lambda _kernels: values)
    (expected,) = reference_runtime.run([case], steps=_STEPS)
    assert not isinstance(expected, str), expected
    plan_runtime.load(make_plan(case.model).data)
    first = _sequence(plan_runtime, case)
    carried = _sequence(plan_runtime, case)
    plan_runtime.reset()
    assert first.tobytes() == expected.tobytes() == _sequence(plan_runtime, case).tobytes()
    assert carried.tobytes() != first.tobytes()
    assert [op.op for op in make_plan(case.model).ops] == [
        "ASSIGN",
        "COPY",
        "ADD" if dtype == "int8" else "ADD_16",
        "ASSIGN",
    ]


def test_a_variable_without_a_first_value_is_refused_with_what_to_do() -> None:
    reasons = check(running_sum(first=False))
    assert [reason.op for reason in reasons] == ["READ_VARIABLE", "ASSIGN_VARIABLE"]
    assert "'/sum' has no first value" in str(reasons[0]) and "start from constants" in str(reasons[0])
