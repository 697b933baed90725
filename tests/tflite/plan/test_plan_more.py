"""Ops that tflite-runtime 2.14 does not have for int8, or computes wrongly: held against their definition."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from harness.tflite.plan import check, make_plan
from tests.support.kernel_cases import index_tensor
from tests.support.op_models import Op, build_model
from tests.support.plan_runtime import HostRuntime
from tests.support.wide_cases import activation

_VALUES = np.arange(-128, 128, dtype=np.int8)
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "NEG": lambda x: -x,
    "SQRT": lambda x: math.sqrt(max(x, 0.0)),
    "LOG": lambda x: math.log(x) if x > 0 else -1e9,
    "ELU": lambda x: math.expm1(x) if x < 0 else x,
}


def _run(runtime: HostRuntime, model: bytes, values: np.ndarray) -> np.ndarray:
    runtime.load(make_plan(model).data)
    return runtime.run([values])[0]


@pytest.mark.parametrize("op", _FUNCTIONS)
@pytest.mark.parametrize(("scale", "zero_point", "output", "shift"), [(0.02, -100, 0.03, 5), (0.5, 3, 0.04, -128)])
def test_a_function_by_table_is_the_function(
    op: str, scale: float, zero_point: int, output: float, shift: int, plan_runtime: HostRuntime
) -> None:
    shape = (1, 256)
    source, target = activation(shape, scale, "int8", zero_point), activation(shape, output, "int8", shift)
    got = _run(plan_runtime, build_model(Op(name=op), [source], target), _VALUES.reshape(shape))
    exact = [_FUNCTIONS[op](float(np.float32(scale)) * (int(v) - zero_point)) for v in _VALUES]
    expected = np.clip(np.array(exact) / float(np.float32(output)) + shift, -128, 127)
    assert len(set(got.tolist())) > 20
    assert np.abs(got - expected).max() <= 0.5001


@pytest.mark.parametrize("ratio", [0.01, 0.3, 1.0, 4.0])
def test_a_sum_is_the_sum_rounded_once(ratio: float, plan_runtime: HostRuntime) -> None:
    rng = np.random.default_rng(3)
    values, zero_point, scale = rng.integers(-128, 128, (2, 5, 7, 3)).astype(np.int8), 9, 0.05
    source = activation(values.shape, scale, "int8", zero_point)
    target = activation((2, 3), scale / ratio, "int8", -4)
    op = Op(name="SUM", options_table="ReducerOptions", options={"KeepDims": False})
    got = _run(plan_runtime, build_model(op, [source, index_tensor(np.array([1, 2]))], target), values)
    sums = (values.astype(int) - zero_point).sum(axis=(1, 2)).ravel()
    real = sums * (float(np.float32(scale)) / float(np.float32(scale / ratio))) - 4
    assert got.tolist() == np.clip(np.floor(real + 0.5), -128, 127).astype(int).tolist()


def _unit(op: str, scale: float) -> bytes:
    return build_model(Op(name=op), [activation((1, 8), 0.001)], activation((1, 8), scale))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (_unit("LOGISTIC", 0.001), "scale 0.001.*1/32768"),
        (_unit("TANH", 0.5), "scale 0.5.*1/32768"),
    ],
)
def test_what_stays_unsupported_says_why_and_what_to_do(model: bytes, text: str) -> None:
    reason = check(model)[0]
    assert re.search(text, str(reason)), reason
