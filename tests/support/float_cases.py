"""Random float32 models of one op, what each is in float64, and how far from that a right kernel may be.

With u = 2^-24, half a unit in the last place of 1: a sum of n products is within (n + 2) u times the sum of their magnitudes,
in whatever order it is added up and whether products are rounded or not (Higham, Accuracy and Stability of Numerical Algorithms,
chapter 3); a function is within a few u of its value, and what its input's rounding is worth on top.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support.kernel_cases import Case, index_tensor
from tests.support.op_models import Op, Tensor, activation_code, build_model, padding_code

U = 2.0**-24
#: of results that are denormal, or are made of what is
TINY = 2.0**-126


@dataclass(frozen=True)
class FloatCase:
    """`exact` and `bound`: per output, in float64; of integers and booleans the bound is 0."""

    case: Case
    exact: np.ndarray
    bound: np.ndarray


FloatGenerator = Callable[[np.random.Generator], FloatCase]


def real(rng: np.random.Generator, shape: tuple[int, ...], spread: float = 1.0) -> np.ndarray:
    """Numbers of several sizes, zeros among them."""
    values = rng.normal(0, spread, shape) * np.exp2(rng.integers(-6, 3, shape))
    return np.where(rng.random(shape) < 0.05, 0.0, values).astype(np.float32)


def tensor(shape: tuple[int, ...], dtype: str = "float32") -> Tensor:
    return Tensor(shape=tuple(int(n) for n in shape), dtype=dtype)


def constant(values: np.ndarray) -> Tensor:
    return Tensor(shape=values.shape, dtype=str(values.dtype), data=values)


def made(
    op: Op,
    inputs: list[Tensor],
    output: Tensor,
    values: list[np.ndarray],
    exact: np.ndarray,
    bound: np.ndarray,
    text: str,
) -> FloatCase:
    case = Case(
        op=op.name,
        text=text,
        model=build_model(op, inputs, output),
        inputs=tuple(values),
        run=lambda _kernels: np.empty(0),
    )
    return FloatCase(case, np.asarray(exact).reshape(output.shape), np.broadcast_to(bound, np.shape(exact)))


_SPANS = {"NONE": (-np.inf, np.inf), "RELU": (0, np.inf), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


def pick_activation(rng: np.random.Generator) -> str:
    return str(rng.choice(list(_SPANS)))


def activated(name: str, values: np.ndarray) -> np.ndarray:
    return np.clip(values, *_SPANS[name])


def of_sum(terms: float | np.ndarray, magnitudes: np.ndarray) -> np.ndarray:
    return (terms + 2) * U * magnitudes + TINY


# ---- weights and windows ------------------------------------------------------------------------------------------


def windows(
    x: np.ndarray, kernel: np.ndarray, stride: np.ndarray, dilation: np.ndarray, before: list[int], out: list[int]
):
    """[batches, out height, out width, kernel height, kernel width, channels], NaN outside of the image."""
    n, height, width, channels = x.shape
    rows = np.arange(out[0])[:, None] * stride[0] - before[0] + np.arange(kernel[0]) * dilation[0]
    columns = np.arange(out[1])[:, None] * stride[1] - before[1] + np.arange(kernel[1]) * dilation[1]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[None, :, None, :]
    picked = x[:, rows.clip(0, height - 1)][:, :, :, columns.clip(0, width - 1)].transpose(0, 1, 3, 2, 4, 5)
    return np.where(inside[None, ..., None], picked, np.nan)


def _window(rng: np.random.Generator, depthwise: bool) -> FloatCase:
    groups = 1 if depthwise else int(rng.choice([1, 1, 1, 2, 3]))
    inputs = int(rng.integers(1, 7)) * groups
    depth = int(rng.choice([1, 1, 2, 3])) if depthwise else inputs // groups
    channels = inputs * depth if depthwise else groups * int(rng.integers(1, 10))
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 3, 2)
    dilation = rng.integers(1, 4, 2) if rng.random() < 0.3 else np.array([1, 1])
    padding = str(rng.choice(["SAME", "VALID"]))
    size = (kernel - 1) * dilation + 1 + rng.integers(0, 6, 2)
    if padding == "SAME" and rng.random() < 0.3:
        size = rng.integers(1, 4, 2)
    places = [qp.window(padding, int(size[i]), int(kernel[i]), int(stride[i]), int(dilation[i])) for i in range(2)]
    before, out = [one.before for one in places], [one.output for one in places]
    x = real(rng, (int(rng.choice([1, 1, 2])), *map(int, size), inputs))
    shape = (1, *map(int, kernel), channels) if depthwise else (channels, *map(int, kernel), depth)
    weights, name = real(rng, shape), pick_activation(rng)
    bias = real(rng, (channels,))
    taken = np.nan_to_num(windows(x.astype(np.float64), kernel, stride, dilation, before, out))
    w = weights.astype(np.float64)
    if depthwise:
        products = np.repeat(taken, depth, axis=-1) * w
        total, size_of = products.sum((3, 4)), np.abs(products).sum((3, 4))
    else:
        parts = [
            (taken[..., g * depth : (g + 1) * depth], w[g * channels // groups : (g + 1) * channels // groups])
            for g in range(groups)
        ]
        total = np.concatenate([np.einsum("nyxhwc,ohwc->nyxo", one, two) for one, two in parts], -1)
        size_of = np.concatenate([np.einsum("nyxhwc,ohwc->nyxo", abs(one), abs(two)) for one, two in parts], -1)
    taps = int(kernel[0] * kernel[1]) * (1 if depthwise else depth)
    options = {
        "Padding": padding_code(padding),
        "StrideH": int(stride[0]),
        "StrideW": int(stride[1]),
        "DilationHFactor": int(dilation[0]),
        "DilationWFactor": int(dilation[1]),
        "FusedActivationFunction": activation_code(name),
    }
    if depthwise:
        options["DepthMultiplier"] = depth
    return made(
        Op(
            name="DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            options_table="DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            options=options,
        ),
        [tensor(x.shape), constant(weights), constant(bias)],
        tensor((x.shape[0], *out, channels)),
        [x],
        activated(name, total + bias),
        of_sum(taps + 1, size_of + abs(bias)),
        f"{x.shape} {shape} {padding} stride {stride} dilation {dilation} {name}",
    )


def conv(rng: np.random.Generator) -> FloatCase:
    return _window(rng, depthwise=False)


def depthwise(rng: np.random.Generator) -> FloatCase:
    return _window(rng, depthwise=True)


def fully_connected(rng: np.random.Generator) -> FloatCase:
    batches, inputs, outputs = (int(n) for n in rng.integers(1, [4, 60, 14]))
    x, weights, name = real(rng, (batches, inputs)), real(rng, (outputs, inputs)), pick_activation(rng)
    bias = real(rng, (outputs,)) if rng.random() < 0.7 else np.zeros(outputs, np.float32)
    total, size_of = x.astype(np.float64) @ weights.T.astype(np.float64), abs(x) @ abs(weights).T.astype(np.float64)
    return made(
        Op(
            name="FULLY_CONNECTED",
            options_table="FullyConnectedOptions",
            options={"FusedActivationFunction": activation_code(name)},
        ),
        [tensor(x.shape), constant(weights), constant(bias)],
        tensor(total.shape),
        [x],
        activated(name, total + bias),
        of_sum(inputs + 1, size_of + abs(bias)),
        f"{x.shape} -> {outputs} {name}",
    )


def transpose_conv(rng: np.random.Generator) -> FloatCase:
    inputs, outputs = (int(n) for n in rng.integers(1, 7, 2))
    size, kernel, stride = rng.integers(1, 6, 2), rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    spatial = size * stride if padding == "SAME" else (size - 1) * stride + kernel
    before = [0, 0]
    if padding == "SAME":
        before = [max(0, int((size[i] - 1) * stride[i] + kernel[i] - spatial[i])) // 2 for i in range(2)]
    x, weights = real(rng, (1, *map(int, size), inputs)), real(rng, (outputs, *map(int, kernel), inputs))
    whole = [int((size[i] - 1) * stride[i] + kernel[i] + stride[i]) for i in range(2)]
    total, size_of = np.zeros((2, 1, *whole, outputs))
    for y in range(size[0]):
        for column in range(size[1]):
            at = np.s_[
                :, y * stride[0] : y * stride[0] + kernel[0], column * stride[1] : column * stride[1] + kernel[1]
            ]
            pixel, w = x[:, y, column].astype(np.float64), weights.astype(np.float64)
            total[at] += np.einsum("nc,ohwc->nhwo", pixel, w)
            size_of[at] += np.einsum("nc,ohwc->nhwo", abs(pixel), abs(w))
    cut = np.s_[:, before[0] : before[0] + spatial[0], before[1] : before[1] + spatial[1]]
    asked = np.array([1, *spatial, outputs], np.int32)
    options = {"Padding": padding_code(padding), "StrideH": int(stride[0]), "StrideW": int(stride[1])}
    return made(
        Op(name="TRANSPOSE_CONV", options_table="TransposeConvOptions", options=options),
        [index_tensor(asked), constant(weights), tensor(x.shape)],
        tensor(tuple(asked)),
        [x],
        total[cut],
        of_sum(int(kernel[0] * kernel[1]) * inputs, size_of[cut]),
        f"{x.shape} {weights.shape} {padding} stride {stride}",
    )


def pool(rng: np.random.Generator) -> FloatCase:
    average, padding, name = bool(rng.random() < 0.5), str(rng.choice(["SAME", "VALID"])), pick_activation(rng)
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    size = kernel + rng.integers(0, 6, 2)
    places = [qp.window(padding, int(size[i]), int(kernel[i]), int(stride[i])) for i in range(2)]
    out = [one.output for one in places]
    x = real(rng, (int(rng.choice([1, 2])), *map(int, size), int(rng.integers(1, 6))))
    taken = windows(x.astype(np.float64), kernel, stride, np.ones(2, int), [one.before for one in places], out)
    value = np.nanmean(taken, (3, 4)) if average else np.nanmax(taken, (3, 4))
    bound = of_sum(kernel.prod(), np.nanmean(abs(taken), (3, 4))) if average else np.zeros_like(value)
    options = {
        "Padding": padding_code(padding),
        "StrideH": int(stride[0]),
        "StrideW": int(stride[1]),
        "FilterHeight": int(kernel[0]),
        "FilterWidth": int(kernel[1]),
        "FusedActivationFunction": activation_code(name),
    }
    return made(
        Op(name="AVERAGE_POOL_2D" if average else "MAX_POOL_2D", options_table="Pool2DOptions", options=options),
        [tensor(x.shape)],
        tensor(value.shape),
        [x],
        activated(name, value),
        bound,
        f"{x.shape} {kernel} {stride} {padding} {name}",
    )


# ---- the rest -----------------------------------------------------------------------------------------------------


def shape_of(rng: np.random.Generator, low: int = 1) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, 6, rng.integers(low, 5)))


def two(rng: np.random.Generator) -> list[np.ndarray]:
    """Of shapes that fit together."""
    shape = shape_of(rng)
    other = tuple(1 if rng.random() < 0.4 else size for size in shape)[rng.integers(0, len(shape)) :]
    pair = [real(rng, shape), real(rng, other)]
    return pair[:: -1 if rng.random() < 0.5 else 1]


_PAIRS: dict[str, tuple[Callable, bool]] = {
    "ADD": (np.add, True),
    "SUB": (np.subtract, True),
    "MUL": (np.multiply, True),
    "DIV": (np.divide, True),
    "MAXIMUM": (np.maximum, False),
    "MINIMUM": (np.minimum, False),
    "SQUARED_DIFFERENCE": (lambda a, b: (a - b) ** 2, False),
}


def pair(rng: np.random.Generator, op: str) -> FloatCase:
    one, other = two(rng)
    if op == "DIV":
        other = np.where(other == 0, np.float32(1), other)
    function, fused = _PAIRS[op]
    name = pick_activation(rng) if fused and rng.random() < 0.5 else "NONE"
    value = function(one.astype(np.float64), other.astype(np.float64))
    table = {"SQUARED_DIFFERENCE": "SquaredDifferenceOptions"}.get(
        op, f"{op.capitalize()}Options" if fused else "MaximumMinimumOptions"
    )
    return made(
        Op(
            name=op,
            options_table=table,
            options={"FusedActivationFunction": activation_code(name)} if fused else {},
        ),
        [tensor(one.shape), tensor(other.shape)],
        tensor(value.shape),
        [one, other],
        activated(name, value),
        4 * U * abs(value) + TINY,
        f"{one.shape} {other.shape} {name}",
    )


def prelu(rng: np.random.Generator) -> FloatCase:
    x = real(rng, shape_of(rng, 2))
    alpha = real(rng, x.shape[-1:])
    value = np.where(x >= 0, x, x.astype(np.float64) * alpha)
    return made(
        Op(name="PRELU"),
        [tensor(x.shape), constant(alpha)],
        tensor(x.shape),
        [x],
        value,
        2 * U * abs(value) + TINY,
        f"{x.shape}",
    )


_COMPARISONS = {
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
}


def compare(rng: np.random.Generator) -> FloatCase:
    op = str(rng.choice(list(_COMPARISONS)))
    one, other = (np.round(values) for values in two(rng))
    value = _COMPARISONS[op](one, other)
    words = "".join(part.capitalize() for part in op.split("_"))
    return made(
        Op(name=op, options_table=f"{words}Options"),
        [tensor(one.shape), tensor(other.shape)],
        tensor(value.shape, "bool"),
        [one, other],
        value,
        np.zeros(value.shape),
        f"{op} {one.shape} {other.shape}",
    )


def _round(x: np.ndarray) -> np.ndarray:
    return np.round(x)


#: per op: the function, its error in units of the last place, options, the least input
_FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, str | None, float]] = {
    "RELU": (lambda x: np.maximum(x, 0), 0, None, -np.inf),
    "RELU6": (lambda x: np.clip(x, 0, 6), 0, None, -np.inf),
    "RELU_N1_TO_1": (lambda x: np.clip(x, -1, 1), 0, None, -np.inf),
    "LEAKY_RELU": (lambda x: np.where(x > 0, x, x * np.float64(np.float32(0.3))), 1, "LeakyReluOptions", -np.inf),
    "ELU": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), 4, None, -np.inf),
    "LOGISTIC": (lambda x: 1 / (1 + np.exp(-x)), 3, None, -np.inf),
    "TANH": (np.tanh, 2, None, -np.inf),
    "HARD_SWISH": (lambda x: x * np.clip(x + 3, 0, 6) / 6, 3, "HardSwishOptions", -np.inf),
    "EXP": (np.exp, 2, "ExpOptions", -np.inf),
    "LOG": (np.log, 2, None, 1e-6),
    "SQRT": (np.sqrt, 1, None, 0),
    "RSQRT": (lambda x: 1 / np.sqrt(x), 2, None, 1e-6),
    "ABS": (np.abs, 0, "AbsOptions", -np.inf),
    "NEG": (np.negative, 0, "NegOptions", -np.inf),
    "SQUARE": (np.square, 1, "SquareOptions", -np.inf),
    "FLOOR": (np.floor, 0, None, -np.inf),
    "CEIL": (np.ceil, 0, None, -np.inf),
    "ROUND": (_round, 0, None, -np.inf),
}


def function(rng: np.random.Generator, op: str) -> FloatCase:
    compute, units, table, least = _FUNCTIONS[op]
    x = real(rng, shape_of(rng), 8.0)
    if least > -np.inf:
        x = np.maximum(abs(x), np.float32(least))
    value = compute(x.astype(np.float64))
    bound = 2 * units * U * abs(value) + TINY
    if op == "HARD_SWISH":  # x + 3 is rounded where it nearly vanishes
        bound = bound + 2 * U * abs(x)
    return made(
        Op(name=op, options_table=table, options={"Alpha": 0.3} if op == "LEAKY_RELU" else {}),
        [tensor(x.shape)],
        tensor(x.shape),
        [x],
        value,
        bound,
        f"{x.shape}",
    )


_REDUCTIONS: dict[str, Callable] = {"MEAN": np.mean, "SUM": np.sum, "REDUCE_MAX": np.max, "REDUCE_MIN": np.min}


def reduce(rng: np.random.Generator) -> FloatCase:
    op = str(rng.choice([*_REDUCTIONS, "REDUCE_PROD"]))
    x = real(rng, shape_of(rng, 2))
    axes = np.sort(rng.choice(x.ndim, int(rng.integers(1, x.ndim + 1)), replace=False)).astype(np.int32)
    keep = bool(rng.random() < 0.5)
    compute = _REDUCTIONS.get(op, np.prod)
    wide = x.astype(np.float64)
    value = compute(wide, axis=tuple(axes), keepdims=keep)
    n = x.size // max(1, value.size)
    bound = {"REDUCE_MAX": 0 * value, "REDUCE_MIN": 0 * value, "REDUCE_PROD": of_sum(n, abs(value))}.get(
        op, of_sum(n, (np.mean if op == "MEAN" else np.sum)(abs(wide), axis=tuple(axes), keepdims=keep))
    )
    return made(
        Op(name=op, options_table="ReducerOptions", options={"KeepDims": keep}),
        [tensor(x.shape), index_tensor(axes)],
        tensor(value.shape),
        [x],
        value,
        bound,
        f"{op} {x.shape} over {axes}",
    )


def arg_extreme(rng: np.random.Generator) -> FloatCase:
    largest = bool(rng.random() < 0.5)
    x = np.round(real(rng, shape_of(rng), 2.0))
    axis = int(rng.integers(0, x.ndim))
    dtype, code = ("int32", 2) if rng.random() < 0.5 else ("int64", 4)
    value = (np.argmax if largest else np.argmin)(x, axis=axis).astype(dtype)
    words = "ArgMax" if largest else "ArgMin"
    return made(
        Op(name="ARG_MAX" if largest else "ARG_MIN", options_table=f"{words}Options", options={"OutputType": code}),
        [tensor(x.shape), index_tensor(np.array([axis], np.int32))],
        tensor(value.shape, dtype),
        [x],
        value,
        np.zeros(value.shape),
        f"{words} {x.shape} along {axis}",
    )


def softmax(rng: np.random.Generator) -> FloatCase:
    logarithm = bool(rng.random() < 0.3)
    x, beta = real(rng, shape_of(rng, 2), 4.0), float(np.float32(rng.choice([1.0, 0.5, 2.0])))
    beta = 1.0 if logarithm else beta
    scaled = x.astype(np.float64) * beta
    below = scaled - scaled.max(-1, keepdims=True)
    shares = np.exp(below) / np.exp(below).sum(-1, keepdims=True)
    value = np.log(shares) if logarithm else shares
    terms = x.shape[-1] + 8
    # The difference to the largest is rounded: exp turns what that is worth into as many units.
    bound = U * (terms + 2 * abs(below)) * (1 + abs(value) if logarithm else shares) + TINY
    return made(
        Op(
            name="LOG_SOFTMAX" if logarithm else "SOFTMAX",
            options_table="LogSoftmaxOptions" if logarithm else "SoftmaxOptions",
            options={} if logarithm else {"Beta": beta},
        ),
        [tensor(x.shape)],
        tensor(x.shape),
        [x],
        value,
        bound,
        f"{x.shape} beta {beta} logarithm {logarithm}",
    )


def l2_normalization(rng: np.random.Generator) -> FloatCase:
    x = real(rng, shape_of(rng, 2))
    x[..., 0] += 1
    wide = x.astype(np.float64)
    value = wide / np.sqrt((wide**2).sum(-1, keepdims=True))
    return made(
        Op(name="L2_NORMALIZATION", options_table="L2NormOptions"),
        [tensor(x.shape)],
        tensor(x.shape),
        [x],
        value,
        of_sum(x.shape[-1] / 2 + 3, abs(value)),
        f"{x.shape}",
    )


def batch_matmul(rng: np.random.Generator) -> FloatCase:
    rows, depth, columns = (int(n) for n in rng.integers(1, 8, 3))
    batches = shape_of(rng)[:2]
    turn1, turn2 = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
    one = real(rng, (*batches, depth, rows) if turn1 else (*batches, rows, depth))
    other = real(rng, (*batches, columns, depth) if turn2 else (*batches, depth, columns))
    left = np.swapaxes(one, -1, -2).astype(np.float64) if turn1 else one.astype(np.float64)
    right = np.swapaxes(other, -1, -2).astype(np.float64) if turn2 else other.astype(np.float64)
    value = left @ right
    return made(
        Op(name="BATCH_MATMUL", options_table="BatchMatMulOptions", options={"AdjX": turn1, "AdjY": turn2}),
        [tensor(one.shape), tensor(other.shape)],
        tensor(value.shape),
        [one, other],
        value,
        of_sum(depth, abs(left) @ abs(right)),
        f"{one.shape} {turn1} x {other.shape} {turn2}",
    )


def resize_bilinear(rng: np.random.Generator) -> FloatCase:
    x = real(rng, (1, *(int(n) for n in rng.integers(1, 7, 2)), int(rng.integers(1, 4))))
    size = rng.integers(1, 12, 2).astype(np.int32)
    corners, half = ((False, False), (True, False), (False, True))[rng.integers(3)]
    value = x.astype(np.float64)
    for axis in (1, 2):
        n, m = x.shape[axis], int(size[axis - 1])
        scale = np.float32(n - 1) / np.float32(m - 1) if corners and m > 1 else np.float32(n) / np.float32(m)
        places = np.arange(m, dtype=np.float32)
        places = (places + np.float32(0.5)) * scale - np.float32(0.5) if half else places * scale
        low = np.clip(np.floor(places), 0, n - 1).astype(int)
        part = np.clip(places - low, 0, 1).astype(np.float64)
        part = part.reshape([-1 if d == axis else 1 for d in range(4)])
        value = np.take(value, low, axis) * (1 - part) + np.take(value, np.minimum(low + 1, n - 1), axis) * part
    options = {"AlignCorners": corners, "HalfPixelCenters": half}
    return made(
        Op(name="RESIZE_BILINEAR", options_table="ResizeBilinearOptions", options=options),
        [tensor(x.shape), index_tensor(size)],
        tensor((1, *size, x.shape[3])),
        [x],
        value,
        # Positions are rounded: what a place off by two units is worth is two units of the largest pixel.
        np.full(value.shape, 16 * U * abs(x).max() * max(x.shape[1:3]) + TINY),
        f"{x.shape} to {size} {options}",
    )


def move(rng: np.random.Generator) -> FloatCase:
    """Ops that move values, which take float32 as bytes."""
    x = real(rng, tuple(int(n) for n in rng.integers(2, 5, 3)))
    kind = str(rng.choice(["TRANSPOSE", "PAD", "CONCATENATION", "STRIDED_SLICE", "SELECT_V2", "GATHER"]))
    inputs, values = [tensor(x.shape)], [x]
    options: tuple[str, dict] = ("TransposeOptions", {})
    if kind == "TRANSPOSE":
        order = rng.permutation(3).astype(np.int32)
        inputs, value = [*inputs, index_tensor(order)], x.transpose(order)
    elif kind == "PAD":
        pads = rng.integers(0, 3, (3, 2)).astype(np.int32)
        inputs, value, options = [*inputs, index_tensor(pads)], np.pad(x, pads), ("PadOptions", {})
    elif kind == "CONCATENATION":
        inputs, values, value = [*inputs, tensor(x.shape)], [x, -x], np.concatenate([x, -x], 1)
        options = ("ConcatenationOptions", {"Axis": 1})
    elif kind == "SELECT_V2":
        mask = rng.random(x.shape) < 0.5
        inputs, values, value = (
            [tensor(x.shape, "bool"), *inputs, tensor(x.shape)],
            [mask, x, -x],
            np.where(mask, x, -x),
        )
        options = ("SelectV2Options", {})
    elif kind == "GATHER":
        picked = rng.integers(0, x.shape[1], 4).astype(np.int32)
        inputs, value, options = [*inputs, index_tensor(picked)], x[:, picked], ("GatherOptions", {"Axis": 1})
    else:
        steps = rng.choice([1, 2, -1], 3).astype(np.int32)
        ends = np.where(steps > 0, x.shape, -np.array(x.shape) - 1).astype(np.int32)
        begins = np.where(steps > 0, 0, np.array(x.shape) - 1).astype(np.int32)
        inputs = [*inputs, index_tensor(begins), index_tensor(ends), index_tensor(steps)]
        value, options = x[tuple(np.s_[:: int(step)] for step in steps)], ("StridedSliceOptions", {})
    return made(
        Op(name=kind, options_table=options[0], options=options[1]),
        inputs,
        tensor(value.shape),
        values,
        value,
        np.zeros(value.shape),
        f"{kind} {x.shape}",
    )


def _named(make: Callable[[np.random.Generator, str], FloatCase], op: str) -> FloatGenerator:
    return lambda rng: make(rng, op)


FLOAT_GENERATORS: dict[str, FloatGenerator] = {
    "conv": conv,
    "depthwise": depthwise,
    "fully_connected": fully_connected,
    "transpose_conv": transpose_conv,
    "pool": pool,
    "prelu": prelu,
    "compare": compare,
    "reduce": reduce,
    "arg_extreme": arg_extreme,
    "softmax": softmax,
    "l2_normalization": l2_normalization,
    "batch_matmul": batch_matmul,
    "resize_bilinear": resize_bilinear,
    "move": move,
    **{op.lower(): _named(pair, op) for op in _PAIRS},
    **{op.lower(): _named(function, op) for op in _FUNCTIONS},
}


#: generators of which many share an op of plans
OF_ONE_OP = frozenset(op.lower() for op in (*_PAIRS, *_FUNCTIONS))


def make_float_cases(name: str, count: int, *, seed: int = 0) -> list[FloatCase]:
    """The same cases on every machine; a larger count extends a smaller one."""
    return [FLOAT_GENERATORS[name](np.random.default_rng([seed, zlib.crc32(name.encode()), i])) for i in range(count)]
