"""Models of one op that some runtimes compute wrongly, beside ones that they compute rightly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import write_tree

_STEPS = {"int8": 0.03, "int16": 0.0002, "float32": 0.0}
_BIAS = {"int8": "int32", "int16": "int64", "float32": "float32"}


@dataclass(frozen=True, kw_only=True)
class DefectCase:
    """One op and samples that show its defect, if the runtime has it."""

    name: str
    model: bytes
    feeds: list[np.ndarray]


def dense(dtype: str, *, per_channel: bool, shape=(6, 16), keep_dims: bool = True, units: int = 5) -> DefectCase:
    """FULLY_CONNECTED whose channels differ 30-fold; `keep_dims`: on the last axis of inputs of `shape`, else flattened."""
    rng = np.random.default_rng(0)
    depth = shape[-1] if keep_dims else int(np.prod(shape))
    real = rng.normal(size=(units, depth)) * np.geomspace(0.05, 1.5, units)[:, None] / np.sqrt(depth)
    limit = np.abs(real).max(axis=1) if per_channel else np.array([np.abs(real).max()])
    scales = (limit / 127).astype(np.float32)
    editor = Editor()
    step = _STEPS[dtype]
    x = editor.tensor("x", (1, *shape), dtype, scales=[step] if step else ())
    stored = np.round(real / scales[:, None]).astype(np.int8)
    w = editor.tensor("w", (units, depth), "int8", data=stored, scales=scales)
    b = editor.tensor("b", (units,), _BIAS[dtype], data=np.zeros(units), scales=scales * step if step else ())
    out = (1, *shape[:-1], units) if keep_dims else (1, units)
    y = editor.tensor("y", out, dtype, scales=[step] if step else ())
    fields = {"keep_num_dims": keep_dims}
    editor.add("FULLY_CONNECTED", [x, w, b], [y], options="FullyConnectedOptions", fields=fields, version=5)
    kind = "per-channel" if per_channel else "per-tensor"
    name = f"dense {dtype} {kind} of rank {len(out)} from {len(shape) + 1}"
    return DefectCase(name=name, model=write_tree(editor.finish([x], [y])), feeds=[_samples((16, *shape), dtype)])


def summed(dtype: str, *, same_scale: bool = False, small: bool = False) -> DefectCase:
    """SUM over height and width, into an output of another scale or of the input's; `small`: sums that fit 16 bits."""
    editor = Editor()
    zero = -20 if dtype == "int8" else 0
    step = _STEPS[dtype]
    x = editor.tensor("x", (1, 4, 4, 6), dtype, scales=[step], zero_points=[zero])
    axes = editor.tensor("axes", (2,), "int32", data=np.array([1, 2], np.int32))
    out = (step, zero) if same_scale else (step * 12, zero // 4)
    y = editor.tensor("y", (1, 6), dtype, scales=[out[0]], zero_points=[out[1]])
    editor.add("SUM", [x, axes], [y], options="ReducerOptions", version=2)
    feed = _samples((16, 4, 4, 6), dtype) * np.dtype(dtype).type(2 if dtype == "int16" else 1)
    return DefectCase(
        name=f"sum {dtype} {'of one scale' if same_scale else 'of two scales'}{', small' if small else ''}",
        model=write_tree(editor.finish([x], [y])),
        feeds=[feed // 8 if small else feed],
    )


def product(zero_point: int) -> DefectCase:
    """BATCH_MATMUL int8 of two inputs, the second with this zero point."""
    editor = Editor()
    a = editor.tensor("a", (1, 4, 16), "int8", scales=[0.03], zero_points=[5])
    b = editor.tensor("b", (1, 6, 16), "int8", scales=[0.03], zero_points=[zero_point])
    y = editor.tensor("y", (1, 4, 6), "int8", scales=[0.15])
    editor.add("BATCH_MATMUL", [a, b], [y], options="BatchMatMulOptions", fields={"adj_y": True}, version=3)
    model = write_tree(editor.finish([a, b], [y]))
    feeds = [_samples((16, 4, 16), "int8"), _samples((16, 6, 16), "int8", seed=1)]
    return DefectCase(name=f"product int8 with zero point {zero_point}", model=model, feeds=feeds)


def quotient(numerator: int) -> DefectCase:
    """DIV int8 of so many steps by 64 to 127, in steps of 1/2: -1 gives quotients that must round to 0."""
    editor = Editor()
    a = editor.tensor("a", (1, 32), "int8", scales=[0.05])
    b = editor.tensor("b", (1, 32), "int8", scales=[0.05])
    y = editor.tensor("y", (1, 32), "int8", scales=[0.5])
    editor.add("DIV", [a, b], [y], options="DivOptions", version=2)
    model = write_tree(editor.finish([a, b], [y]))
    divisors = np.random.default_rng(2).integers(64, 127, (16, 32)).astype(np.int8)
    return DefectCase(
        name=f"quotient int8 of {numerator} steps", model=model, feeds=[np.full((16, 32), numerator, np.int8), divisors]
    )


def long_dense(asymmetric: bool) -> DefectCase:
    """FULLY_CONNECTED hybrid with rows of 8,192 weights that lean to one side, and inputs that do as well."""
    rng = np.random.default_rng(3)
    editor = Editor()
    x = editor.tensor("x", (1, 8192), "float32")
    weights = np.clip(rng.normal(60, 30, (4, 8192)), -127, 127).astype(np.int8)
    w = editor.tensor("w", (4, 8192), "int8", data=weights, scales=[0.001])
    y = editor.tensor("y", (1, 4), "float32")
    fields = {"asymmetric_quantize_inputs": asymmetric}
    editor.add("FULLY_CONNECTED", [x, w, -1], [y], options="FullyConnectedOptions", fields=fields, version=9)
    model = write_tree(editor.finish([x], [y]))
    feeds = [rng.uniform(0, 1, (16, 8192)).astype(np.float32)]
    return DefectCase(name=f"long hybrid dense, asymmetric {asymmetric}", model=model, feeds=feeds)


def defect_cases() -> Iterator[DefectCase]:
    """All of them."""
    for dtype in ("int8", "int16"):
        for per_channel in (True, False):
            yield dense(dtype, per_channel=per_channel)
        yield dense(dtype, per_channel=True, shape=(16,))
        yield summed(dtype)
        yield summed(dtype, same_scale=True)
        yield summed(dtype, same_scale=True, small=True)
    for per_channel in (True, False):
        yield dense("float32", per_channel=per_channel, shape=(4, 4, 6), keep_dims=False)
        yield dense("float32", per_channel=per_channel, shape=(6, 16))
    yield product(0)
    yield product(11)
    yield quotient(-1)
    yield quotient(-100)
    yield long_dense(True)
    yield long_dense(False)


def _samples(shape, dtype: str, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=shape)
    if dtype == "float32":
        return values.astype(np.float32)
    limits = np.iinfo(dtype)
    return np.clip(np.round(values / _STEPS[dtype]), limits.min, limits.max).astype(dtype)
