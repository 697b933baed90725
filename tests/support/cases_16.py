"""Random models of one op on two 16-bit inputs, and of functions of one; three runtimes say what is right, each of some ops.

`REFERENCE_16` are for tflite-runtime 2.14.0 and LiteRT, `LITERT_16` for LiteRT alone, `MICRO_16` for TensorFlow Lite Micro alone.
"""

from __future__ import annotations

import numpy as np

from tests.support import more_cases
from tests.support.kernel_cases import Case, index_tensor
from tests.support.more_cases import pair_of
from tests.support.op_models import Op, Tensor
from tests.support.wide_cases import WideGenerator, activation, dense, pick_scale, plan_case, values_of, window


def resize_bilinear_16(rng: np.random.Generator) -> Case:
    return more_cases.resize_bilinear(rng, "int16")


def batch_matmul_16(rng: np.random.Generator) -> Case:
    return more_cases.batch_matmul(rng, ("int16", "int16"))


def batch_matmul_16x8(rng: np.random.Generator) -> Case:
    return more_cases.batch_matmul(rng, ("int16", "int8"))


def compare_16(rng: np.random.Generator) -> Case:
    """The three that tflite-runtime 2.14 has."""
    op, values, scale = str(rng.choice(["EQUAL", "GREATER_EQUAL", "LESS"])), pair_of(rng, "int16"), pick_scale(rng)
    if rng.random() < 0.5:  # few values, so that many are equal
        values = [one // 16384 for one in values]
    return plan_case(
        Op(name=op),
        [activation(one.shape, scale) for one in values],
        Tensor(shape=np.broadcast_shapes(*(one.shape for one in values)), dtype="bool"),
        values,
        f"{op} {[one.shape for one in values]}",
    )


def padv2_16(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 5, 4))
    paddings = rng.integers(0, 3, (4, 2)).astype(np.int32)
    value = np.array([rng.choice([-32768, 0, -1, 257, int(rng.integers(-32768, 32768))])], np.int16)
    scale = pick_scale(rng)
    return plan_case(
        Op(name="PADV2", options_table="PadV2Options"),
        [
            activation(shape, scale),
            index_tensor(paddings),
            Tensor(shape=(1,), dtype="int16", scales=(scale,), zero_points=(0,), data=value),
        ],
        activation(tuple(int(n + p.sum()) for n, p in zip(shape, paddings, strict=True)), scale),
        [values_of(rng, shape)],
        f"{shape} {paddings.tolist()} with {value}",
    )


def _squared(rng: np.random.Generator, dtype: str) -> Case:
    values = pair_of(rng, dtype)
    span, steps = (pick_scale(rng, 1e-3, 1e-1), 128) if dtype == "int8" else (pick_scale(rng, 1e-5, 1e-3), 32768)
    scales = [span, span * float(rng.choice([1.0, rng.uniform(0.2, 3)]))]
    zero_points = [int(rng.integers(-128, 128)) if dtype == "int8" else 0 for _ in range(3)]
    target = (max(scales) * steps) ** 2 / steps * float(rng.uniform(0.2, 4))
    return plan_case(
        Op(name="SQUARED_DIFFERENCE", options_table="SquaredDifferenceOptions"),
        [activation(v.shape, s, dtype, z) for v, s, z in zip(values, scales, zero_points, strict=False)],
        activation(np.broadcast_shapes(*(one.shape for one in values)), target, dtype, zero_points[2]),
        values,
        f"{dtype} {[one.shape for one in values]} {scales} to {target}",
    )


def squared_difference(rng: np.random.Generator) -> Case:
    return _squared(rng, "int8")


def squared_difference_16(rng: np.random.Generator) -> Case:
    return _squared(rng, "int16")


def _function(rng: np.random.Generator, op: str, scale: float, target: float, least: int) -> Case:
    values = np.maximum(values_of(rng, (int(rng.integers(1, 3)), int(rng.integers(1, 300)))), least).astype(np.int16)
    return plan_case(
        Op(name=op),
        [activation(values.shape, scale)],
        activation(values.shape, target),
        [values],
        f"{values.shape} {scale} to {target}",
    )


def neg_16(rng: np.random.Generator) -> Case:
    """LiteRT looks at no scales, and leaves -32768 as it is."""
    scale = pick_scale(rng)
    return _function(rng, "NEG", scale, scale, -32767)


def log_16(rng: np.random.Generator) -> Case:
    """Not where two neighbours of the table are so far apart that LiteRT's difference of them leaves 16 bits."""
    return _function(rng, "LOG", pick_scale(rng, 1e-5, 7e-3), pick_scale(rng, 1e-4, 1e-3), -32768)


def rsqrt_16(rng: np.random.Generator) -> Case:
    """LiteRT ends with an error where a value is negative."""
    return _function(rng, "RSQRT", pick_scale(rng, 1e-5, 1e-1), pick_scale(rng, 1e-5, 1e-2), 0)


def sqrt_16(rng: np.random.Generator) -> Case:
    scale = pick_scale(rng, 1e-7, 1e-1)
    if rng.random() < 0.2:
        scale = float(2.0 ** rng.integers(-20, 2))
    target = float(np.sqrt(scale * 32767)) / 32767 * float(rng.choice([0.5, 1.0, rng.uniform(0.6, 3)]))
    return _function(rng, "SQRT", scale, target, 0)


def prelu_16(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 5)))
    alpha = values_of(rng, tuple(1 if rng.random() < 0.5 else n for n in shape), "int8")
    scales, zero_point = [pick_scale(rng), pick_scale(rng, 1e-3, 2e-2)], int(rng.integers(-128, 128))
    target = scales[0] * float(rng.uniform(0.5, 3))
    return plan_case(
        Op(name="PRELU"),
        [
            activation(shape, scales[0]),
            Tensor(shape=alpha.shape, dtype="int8", scales=(scales[1],), zero_points=(zero_point,), data=alpha),
        ],
        activation(shape, target),
        [values_of(rng, shape)],
        f"{shape} {alpha.shape} {scales} zero point {zero_point} to {target}",
    )


def sum_16(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 7, rng.integers(1, 5)))
    axes = np.sort(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)])
    keep = bool(rng.random() < 0.5)
    target = tuple(1 if d in axes else n for d, n in enumerate(shape) if keep or d not in axes)
    added, scale = int(np.prod([shape[d] for d in axes])), pick_scale(rng)
    return plan_case(
        Op(name="SUM", options_table="ReducerOptions", options={"KeepDims": keep}),
        [activation(shape, scale), index_tensor(axes)],
        activation(target, scale * float(rng.uniform(0.3, 2)) * max(1.0, added**0.5)),
        [values_of(rng, shape)],
        f"{shape} over {axes} keep {keep}",
    )


def bias_32_16(rng: np.random.Generator) -> Case:
    """Biases of int32 beside 16-bit activations; LiteRT 2.3 reads them as int64."""
    return dense(rng, "int32") if rng.random() < 0.5 else window(rng, False, "int32")


def _by_name(*functions: WideGenerator) -> dict[str, WideGenerator]:
    return {function.__name__: function for function in functions}


REFERENCE_16 = _by_name(bias_32_16, resize_bilinear_16, batch_matmul_16, compare_16, padv2_16, squared_difference)
LITERT_16 = _by_name(batch_matmul_16x8, neg_16, log_16, rsqrt_16, sqrt_16)
MICRO_16 = _by_name(prelu_16, sum_16, squared_difference_16)
