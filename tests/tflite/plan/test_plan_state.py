"""Plans that keep values from one inference to the next: SVDF and LSTM against tflite-runtime 2.14.0, and what a reset does.

HARNESS_KERNEL_CASES=2000 runs that many random models instead of the quick set.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from harness.tflite.cut.tree import read_tree, write_tree
from harness.tflite.plan import check, dump, make_plan, read_plan
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.kernel_cases import Case
from tests.support.lstm_models import lstm, lstm_16
from tests.support.plan_runtime import HostRuntime
from tests.support.svdf_models import running_sum, svdf, svdf_8_outputs

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


@pytest.mark.parametrize(
    ("place", "what"), [(9, "peephole connections"), (16, "a projection"), (20, "layer normalization")]
)
def test_an_lstm_that_no_microcontroller_runtime_has_is_refused_with_what_to_do(place: int, what: str) -> None:
    tree = read_tree(lstm(np.random.default_rng(1), 2).model)
    node = tree.rows("subgraphs")[0].rows("operators")[0]
    inputs = np.array(node.indices("inputs"), np.int32)
    inputs[place] = inputs[1]
    node["inputs"] = inputs
    reason = str(check(write_tree(tree))[0])
    assert f"an LSTM with {what}" in reason and "keras.layers.LSTM" in reason and "Linux board" in reason


def test_svdf_with_a_memory_of_8_bits_is_its_definition(plan_runtime: HostRuntime) -> None:
    """As TensorFlow Lite Micro defines it; the host runtimes have no such kernel."""
    rng, differ = np.random.default_rng(8), 0
    for _ in range(int(os.environ.get("HARNESS_KERNEL_CASES", _CASES))):
        case = svdf(rng, _STEPS, "int8")
        plan_runtime.load(make_plan(case.model).data)
        first, expected = _sequence(plan_runtime, case), svdf_8_outputs(case.model, case.inputs[0])
        assert first.tolist() == expected.tolist(), case.text
        differ += first.tobytes() != _sequence(plan_runtime, case).tobytes()
        plan_runtime.reset()
        assert _sequence(plan_runtime, case).tolist() == expected.tolist()
    assert differ > 20


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
