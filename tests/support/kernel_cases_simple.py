"""Random cases of pooling, MEAN, activations, SOFTMAX, QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support.kernel_cases import (
    ACTIVATIONS,
    Case,
    Quantized,
    activation_tensor,
    index_tensor,
    limits,
    pick_dtype,
    pick_output,
    pick_quantized,
    random_int8,
    stored,
)
from tests.support.kernels_abi import Kernels, struct
from tests.support.op_models import Op, Tensor, activation_code, build_model, padding_code

UNIT_OUTPUT = Quantized(scale=np.float32(1 / 256), zero_point=-128)


def pick_shape(rng: np.random.Generator, rank_high: int = 4, size_high: int = 7) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.integers(1, size_high + 1, int(rng.integers(1, rank_high + 1))))


def max_pool_case(rng: np.random.Generator) -> Case:
    return _pool_case(rng, "MAX_POOL_2D", "kn_max_pool_2d")


def average_pool_case(rng: np.random.Generator) -> Case:
    return _pool_case(rng, "AVERAGE_POOL_2D", "kn_average_pool_2d")


def _pool_case(rng: np.random.Generator, op: str, function: str) -> Case:
    dtype, q = pick_dtype(rng), pick_quantized(rng)
    kernel, stride = rng.integers(1, 6, 2), rng.integers(1, 4, 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    size = rng.integers(1, 13, 2) if padding == "SAME" else kernel + rng.integers(0, 8, 2)
    windows = [qp.window(padding, int(size[i]), int(kernel[i]), int(stride[i])) for i in range(2)]
    values = random_int8(rng, (int(rng.integers(1, 3)), int(size[0]), int(size[1]), int(rng.integers(1, 9))))
    activation = str(rng.choice(ACTIVATIONS))
    batches, channels = values.shape[0], values.shape[3]
    params = struct(
        "kn_pool_params",
        batches=batches,
        channels=channels,
        input_height=size[0],
        input_width=size[1],
        output_height=windows[0].output,
        output_width=windows[1].output,
        filter_height=kernel[0],
        filter_width=kernel[1],
        stride_height=stride[0],
        stride_width=stride[1],
        pad_top=windows[0].before,
        pad_left=windows[1].before,
        is_uint8=dtype == "uint8",
        **limits(qp.activation_range(activation, q.scale, q.zero_point)),
    )
    output_shape = (batches, windows[0].output, windows[1].output, channels)

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        kernels.call(function, params, values, output)
        return output

    options = {
        "Padding": padding_code(padding),
        "StrideW": int(stride[1]),
        "StrideH": int(stride[0]),
        "FilterWidth": int(kernel[1]),
        "FilterHeight": int(kernel[0]),
        "FusedActivationFunction": activation_code(activation),
    }
    model = build_model(
        Op(name=op, options_table="Pool2DOptions", options=options),
        [activation_tensor(values.shape, dtype, q)],
        activation_tensor(output_shape, dtype, q),
    )
    text = f"{dtype} {values.shape} kernel {kernel} stride {stride} {padding} {activation}"
    return Case(op=op, text=text, model=model, inputs=(stored(values, dtype),), run=run, dtype=dtype)


def mean_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng)
    values = random_int8(rng, pick_shape(rng, rank_high=5, size_high=9))
    rank = values.ndim
    axes = rng.permutation(rank)[: int(rng.integers(1, rank + 1))]
    keep_dims = bool(rng.integers(0, 2))
    same = rng.random() < 0.3
    target = source if same else pick_output(rng, float(source.scale) * 100.0)
    output_shape = tuple(1 if d in axes else n for d, n in enumerate(values.shape) if keep_dims or d not in axes)
    elements = int(np.prod([values.shape[axis] for axis in axes]))
    scale = qp.mean_multiplier(source.scale, target.scale, elements)
    params = struct(
        "kn_mean_params",
        rank=rank,
        dims=values.shape,
        reduced=[d in axes for d in range(rank)],
        input_zero_point=source.zero_point,
        output_zero_point=target.zero_point,
        multiplier=scale.multiplier,
        shift=scale.shift,
        rounding=0,
    )

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        kernels.call("kn_mean", params, values, output)
        return output

    written_axes = np.array([axis - rank if rng.random() < 0.3 else axis for axis in axes])
    model = build_model(
        Op(name="MEAN", options_table="ReducerOptions", options={"KeepDims": keep_dims}),
        [activation_tensor(values.shape, dtype, source), index_tensor(written_axes)],
        activation_tensor(output_shape, dtype, target),
    )
    text = f"{dtype} {values.shape} axes {axes} keep_dims={keep_dims}"
    return Case(op="MEAN", text=text, model=model, inputs=(stored(values, dtype),), run=run, dtype=dtype)


def _unary_case(
    rng: np.random.Generator,
    op: Op,
    dtype: str,
    source: Quantized,
    target: Quantized,
    function: str,
    first: object,
    values: np.ndarray | None = None,
) -> Case:
    """A case whose kernel takes (first argument, count, input, output)."""
    data = random_int8(rng, pick_shape(rng)) if values is None else values

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(data.shape, np.int8)
        kernels.call(function, first, data.size, data, output)
        return output

    model = build_model(
        op, [activation_tensor(data.shape, dtype, source)], activation_tensor(data.shape, dtype, target)
    )
    return Case(
        op=op.name,
        text=f"{dtype} {data.shape} {source} -> {target}",
        model=model,
        inputs=(stored(data, dtype),),
        run=run,
        dtype=dtype,
    )


def all_values() -> np.ndarray:
    return np.arange(-128, 128).astype(np.int8)


def relu_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng)
    name = str(rng.choice(["RELU", "RELU6", "RELU_N1_TO_1"]))
    target = source if rng.random() < 0.3 else pick_output(rng, float(source.scale) * 255.0)
    scale = qp.relu_multiplier(source.scale, target.scale)
    params = struct(
        "kn_rescale_params",
        input_zero_point=source.zero_point,
        output_zero_point=target.zero_point,
        multiplier=scale.multiplier,
        shift=scale.shift,
        rounding=0,
        **limits(qp.activation_range(name, target.scale, target.zero_point)),
    )
    return _unary_case(rng, Op(name=name), dtype, source, target, "kn_rescale", params, all_values())


def leaky_relu_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng)
    target = pick_output(rng, float(source.scale) * 255.0)
    alpha = np.float32(rng.uniform(-0.5, 1.5))
    made = qp.leaky_relu_params(source.scale, alpha, target.scale)
    params = struct(
        "kn_leaky_relu_params",
        input_zero_point=source.zero_point,
        output_zero_point=target.zero_point,
        multiplier=made.identity.multiplier,
        shift=made.identity.shift,
        alpha_multiplier=made.alpha.multiplier,
        alpha_shift=made.alpha.shift,
    )
    op = Op(name="LEAKY_RELU", options_table="LeakyReluOptions", options={"Alpha": float(alpha)})
    return _unary_case(rng, op, dtype, source, target, "kn_leaky_relu", params, all_values())


def hard_swish_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng, 5e-3, 1.0)
    target = Quantized(
        scale=np.float32(float(source.scale) * np.exp(rng.uniform(np.log(0.02), np.log(10)))),
        zero_point=int(rng.integers(-128, 128)),
    )
    made = qp.hard_swish_params(source.scale, target.scale)
    params = struct(
        "kn_hard_swish_params",
        input_zero_point=source.zero_point,
        output_zero_point=target.zero_point,
        output_multiplier=made.output_multiplier,
        output_shift=made.output_shift,
        relu_multiplier=made.relu_multiplier,
        relu_shift=made.relu_shift,
    )
    return _unary_case(
        rng,
        Op(name="HARD_SWISH", options_table="HardSwishOptions"),
        dtype,
        source,
        target,
        "kn_hard_swish",
        params,
        all_values(),
    )


def logistic_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng, 1e-3, 2.0)
    target = (
        UNIT_OUTPUT
        if rng.random() < 0.7
        else Quantized(scale=UNIT_OUTPUT.scale, zero_point=int(rng.integers(-128, 128)))
    )
    table = qp.logistic_table(source.scale, source.zero_point, target.scale, target.zero_point)
    return _unary_case(rng, Op(name="LOGISTIC"), dtype, source, target, "kn_lookup", table, all_values())


def tanh_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng, 1e-3, 1.0)
    target = Quantized(scale=np.float32(1 / 128), zero_point=0) if rng.random() < 0.5 else pick_output(rng, 2.0)
    table = qp.tanh_table(source.scale, source.zero_point, target.scale, target.zero_point)
    return _unary_case(rng, Op(name="TANH"), dtype, source, target, "kn_lookup", table, all_values())


def softmax_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng, 1e-4, 0.3)
    beta = np.float32(1.0) if rng.random() < 0.6 else np.float32(np.exp(rng.uniform(-2, 2)))
    depth = int(rng.choice([1, 2, 3, 10, 17, 100, 511, 1001]))
    shape = (*pick_shape(rng, rank_high=3, size_high=5), depth)
    values = random_int8(rng, shape)
    if depth > 511:  # the reference is undefined where exponentials, relative to the row's maximum, sum to 512 or more
        values[..., 0], values[..., 400:] = 127, -128
        source, beta = (
            Quantized(scale=max(source.scale, np.float32(0.1)), zero_point=source.zero_point),
            np.float32(1.0),
        )
    made = qp.softmax_params(source.scale, beta)
    params = struct(
        "kn_softmax_params",
        rows=values.size // shape[-1],
        depth=shape[-1],
        multiplier=made.scale.multiplier,
        shift=made.scale.shift,
        difference_min=made.difference_min,
    )

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(shape, np.int8)
        kernels.call("kn_softmax", params, values, output)
        return output

    model = build_model(
        Op(name="SOFTMAX", options_table="SoftmaxOptions", options={"Beta": float(beta)}),
        [activation_tensor(shape, dtype, source)],
        activation_tensor(shape, dtype, UNIT_OUTPUT),
    )
    return Case(
        op="SOFTMAX",
        text=f"{dtype} {shape} scale {source.scale} beta {beta}",
        model=model,
        inputs=(stored(values, dtype),),
        run=run,
        dtype=dtype,
    )


def requantize_case(rng: np.random.Generator) -> Case:
    """QUANTIZE between int8 and uint8 in all four combinations, equal scales among them."""
    from_dtype, to_dtype = pick_dtype(rng), pick_dtype(rng)
    source = pick_quantized(rng)
    target = pick_output(rng, float(source.scale) * 255.0)
    if rng.random() < 0.3:
        target = Quantized(
            scale=source.scale, zero_point=source.zero_point if rng.random() < 0.5 else target.zero_point
        )
    scale = qp.requantize_multiplier(source.scale, target.scale)
    params = struct(
        "kn_rescale_params",
        input_zero_point=source.zero_point,
        output_zero_point=target.zero_point,
        multiplier=scale.multiplier,
        shift=scale.shift,
        rounding=0,
        activation_min=-128,
        activation_max=127,
    )
    values = all_values()

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(values.shape, np.int8)
        kernels.call("kn_rescale", params, values.size, values, output)
        return output

    model = build_model(
        Op(name="QUANTIZE", options_table="QuantizeOptions"),
        [activation_tensor(values.shape, from_dtype, source)],
        activation_tensor(values.shape, to_dtype, target),
    )
    return Case(
        op="QUANTIZE",
        text=f"{from_dtype} {source} -> {to_dtype} {target}",
        model=model,
        inputs=(stored(values, from_dtype),),
        run=run,
        dtype=to_dtype,
    )


def quantize_case(rng: np.random.Generator) -> Case:
    dtype, target = pick_dtype(rng), pick_quantized(rng)
    shape = pick_shape(rng)
    values = (rng.normal(0, 60.0, shape) * target.scale).astype(np.float32)
    if rng.random() < 0.5:  # exact halves, where the rounding rule shows
        values = ((rng.integers(-140, 140, shape) + 0.5).astype(np.float32) * target.scale).astype(np.float32)

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(shape, np.int8)
        kernels.call("kn_quantize", target.scale, target.zero_point, values.size, values, output)
        return output

    model = build_model(
        Op(name="QUANTIZE", options_table="QuantizeOptions"),
        [Tensor(shape=shape, dtype="float32")],
        activation_tensor(shape, dtype, target),
    )
    return Case(
        op="QUANTIZE", text=f"float32 {shape} -> {dtype} {target}", model=model, inputs=(values,), run=run, dtype=dtype
    )


def dequantize_case(rng: np.random.Generator) -> Case:
    dtype, source = pick_dtype(rng), pick_quantized(rng)
    values = all_values()

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(values.shape, np.float32)
        kernels.call("kn_dequantize", source.scale, source.zero_point, values.size, values, output)
        return output

    model = build_model(
        Op(name="DEQUANTIZE", options_table="DequantizeOptions"),
        [activation_tensor(values.shape, dtype, source)],
        Tensor(shape=values.shape, dtype="float32"),
    )
    return Case(
        op="DEQUANTIZE", text=f"{dtype} {source}", model=model, inputs=(stored(values, dtype),), run=run, dtype=dtype
    )
