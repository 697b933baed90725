"""Float32 ops: the firmware's runtime against float64, within the bound of each op, and tflite-runtime 2.14.0 within the same.

HARNESS_KERNEL_CASES=2000 runs that many random models per op instead of the quick set.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.tflite.plan import make_plan
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.float_cases import FLOAT_GENERATORS, FloatCase, make_float_cases, tensor
from tests.support.float_state import lstm, svdf
from tests.support.kernel_cases import index_tensor
from tests.support.op_models import Op, build_model
from tests.support.plan_runtime import HostRuntime

QUICK_CASES = 40
#: not in tflite-runtime 2.14's reference kernels
_NOT_THERE = {"ceil", "elu", "round"}
#: its LOGISTIC takes e^x for the result below -9, and 1 above 16.6
_REFERENCE_SHARE = {"logistic": 1.3e-4}


def beyond(case: FloatCase, got: np.ndarray) -> float:
    """The furthest output, in its bound; infinity where a bound of 0 is not kept."""
    error = np.abs(got.reshape(case.exact.shape).astype(np.float64) - case.exact.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(error == 0, 0.0, error / case.bound)))


def _looser(case: FloatCase, name: str) -> FloatCase:
    return replace(case, bound=case.bound + _REFERENCE_SHARE.get(name, 0.0) * np.abs(case.exact))


@pytest.mark.parametrize("name", sorted(FLOAT_GENERATORS))
def test_random_models_of_one_op_are_within_their_bound(
    name: str, plan_library: Path, reference_runtime: ReferenceRuntime
) -> None:
    runtime = HostRuntime(plan_library)
    cases = make_float_cases(name, int(os.environ.get("HARNESS_KERNEL_CASES", QUICK_CASES)))
    expected = reference_runtime.run([one.case for one in cases]) if name not in _NOT_THERE else [None] * len(cases)
    problems = []
    for one, reference in zip(cases, expected, strict=True):
        plan = make_plan(one.case.model)
        runtime.load(plan.data)
        got = runtime.run([v.view(np.uint8) if v.dtype == bool else v for v in one.case.inputs])[0]
        if not beyond(one, got) <= 1:
            problems.append(f"{one.case.text}: {beyond(one, got):.2f} of the bound")
        if isinstance(reference, str):
            problems.append(f"{one.case.text}: the reference refused: {reference}")
        elif reference is not None and not beyond(_looser(one, name), reference) <= 1:
            problems.append(f"{one.case.text}: the reference is at {beyond(one, reference):.2f} of the bound")
    assert not problems, f"{len(problems)} of {len(cases)}: " + "; ".join(problems[:4])


@pytest.mark.parametrize("values", [[np.inf, 1, 1], [1, -np.inf, 2], [3e38, 3e38, 1], [np.nan, 1, 2]])
@pytest.mark.parametrize("op", ["SUM", "MEAN"])
def test_a_sum_that_is_infinite_or_no_number_stays_so(op: str, values: list[float], plan_library: Path) -> None:
    row = np.array([values], np.float32)
    model = build_model(
        Op(name=op, options_table="ReducerOptions", options={"KeepDims": True}),
        [tensor(row.shape), index_tensor(np.array([1], np.int32))],
        tensor((1, 1)),
    )
    runtime = HostRuntime(plan_library)
    runtime.load(make_plan(model).data)
    np.testing.assert_array_equal(runtime.run([row])[0].ravel(), row.sum(axis=1))


@pytest.mark.parametrize("op", ["SVDF", "LSTM"])
def test_what_keeps_state_is_within_its_bound_at_every_step(
    op: str, plan_runtime: HostRuntime, reference_runtime: ReferenceRuntime
) -> None:
    rng, steps = np.random.default_rng(4), 6
    cases = [{"SVDF": svdf, "LSTM": lstm}[op](rng, steps) for _ in range(QUICK_CASES)]
    problems = []
    for one, reference in zip(cases, reference_runtime.run([c.case for c in cases], steps=steps), strict=True):
        plan = make_plan(one.case.model)
        assert [node.op for node in plan.ops] == ["FILL", f"FLOAT_{op}"]
        plan_runtime.load(plan.data)
        first = np.stack([plan_runtime.run([values])[0] for values in one.case.inputs[0]])
        plan_runtime.reset()
        again = np.stack([plan_runtime.run([values])[0] for values in one.case.inputs[0]])
        assert first.tobytes() == again.tobytes()
        assert not isinstance(reference, str), reference
        if not max(beyond(one, first), beyond(one, reference)) <= 1:
            problems.append(f"{one.case.text}: {beyond(one, first):.2f}, the reference {beyond(one, reference):.2f}")
    assert not problems, f"{len(problems)} of {len(cases)}: " + "; ".join(problems[:4])
