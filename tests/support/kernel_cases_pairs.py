"""Random cases of ops with two inputs (ADD, SUB, MUL, MAXIMUM, MINIMUM) and of those that only move values."""

from __future__ import annotations

import ctypes

import numpy as np

from harness.tflite import quantized_params as qp
from tests.support.kernel_cases import (
    ACTIVATIONS,
    Case,
    activation_tensor,
    index_tensor,
    limits,
    pick_dtype,
    pick_output,
    pick_quantized,
    random_int8,
    stored,
)
from tests.support.kernel_cases_simple import pick_shape
from tests.support.kernels_abi import Kernels, pointers, struct, structures
from tests.support.op_models import Op, activation_code, build_model

_PAIR_OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
}


def add_case(rng: np.random.Generator) -> Case:
    return _sum_case(rng, "ADD")


def sub_case(rng: np.random.Generator) -> Case:
    return _sum_case(rng, "SUB")


def _sum_case(rng: np.random.Generator, op: str) -> Case:
    dtype, q1, q2 = pick_dtype(rng), pick_quantized(rng), pick_quantized(rng)
    target = pick_output(rng, 255.0 * float(q1.scale + q2.scale))
    activation = str(rng.choice(ACTIVATIONS))
    made = qp.add_params(q1.scale, q2.scale, target.scale)
    params = struct(
        "kn_add_params",
        left_shift=made.left_shift,
        input1_offset=-q1.zero_point,
        input2_offset=-q2.zero_point,
        input1_multiplier=made.input1.multiplier,
        input1_shift=made.input1.shift,
        input2_multiplier=made.input2.multiplier,
        input2_shift=made.input2.shift,
        output_offset=target.zero_point,
        output_multiplier=made.output.multiplier,
        output_shift=made.output.shift,
        rounding=0,
        **limits(qp.activation_range(activation, target.scale, target.zero_point)),
    )
    return _pair_case(rng, op, dtype, (q1, q2, target), [params], activation)


def mul_case(rng: np.random.Generator) -> Case:
    dtype, q1, q2 = pick_dtype(rng), pick_quantized(rng), pick_quantized(rng)
    target = pick_output(rng, 255.0 * 128.0 * float(q1.scale * q2.scale))
    activation = str(rng.choice(ACTIVATIONS))
    scale = qp.mul_multiplier(q1.scale, q2.scale, target.scale)
    params = struct(
        "kn_mul_params",
        input1_offset=-q1.zero_point,
        input2_offset=-q2.zero_point,
        output_offset=target.zero_point,
        multiplier=scale.multiplier,
        shift=scale.shift,
        rounding=0,
        **limits(qp.activation_range(activation, target.scale, target.zero_point)),
    )
    return _pair_case(rng, "MUL", dtype, (q1, q2, target), [params], activation)


def maximum_case(rng: np.random.Generator) -> Case:
    q = pick_quantized(rng)
    return _pair_case(rng, "MAXIMUM", pick_dtype(rng), (q, q, q), [], None)


def minimum_case(rng: np.random.Generator) -> Case:
    q = pick_quantized(rng)
    return _pair_case(rng, "MINIMUM", pick_dtype(rng), (q, q, q), [], None)


def _pair_shapes(rng: np.random.Generator, rank_high: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that fit together; the same one twice in half of the cases."""
    full = pick_shape(rng, rank_high=rank_high, size_high=5)
    if rng.random() < 0.5:
        return full, full
    thin = [tuple(1 if rng.random() < 0.4 else size for size in full) for _ in range(2)]
    # Each dimension of the output must come from one of the two.
    first = tuple(
        size if 1 in (a, b) and a != size and b != size else a for a, b, size in zip(*thin, full, strict=True)
    )
    second = thin[1][int(rng.integers(0, len(full) + 1)) :] if rng.random() < 0.3 else thin[1]
    return (first, second) if rng.random() < 0.5 else (second, first)


def _pair_case(
    rng: np.random.Generator, op: str, dtype: str, quantized: tuple, params: list, activation: str | None
) -> Case:
    q1, q2, target = quantized
    shapes = _pair_shapes(rng, rank_high=4)
    values = [random_int8(rng, shape) for shape in shapes]
    constant = rng.random() < 0.2
    output_shape = np.broadcast_shapes(*shapes)

    def run(kernels: Kernels) -> np.ndarray:
        broadcast = structures()["kn_broadcast"]()
        dims = [(ctypes.c_int32 * len(shape))(*shape) for shape in shapes]
        elements = kernels.call("kn_broadcast_make", broadcast, len(shapes[0]), dims[0], len(shapes[1]), dims[1])
        output = np.empty(output_shape, np.int8)
        assert elements == output.size
        kernels.call(f"kn_{op.lower()}", *params, broadcast, values[0], values[1], output)
        return output

    options = {} if activation is None else {"FusedActivationFunction": activation_code(activation)}
    model = build_model(
        Op(name=op, options_table=_PAIR_OPTIONS[op], options=options),
        [
            activation_tensor(shapes[0], dtype, q1),
            activation_tensor(shapes[1], dtype, q2, values[1] if constant else None),
        ],
        activation_tensor(output_shape, dtype, target),
    )
    inputs = tuple(stored(value, dtype) for value in (values[:1] if constant else values))
    return Case(
        op=op,
        text=f"{dtype} {shapes[0]} and {shapes[1]} {quantized} {activation}",
        model=model,
        inputs=inputs,
        run=run,
        dtype=dtype,
    )


def concatenation_case(rng: np.random.Generator) -> Case:
    """Int8 inputs share the output's scale; uint8 inputs need not."""
    dtype, target = pick_dtype(rng), pick_quantized(rng)
    base = pick_shape(rng, rank_high=4, size_high=4)
    axis = int(rng.integers(0, len(base)))
    shapes = [(*base[:axis], int(rng.integers(1, 5)), *base[axis + 1 :]) for _ in range(int(rng.integers(1, 5)))]
    quantized = [target if dtype == "int8" or rng.random() < 0.3 else pick_quantized(rng) for _ in shapes]
    values = [random_int8(rng, shape) for shape in shapes]
    tables = [
        None if q == target else qp.concatenation_table(q.scale, q.zero_point, target.scale, target.zero_point)
        for q in quantized
    ]
    output_shape = (*base[:axis], sum(shape[axis] for shape in shapes), *base[axis + 1 :])
    outer = int(np.prod(base[:axis], dtype=np.int64))
    inner = np.array([value.size // outer for value in values], np.int32)

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        table_pointers = pointers(tables) if any(table is not None for table in tables) else None
        kernels.call("kn_concatenation", outer, len(values), inner, pointers(list(values)), table_pointers, output)
        return output

    written_axis = axis - len(base) if rng.random() < 0.3 else axis
    model = build_model(
        Op(name="CONCATENATION", options_table="ConcatenationOptions", options={"Axis": written_axis}),
        [activation_tensor(shape, dtype, q) for shape, q in zip(shapes, quantized, strict=True)],
        activation_tensor(output_shape, dtype, target),
    )
    return Case(
        op="CONCATENATION",
        text=f"{dtype} {shapes} axis {axis} {quantized}",
        model=model,
        inputs=tuple(stored(value, dtype) for value in values),
        run=run,
        dtype=dtype,
    )


def pad_case(rng: np.random.Generator) -> Case:
    """PAD with the zero point, or PADV2 with a constant of its own."""
    dtype, q = pick_dtype(rng), pick_quantized(rng)
    values = random_int8(rng, pick_shape(rng, rank_high=5, size_high=5))
    paddings = rng.integers(0, 4, (values.ndim, 2))
    output_shape = tuple(int(size + sum(paddings[d])) for d, size in enumerate(values.shape))
    own_value = rng.random() < 0.4
    value = int(rng.integers(-128, 128)) if own_value else q.zero_point
    params = struct(
        "kn_pad_params",
        rank=values.ndim,
        input_dims=values.shape,
        before=paddings[:, 0],
        after=paddings[:, 1],
        value=value,
    )

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        kernels.call("kn_pad", params, values, output)
        return output

    tensors = [activation_tensor(values.shape, dtype, q), index_tensor(paddings)]
    if own_value:
        tensors.append(activation_tensor((1,), dtype, q, np.array([value], np.int8)))
    op = Op(name="PADV2", options_table="PadV2Options") if own_value else Op(name="PAD", options_table="PadOptions")
    model = build_model(op, tensors, activation_tensor(output_shape, dtype, q))
    return Case(
        op=op.name,
        text=f"{dtype} {values.shape} by {paddings.tolist()}",
        model=model,
        inputs=(stored(values, dtype),),
        run=run,
        dtype=dtype,
    )


def reshape_case(rng: np.random.Generator) -> Case:
    dtype, q = pick_dtype(rng), pick_quantized(rng)
    values = random_int8(rng, pick_shape(rng))
    new_shape = tuple(int(size) for size in rng.permutation([*values.shape, 1]))

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(new_shape, np.int8)
        kernels.call("kn_reshape", values.size, values, output)
        return output

    model = build_model(
        Op(name="RESHAPE", options_table="ReshapeOptions", options={"NewShape": list(new_shape)}),
        [activation_tensor(values.shape, dtype, q), index_tensor(np.array(new_shape))],
        activation_tensor(new_shape, dtype, q),
    )
    return Case(
        op="RESHAPE",
        text=f"{dtype} {values.shape} to {new_shape}",
        model=model,
        inputs=(stored(values, dtype),),
        run=run,
        dtype=dtype,
    )


def transpose_case(rng: np.random.Generator) -> Case:
    values = random_int8(rng, pick_shape(rng))
    order = rng.permutation(values.ndim)
    strides = [values.strides[axis] for axis in order]
    output_shape = tuple(values.shape[axis] for axis in order)
    return _view_case(
        rng, Op(name="TRANSPOSE", options_table="TransposeOptions"), values, [order], output_shape, strides, 0
    )


def strided_slice_case(rng: np.random.Generator) -> Case:
    values = random_int8(rng, pick_shape(rng, size_high=9))
    begin, end, step, output_shape = [], [], [], []
    for size in values.shape:
        forward = rng.random() < 0.7
        low, high = np.sort(rng.integers(0, size, 2))
        step.append(int(rng.integers(1, 4)) * (1 if forward else -1))
        begin.append(int(low if forward else high))
        # One past the last element; before the first one is written as a number below -size, which is clamped.
        last = int(high + 1 if forward else low - 1)
        end.append(last if last >= 0 else -size - 1)
        output_shape.append(len(range(begin[-1], last, step[-1])))
    strides = [values.strides[d] * step[d] for d in range(values.ndim)]
    start = sum(begin[d] * values.strides[d] for d in range(values.ndim))
    op = Op(name="STRIDED_SLICE", options_table="StridedSliceOptions")
    return _view_case(
        rng, op, values, [np.array(begin), np.array(end), np.array(step)], tuple(output_shape), strides, start
    )


def _view_case(
    rng: np.random.Generator,
    op: Op,
    values: np.ndarray,
    indices: list[np.ndarray],
    output_shape: tuple[int, ...],
    strides: list[int],
    start: int,
) -> Case:
    dtype, q = pick_dtype(rng), pick_quantized(rng)
    view = struct("kn_view", rank=values.ndim, dims=output_shape, strides=strides, start=start)

    def run(kernels: Kernels) -> np.ndarray:
        output = np.empty(output_shape, np.int8)
        kernels.call("kn_gather", view, values, output)
        return output

    model = build_model(
        op,
        [activation_tensor(values.shape, dtype, q), *[index_tensor(index) for index in indices]],
        activation_tensor(output_shape, dtype, q),
    )
    return Case(
        op=op.name,
        text=f"{dtype} {values.shape} {[index.tolist() for index in indices]}",
        model=model,
        inputs=(stored(values, dtype),),
        run=run,
        dtype=dtype,
    )
