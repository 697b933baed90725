"""Random models of one 16-bit op without weights; the reference runtime says what is right."""

from __future__ import annotations

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support import more_cases
from tests.support.kernel_cases import Case, index_tensor
from tests.support.more_cases import move, pair_of
from tests.support.op_models import Op, Tensor, activation_code, padding_code
from tests.support.wide_cases import WideGenerator, activation, pick_scale, plan_case, values_of


def _pool(rng: np.random.Generator, op: str) -> Case:
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    size, channels = kernel + rng.integers(0, 7, 2), int(rng.integers(1, 5))
    places = [qp.window(padding, int(size[i]), int(kernel[i]), int(stride[i])) for i in range(2)]
    options = {
        "Padding": padding_code(padding),
        "StrideH": int(stride[0]),
        "StrideW": int(stride[1]),
        "FilterHeight": int(kernel[0]),
        "FilterWidth": int(kernel[1]),
        "FusedActivationFunction": activation_code(str(rng.choice(["NONE", "RELU", "RELU6"]))),
    }
    values = values_of(rng, (int(rng.integers(1, 3)), int(size[0]), int(size[1]), channels))
    target = (values.shape[0], places[0].output, places[1].output, channels)
    made = Op(name=op, options_table="Pool2DOptions", options=options)
    return move(rng, made, values, [], target, f"{values.shape} {kernel} {stride} {padding}")


def max_pool_16(rng: np.random.Generator) -> Case:
    return _pool(rng, "MAX_POOL_2D")


def average_pool_16(rng: np.random.Generator) -> Case:
    return _pool(rng, "AVERAGE_POOL_2D")


def mean_16(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 7, rng.integers(1, 5)))
    axes = np.sort(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)])
    keep = bool(rng.random() < 0.5)
    target = tuple(1 if d in axes else n for d, n in enumerate(shape) if keep or d not in axes)
    scale = pick_scale(rng)
    return plan_case(
        Op(name="MEAN", options_table="ReducerOptions", options={"KeepDims": keep}),
        [activation(shape, scale), index_tensor(axes)],
        activation(target, scale * float(rng.uniform(0.3, 2))),
        [values_of(rng, shape)],
        f"{shape} over {axes} keep {keep}",
    )


def mul_16(rng: np.random.Generator) -> Case:
    values, scales = pair_of(rng, "int16"), [pick_scale(rng, 1e-4, 1e-3) for _ in range(2)]
    options = {"FusedActivationFunction": activation_code(str(rng.choice(["NONE", "RELU", "RELU6"])))}
    return plan_case(
        Op(name="MUL", options_table="MulOptions", options=options),
        [activation(v.shape, s) for v, s in zip(values, scales, strict=True)],
        activation(
            np.broadcast_shapes(*(v.shape for v in values)), scales[0] * scales[1] * 32768 * float(rng.uniform(0.3, 2))
        ),
        values,
        f"{[one.shape for one in values]} {scales}",
    )


def _pick(rng: np.random.Generator, op: str) -> Case:
    values, scale = pair_of(rng, "int16"), pick_scale(rng)
    return plan_case(
        Op(name=op, options_table="MaximumMinimumOptions"),
        [activation(one.shape, scale) for one in values],
        activation(np.broadcast_shapes(*(v.shape for v in values)), scale),
        values,
        f"{[one.shape for one in values]}",
    )


def maximum_16(rng: np.random.Generator) -> Case:
    return _pick(rng, "MAXIMUM")


def minimum_16(rng: np.random.Generator) -> Case:
    return _pick(rng, "MINIMUM")


def _unary(rng: np.random.Generator, op: str, output: float | None = None, table: str | None = None) -> Case:
    # The reference makes exponentials of every input value in float32, where those over 88 are infinite.
    values, scale = values_of(rng, (2, int(rng.integers(1, 300)))), pick_scale(rng, 1e-5, 2e-3 if op == "EXP" else 1e-2)
    if op in ("LOGISTIC", "TANH") and rng.random() < 0.3:
        scale = float(rng.choice([2.0**-12, 2.0**-11, 2.0**-13, 2.0**-10]))
    target = output or scale * float(rng.choice([1.0, rng.uniform(0.4, 3)]))
    return plan_case(
        Op(name=op, options_table=table, options={"Beta": float(rng.choice([1.0, 0.5]))} if op == "SOFTMAX" else {}),
        [activation(values.shape, scale)],
        activation(values.shape, target),
        [values],
        f"{values.shape} {scale} to {target}",
    )


def relu_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "RELU")


def relu6_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "RELU6")


def abs_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "ABS", table="AbsOptions")


def exp_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "EXP", pick_scale(rng, 1e-4, 1e-2), "ExpOptions")


def logistic_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "LOGISTIC", 1 / 32768)


def tanh_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "TANH", 1 / 32768)


def softmax_16(rng: np.random.Generator) -> Case:
    return _unary(rng, "SOFTMAX", 1 / 32768, "SoftmaxOptions")


def quantize_16(rng: np.random.Generator) -> Case:
    """From float32: values on the borders of rounding, far outside, and in between."""
    scale = pick_scale(rng, 1e-5, 1e-2)
    steps = rng.integers(-40000, 40000, (1, int(rng.integers(1, 60)))) + rng.choice([0.0, 0.5, 0.25], 1)
    values = (steps * np.float32(scale)).astype(np.float32)
    return plan_case(
        Op(name="QUANTIZE", options_table="QuantizeOptions"),
        [Tensor(shape=values.shape, dtype="float32")],
        activation(values.shape, scale),
        [values],
        f"{values.shape} {scale}",
    )


def dequantize_16(rng: np.random.Generator) -> Case:
    values, scale = values_of(rng, (1, int(rng.integers(1, 60)))), pick_scale(rng, 1e-6, 1e-2)
    return plan_case(
        Op(name="DEQUANTIZE", options_table="DequantizeOptions"),
        [activation(values.shape, scale)],
        Tensor(shape=values.shape, dtype="float32"),
        [values],
        f"{values.shape} {scale}",
    )


def reduce_max_16(rng: np.random.Generator) -> Case:
    return more_cases.reduce_extreme(rng, "REDUCE_MAX", "int16")


def gather_16(rng: np.random.Generator) -> Case:
    return more_cases.gather(rng, "int16")


def gather_nd_16(rng: np.random.Generator) -> Case:
    return more_cases.gather_nd(rng, "int16")


def space_to_batch_16(rng: np.random.Generator) -> Case:
    return more_cases.space_to_batch(rng, "int16")


def batch_to_space_16(rng: np.random.Generator) -> Case:
    return more_cases.batch_to_space(rng, "int16")


def select_16(rng: np.random.Generator) -> Case:
    return more_cases.select(rng, "int16")


MORE_GENERATORS_16: dict[str, WideGenerator] = {
    function.__name__: function
    for function in (
        max_pool_16,
        average_pool_16,
        mean_16,
        mul_16,
        maximum_16,
        minimum_16,
        relu_16,
        relu6_16,
        abs_16,
        exp_16,
        logistic_16,
        tanh_16,
        softmax_16,
        quantize_16,
        dequantize_16,
        reduce_max_16,
        gather_16,
        gather_nd_16,
        space_to_batch_16,
        batch_to_space_16,
        select_16,
    )
}
