"""Random models of one op on 16-bit activations, and of TRANSPOSE_CONV; the reference runtime says what is right."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support.kernel_cases import Case, index_tensor
from tests.support.op_models import Op, Tensor, activation_code, build_model, padding_code

RANGES = {"int8": (-128, 127), "int16": (-32768, 32767), "int32": (-(2**31), 2**31 - 1)}
WideGenerator = Callable[[np.random.Generator], Case]


def values_of(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "int16") -> np.ndarray:
    low, high = RANGES[dtype]
    if rng.random() < 0.15:
        return rng.choice(np.array([low, high, 0]), shape).astype(dtype)
    return rng.integers(low, high + 1, shape).astype(dtype)


def pick_scale(rng: np.random.Generator, low: float = 1e-5, high: float = 1e-3) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def activation(shape: tuple[int, ...], scale: float, dtype: str = "int16", zero_point: int = 0) -> Tensor:
    return Tensor(shape=shape, dtype=dtype, scales=(scale,), zero_points=(zero_point,))


def plan_case(op: Op, inputs: list[Tensor], output: Tensor, values: list[np.ndarray], text: str) -> Case:
    def run(_kernels: object) -> np.ndarray:
        raise NotImplementedError("these cases go through the plan runtime only")

    return Case(op=op.name, text=text, model=build_model(op, inputs, output), inputs=tuple(values), run=run)


def _parts(
    rng: np.random.Generator, shape: tuple[int, ...], axis: int, source: float, bias: str | None, taps: int
) -> tuple[list[Tensor], float]:
    """Weights and bias, and the real span of their sums."""
    channels = shape[axis]
    per_channel = bool(rng.random() < 0.7)
    scales = [pick_scale(rng, 1e-3, 1e-1) for _ in range(channels if per_channel else 1)]
    weights = Tensor(
        shape=shape,
        dtype="int8",
        scales=scales,
        zero_points=[0] * len(scales),
        quantized_dimension=axis if per_channel else 0,
        data=rng.integers(-127, 128, shape).astype(np.int8),
    )
    parts = [weights]
    if bias:
        most = 1 << (30 if rng.random() < 0.1 and bias == "int64" else 22)
        products = [source * scale for scale in scales]
        data = rng.integers(-most, most, channels).astype(bias)
        parts.append(Tensor(shape=(channels,), dtype=bias, scales=products, zero_points=[0] * len(products), data=data))
    return parts, max(scales) * source * 32768 * 64 * float(np.sqrt(taps)) * 2


def _output_scale(rng: np.random.Generator, span: float) -> float:
    return float(np.float32(span / 32768 * np.exp(rng.uniform(np.log(0.1), np.log(3)))))


def window(rng: np.random.Generator, depthwise: bool, bias: str = "int64") -> Case:
    """A convolution with a bias of that type; tflite-runtime 2.14 has none without."""
    groups = 1 if depthwise else int(rng.choice([1, 1, 1, 2]))
    inputs = int(rng.integers(1, 7)) * groups
    depth = int(rng.choice([1, 1, 2])) if depthwise else inputs // groups
    channels = inputs * depth if depthwise else groups * int(rng.integers(1, 6))
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 3, 2)
    dilation = rng.integers(1, 3, 2) if rng.random() < 0.3 else np.array([1, 1])
    padding = str(rng.choice(["SAME", "VALID"]))
    size = (kernel - 1) * dilation + 1 + rng.integers(0, 6, 2)
    places = [qp.window(padding, int(size[i]), int(kernel[i]), int(stride[i]), int(dilation[i])) for i in range(2)]
    source = pick_scale(rng)
    shape = (1, *map(int, kernel), channels) if depthwise else (channels, *map(int, kernel), depth)
    taps = int(kernel[0] * kernel[1]) * (1 if depthwise else depth)
    parts, span = _parts(rng, shape, 3 if depthwise else 0, source, bias, taps)
    options = {
        "Padding": padding_code(padding),
        "StrideH": int(stride[0]),
        "StrideW": int(stride[1]),
        "DilationHFactor": int(dilation[0]),
        "DilationWFactor": int(dilation[1]),
        "FusedActivationFunction": activation_code(str(rng.choice(["NONE", "RELU", "RELU6"]))),
    }
    table = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
    if depthwise:
        options["DepthMultiplier"] = depth
    batches = int(rng.choice([1, 1, 2]))
    values = values_of(rng, (batches, *map(int, size), inputs))
    return plan_case(
        Op(name="DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", options_table=table, options=options),
        [activation(values.shape, source), *parts],
        activation((batches, places[0].output, places[1].output, channels), _output_scale(rng, span)),
        [values],
        f"{values.shape} {shape} {padding} stride {stride} dilation {dilation} bias {bias}",
    )


def conv(rng: np.random.Generator) -> Case:
    return window(rng, depthwise=False)


def depthwise(rng: np.random.Generator) -> Case:
    return window(rng, depthwise=True)


def fully_connected(rng: np.random.Generator) -> Case:
    return dense(rng, "int64" if rng.random() < 0.6 else None)


def dense(rng: np.random.Generator, bias: str | None) -> Case:
    batches, inputs, outputs = (int(n) for n in rng.integers(1, [4, 40, 12]))
    source = pick_scale(rng)
    parts, span = _parts(rng, (outputs, inputs), 0, source, bias, inputs)
    values = values_of(rng, (batches, inputs))
    return plan_case(
        Op(name="FULLY_CONNECTED", options_table="FullyConnectedOptions"),
        [activation(values.shape, source), *parts],
        activation((batches, outputs), _output_scale(rng, span)),
        [values],
        f"{values.shape} -> {outputs}, {len(parts[0].scales)} scales, bias {bias}",
    )


def transpose_conv(rng: np.random.Generator, dtype: str = "int16") -> Case:
    inputs, outputs = (int(n) for n in rng.integers(1, 6, 2))
    size, kernel, stride = rng.integers(1, 6, 2), rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    spatial = size * stride if padding == "SAME" else (size - 1) * stride + kernel
    if padding == "SAME":
        spatial = spatial - rng.integers(0, stride)
    shape = (outputs, int(kernel[0]), int(kernel[1]), inputs)
    source = pick_scale(rng) if dtype == "int16" else pick_scale(rng, 1e-3, 1e-1)
    bias = [None, "int64" if dtype == "int16" else "int32"][rng.integers(2)]
    parts, span = _parts(rng, shape, 0, source, bias, int(kernel[0] * kernel[1]) * inputs)
    zero_points = (0, 0) if dtype == "int16" else tuple(int(n) for n in rng.integers(-128, 128, 2))
    scale = _output_scale(rng, span)
    asked = np.array([1, *spatial, outputs], np.int32)
    values = values_of(rng, (1, *map(int, size), inputs), dtype)
    options = {"Padding": padding_code(padding), "StrideH": int(stride[0]), "StrideW": int(stride[1])}
    return plan_case(
        Op(name="TRANSPOSE_CONV", options_table="TransposeConvOptions", options=options),
        [index_tensor(asked), parts[0], activation(values.shape, source, dtype, zero_points[0]), *parts[1:]],
        activation(tuple(int(n) for n in asked), scale, dtype, zero_points[1]),
        [values],
        f"{values.shape} {shape} {padding} stride {stride} to {asked} bias {bias}",
    )


def transpose_conv_int8(rng: np.random.Generator) -> Case:
    return transpose_conv(rng, "int8")


def _pair(rng: np.random.Generator, op: str) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 6, rng.integers(1, 5)))
    other = tuple(1 if rng.random() < 0.3 else n for n in shape)
    values = [values_of(rng, shape), values_of(rng, other)]
    if rng.random() < 0.5:
        values.reverse()
    scales = [pick_scale(rng, 1e-4, 1e-3) for _ in range(2)]
    inputs = [activation(one.shape, scale) for one, scale in zip(values, scales, strict=True)]
    options = {"PotScaleInt16": False, "FusedActivationFunction": activation_code(str(rng.choice(["NONE", "RELU"])))}
    return plan_case(
        Op(name=op, options_table=f"{op.title()}Options", options=options),
        inputs,
        activation(shape, max(scales) * float(rng.uniform(0.5, 3))),
        values,
        f"{[one.shape for one in values]} {scales}",
    )


def add(rng: np.random.Generator) -> Case:
    return _pair(rng, "ADD")


def sub(rng: np.random.Generator) -> Case:
    return _pair(rng, "SUB")


def leaky_relu(rng: np.random.Generator) -> Case:
    values = values_of(rng, (1, int(rng.integers(1, 50))))
    scale = pick_scale(rng)
    return plan_case(
        Op(name="LEAKY_RELU", options_table="LeakyReluOptions", options={"Alpha": float(rng.uniform(-0.5, 1.5))}),
        [activation(values.shape, scale)],
        activation(values.shape, scale * float(rng.uniform(0.4, 3))),
        [values],
        f"{values.shape}",
    )


def quantize(rng: np.random.Generator) -> Case:
    source, target = [("int16", "int32"), ("int32", "int16"), ("int16", "int8"), ("int16", "int16")][rng.integers(4)]
    values = values_of(rng, (1, int(rng.integers(1, 60))), source)
    scale = pick_scale(rng, 1e-6, 1e-2)
    zero_points = [int(rng.integers(-128, 128)) if dtype == "int8" else 0 for dtype in (source, target)]
    return plan_case(
        Op(name="QUANTIZE", options_table="QuantizeOptions"),
        [activation(values.shape, scale, source, zero_points[0])],
        activation(values.shape, pick_scale(rng, 1e-6, 1e-2), target, zero_points[1]),
        [values],
        f"{source} to {target}",
    )


def pad(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 5, 4))
    paddings = rng.integers(0, 3, (4, 2)).astype(np.int32)
    values, scale = values_of(rng, shape), pick_scale(rng)
    target = tuple(int(n + p.sum()) for n, p in zip(shape, paddings, strict=True))
    return plan_case(
        Op(name="PAD", options_table="PadOptions"),
        [activation(shape, scale), index_tensor(paddings)],
        activation(target, scale),
        [values],
        f"{shape} {paddings.tolist()}",
    )


def strided_slice(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 7, 4))
    begin = np.array([rng.integers(0, n) for n in shape])
    end = np.array([rng.integers(b + 1, n + 1) for b, n in zip(begin, shape, strict=True)])
    steps = rng.integers(1, 3, 4)
    values, scale = values_of(rng, shape), pick_scale(rng)
    target = tuple(int(-(-(e - b) // s)) for b, e, s in zip(begin, end, steps, strict=True))
    return plan_case(
        Op(name="STRIDED_SLICE", options_table="StridedSliceOptions"),
        [activation(shape, scale), *(index_tensor(one) for one in (begin, end, steps))],
        activation(target, scale),
        [values],
        f"{shape} {begin}:{end}:{steps}",
    )


def transpose(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 6, rng.integers(2, 5)))
    order = rng.permutation(len(shape))
    values, scale = values_of(rng, shape), pick_scale(rng)
    return plan_case(
        Op(name="TRANSPOSE", options_table="TransposeOptions"),
        [activation(shape, scale), index_tensor(order)],
        activation(tuple(shape[axis] for axis in order), scale),
        [values],
        f"{shape} {order}",
    )


def concatenation(rng: np.random.Generator) -> Case:
    shape = [int(n) for n in rng.integers(1, 5, 3)]
    axis = int(rng.integers(3))
    scale = pick_scale(rng)
    values = []
    for _ in range(int(rng.integers(1, 4))):
        shape[axis] = int(rng.integers(1, 5))
        values.append(values_of(rng, tuple(shape)))
    shape[axis] = sum(one.shape[axis] for one in values)
    return plan_case(
        Op(name="CONCATENATION", options_table="ConcatenationOptions", options={"Axis": axis}),
        [activation(one.shape, scale) for one in values],
        activation(tuple(shape), scale),
        values,
        f"{[one.shape for one in values]} along {axis}",
    )


WIDE_GENERATORS: dict[str, WideGenerator] = {
    function.__name__: function
    for function in (
        conv,
        depthwise,
        fully_connected,
        transpose_conv,
        transpose_conv_int8,
        add,
        sub,
        leaky_relu,
        quantize,
        pad,
        strided_slice,
        transpose,
        concatenation,
    )
}


def make_wide_cases(name: str, count: int, *, seed: int = 0) -> list[Case]:
    """The same cases on every machine."""
    generators = every_generator()
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return [generators[name](rng) for _ in range(count)]


def all_generators() -> dict[str, WideGenerator]:
    """Single ops that go through the plan runtime only, and that tflite-runtime 2.14.0 has."""
    from tests.support.cases_16 import REFERENCE_16
    from tests.support.cases_from_64 import GENERATORS_FROM_64
    from tests.support.more_cases import MORE_GENERATORS
    from tests.support.more_cases_16 import MORE_GENERATORS_16

    return {**WIDE_GENERATORS, **MORE_GENERATORS, **MORE_GENERATORS_16, **GENERATORS_FROM_64, **REFERENCE_16}


def every_generator() -> dict[str, WideGenerator]:
    """Those, and what tflite-runtime 2.14.0 does not have: LiteRT, TensorFlow Lite Micro or a test's definition is followed."""
    from tests.support.cases_16 import LITERT_16, MICRO_16
    from tests.support.cases_from_64 import PLAN_ONLY_GENERATORS

    return {**all_generators(), **LITERT_16, **MICRO_16, **PLAN_ONLY_GENERATORS}
