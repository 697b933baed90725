"""Ops that tflite-runtime 2.14 does not have for int8, or computes wrongly: held against their definition."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from harness.tflite.plan import check, make_plan
from tests.support.kernel_cases import index_tensor
from tests.support.op_models import Op, Tensor, build_model
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


@pytest.mark.parametrize(
    ("op", "compare"),
    [
        ("EQUAL", np.equal),
        ("NOT_EQUAL", np.not_equal),
        ("GREATER", np.greater),
        ("GREATER_EQUAL", np.greater_equal),
        ("LESS", np.less),
        ("LESS_EQUAL", np.less_equal),
    ],
)
def test_16_bit_comparisons_are_of_the_stored_values(op: str, compare: np.ufunc, plan_runtime: HostRuntime) -> None:
    """tflite-runtime 2.14 has three of them, and LiteRT compares in steps of 1/256."""
    values = [np.array([[-32768], [-1], [0], [32767]], np.int16), np.array([[-32768, 0, 1, 32767]], np.int16)]
    model = build_model(
        Op(name=op), [activation(one.shape, 1e-5) for one in values], Tensor(shape=(4, 4), dtype="bool")
    )
    plan_runtime.load(make_plan(model).data)
    assert plan_runtime.run(values)[0].tolist() == compare(*values).ravel().tolist()


@pytest.mark.parametrize("ratio", [1.0, 0.5, 3.0])
def test_a_16_bit_negation_scales_and_saturates(ratio: float, plan_runtime: HostRuntime) -> None:
    """LiteRT looks at no scales, and its -32768 stays what it is."""
    values = np.array([[-32768, -32766, -2, 0, 2, 32766]], np.int16)
    model = build_model(Op(name="NEG"), [activation(values.shape, 0.01)], activation(values.shape, 0.01 / ratio))
    assert _run(plan_runtime, model, values).tolist() == np.clip(-ratio * values[0], -32768, 32767).tolist()


def _pair_16(op: str, scales: tuple[float, float], second: str = "int16") -> bytes:
    alpha = Tensor(
        shape=(1, 8), dtype=second, scales=(scales[1],), zero_points=(0,), data=np.ones((1, 8), np.dtype(second))
    )
    if op == "PRELU":
        return build_model(Op(name=op), [activation((1, 8), scales[0]), alpha], activation((1, 8), scales[0]))
    sources = [activation((1, 8), scale) for scale in scales]
    return build_model(Op(name=op), sources, Tensor(shape=(1, 8), dtype="bool"))


def _sum_16(elements: int, ratio: float) -> bytes:
    op = Op(name="SUM", options_table="ReducerOptions", options={"KeepDims": False})
    source = [activation((1, elements), 0.001), index_tensor(np.array([1]))]
    return build_model(op, source, activation((1,), 0.001 / ratio))


def _lonely_16(op: str) -> bytes:
    return build_model(Op(name=op), [activation((1, 8), 0.001)], activation((1, 8), 0.001))


def _unit(op: str, scale: float) -> bytes:
    return build_model(Op(name=op), [activation((1, 8), 0.001)], activation((1, 8), scale))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (_unit("LOGISTIC", 0.001), "scale 0.001.*1/32768"),
        (_unit("TANH", 0.5), "scale 0.5.*1/32768"),
        (_pair_16("LESS", (0.001, 0.002)), "scales 0.001 and 0.002.*by a QUANTIZE"),
        (_pair_16("PRELU", (0.001, 0.002)), "alpha is int16.*int8 alpha"),
        (_sum_16(70000, 0.1), "70000 values.*may leave 32 bits.*output scale is too small"),
        (_sum_16(60000, 1.5), "60000 values.*may leave 32 bits"),
        (_lonely_16("HARD_SWISH"), "no TensorFlow Lite runtime has a kernel.*a QUANTIZE to int8 before it"),
        (_lonely_16("ELU"), "no TensorFlow Lite runtime has a kernel"),
    ],
)
def test_what_stays_unsupported_says_why_and_what_to_do(model: bytes, text: str) -> None:
    reason = check(model)[0]
    assert re.search(text, str(reason)), reason
    assert check(_pair_16("LESS", (0.001, 0.001))) == check(_pair_16("PRELU", (0.001, 0.002), "int8")) == []
    assert check(_sum_16(60000, 0.1)) == []
