"""Random models of the ops from number 64 on, and of indices that move; the reference runtime says what is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.support.int4_models import twins
from tests.support.kernel_cases import Case, Generator, index_tensor, stored
from tests.support.kernel_cases_conv import conv_case, depthwise_case, fully_connected_case
from tests.support.more_cases import arg_extreme, pair_of
from tests.support.op_models import Op, Tensor, activation_code
from tests.support.wide_cases import RANGES, WideGenerator, activation, pick_scale, plan_case, values_of

_MOVED = ("int8", "uint8", "int16", "int32")
_DIVISIONS = ("DIV", "FLOOR_DIV", "FLOOR_MOD")


def _sizes(rng: np.random.Generator, rank: int, most: int = 6) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, most, rank))


def _source(rng: np.random.Generator, shape: tuple[int, ...], *, types: tuple[str, ...] = _MOVED) -> Tensor:
    """What is picked from: an input of the model or, as an embedding's table, a constant."""
    dtype = str(rng.choice(types))
    scale = pick_scale(rng, 1e-3, 0.1)
    values = rng.integers(0, 256, shape).astype(np.uint8) if dtype == "uint8" else values_of(rng, shape, dtype)
    plain = Tensor(shape=shape, dtype=dtype, data=values if rng.random() < 0.5 else None)
    return plain if dtype == "int32" else replace(plain, scales=(scale,), zero_points=(0,))


def _picked(
    rng: np.random.Generator, op: Op, source: Tensor, indices: np.ndarray, shape: tuple[int, ...], text: str
) -> Case:
    values = [indices]
    if source.data is None:
        whole = np.random.default_rng(indices.size)
        low, high = (0, 255) if source.dtype == "uint8" else RANGES[source.dtype]
        values.insert(0, whole.integers(low, high + 1, source.shape).astype(source.dtype))
    asked = Tensor(shape=indices.shape, dtype=indices.dtype.name)
    return plan_case(op, [source, asked], replace(source, shape=shape, data=None), values, text)


def take(rng: np.random.Generator) -> Case:
    """GATHER by indices that are an input, with batches of them now and then."""
    shape = _sizes(rng, int(rng.integers(1, 5)))
    axis = int(rng.integers(len(shape)))
    batches = int(rng.integers(0, axis + 1)) if rng.random() < 0.4 else 0
    picked = (*shape[:batches], *_sizes(rng, int(rng.integers(0 if batches else 1, 3))))
    dtype = str(rng.choice(["int32", "int64"]))
    indices = rng.integers(0, shape[axis], picked).astype(dtype)
    options = {"Axis": axis - len(shape) if rng.random() < 0.3 and not batches else axis, "BatchDims": batches}
    op = Op(name="GATHER", options_table="GatherOptions", options=options)
    target = (*shape[:axis], *picked[batches:], *shape[axis + 1 :])
    return _picked(rng, op, _source(rng, shape), indices, target, f"{shape} by {dtype} {picked} {options}")


def take_nd(rng: np.random.Generator) -> Case:
    shape = _sizes(rng, int(rng.integers(1, 5)))
    depth = int(rng.integers(1, len(shape) + 1))
    lead = _sizes(rng, int(rng.integers(1, 3)))
    dtype = str(rng.choice(["int32", "int64"]))
    indices = np.stack([rng.integers(0, size, lead) for size in shape[:depth]], axis=-1).astype(dtype)
    op = Op(name="GATHER_ND", options_table="GatherNdOptions")
    target = (*lead, *shape[depth:])
    source = _source(rng, shape)
    return _picked(rng, op, source, indices, target, f"{source.dtype} {shape} by {dtype} {indices.shape}")


def integers(rng: np.random.Generator, op: str | None = None) -> Case:
    name = op or str(rng.choice(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", *_DIVISIONS]))
    values = pair_of(rng, "int32")
    if rng.random() < 0.6:
        values = [one % 100 - 50 for one in values]
    if name in _DIVISIONS:
        values[1][values[1] == 0] = 3
        # The smallest number has no quotient by -1, which C leaves undefined.
        values[0][values[0] == RANGES["int32"][0]] = -7
    options = {}
    if name in ("ADD", "SUB", "MUL"):
        options["FusedActivationFunction"] = activation_code(str(rng.choice(["NONE", "NONE", "RELU", "RELU6"])))
    tables = {"MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions"}
    table = tables.get(name, f"{name.title().replace('_', '')}Options")
    shape = np.broadcast_shapes(*(one.shape for one in values))
    return plan_case(
        Op(name=name, options_table=table, options=options),
        [Tensor(shape=one.shape, dtype="int32") for one in values],
        Tensor(shape=shape, dtype="int32"),
        values,
        f"{name} {[one.shape for one in values]} {options}",
    )


def cast_any(rng: np.random.Generator) -> Case:
    """Between all types; floats that the target type cannot hold are not there: C leaves their conversion undefined."""
    types = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")
    source, target = (str(one) for one in rng.choice(types, 2))
    shape = _sizes(rng, int(rng.integers(1, 4)))
    if source == "float32":
        most = 100.0 if target in ("int8", "uint8") else 30_000.0 if target == "int16" else 2e9
        low = 0.0 if target == "uint8" else -1.0
        values = (rng.uniform(low, 1, shape) * most * 10.0 ** -rng.integers(0, 4, shape)).astype(np.float32)
    elif source == "bool":
        values = rng.random(shape) < 0.5
    elif source == "int64":
        values = rng.integers(-(2**62), 2**62, shape) >> rng.integers(0, 62, shape)
    else:
        values = rng.integers(0, 256, shape).astype(np.uint8) if source == "uint8" else values_of(rng, shape, source)
    return plan_case(
        Op(name="CAST", options_table="CastOptions"),
        [Tensor(shape=shape, dtype=source)],
        Tensor(shape=shape, dtype=target),
        [values],
        f"{source} to {target} {shape}",
    )


def arg_max_64(rng: np.random.Generator) -> Case:
    return arg_extreme(rng, str(rng.choice(["ARG_MAX", "ARG_MIN"])), "int64")


def div_8(rng: np.random.Generator, dtype: str = "uint8") -> Case:
    """DIV of uint8, the only 8-bit one of the reference: the kernel sees int8 values. No divisor is a real 0, and no
    dividend so small beside it that the reference shifts a number by more than 31, which C leaves undefined.
    """
    values, zero_points = pair_of(rng, "int8"), [int(n) for n in rng.integers(-128, 128, 3)]
    far = -100 if zero_points[0] > 0 else 100
    values[0][abs(values[0] - np.int16(zero_points[0])) < 8] = far
    values[1][values[1] == zero_points[1]] = zero_points[1] - 1 if zero_points[1] > -128 else 0
    flip = 128 if dtype == "uint8" else 0
    scales = [pick_scale(rng, 1e-3, 0.5) for _ in range(2)]
    shape = np.broadcast_shapes(*(one.shape for one in values))
    target = scales[0] / scales[1] / float(rng.uniform(8, 200))
    inputs = [activation(v.shape, s, dtype, z + flip) for v, s, z in zip(values, scales, zero_points, strict=False)]
    options = {"FusedActivationFunction": activation_code(str(rng.choice(["NONE", "NONE", "RELU", "RELU6"])))}
    return plan_case(
        Op(name="DIV", options_table="DivOptions", options=options),
        inputs,
        activation(shape, target, dtype, zero_points[2] + flip),
        [stored(one, dtype) for one in values],
        f"{[one.shape for one in values]} {scales} to {target}",
    )


def softmax_8_16(rng: np.random.Generator) -> Case:
    shape = (*_sizes(rng, int(rng.integers(0, 3))), int(rng.integers(1, 60)))
    values, scale = values_of(rng, shape, "int8"), pick_scale(rng, 1e-3, 0.5)
    beta = float(rng.uniform(0.3, 2))
    return plan_case(
        Op(name="SOFTMAX", options_table="SoftmaxOptions", options={"Beta": beta}),
        [activation(shape, scale, "int8", int(rng.integers(-128, 128)))],
        activation(shape, 1 / 65536, "int16", -32768),
        [values],
        f"{shape} {scale} beta {beta}",
    )


def _of_int4(rng: np.random.Generator, make: Generator) -> Case:
    """A case of int8 with weights of 4 bits."""
    case = make(rng)
    while case.dtype != "int8":
        case = make(rng)
    return replace(case, model=twins(case.model).int4)


def reshaped_indices(rng: np.random.Generator) -> Case:
    """A move of int32 and int64 tensors: TRANSPOSE."""
    shape = _sizes(rng, int(rng.integers(2, 5)))
    order, dtype = rng.permutation(len(shape)), str(rng.choice(["int32", "int64"]))
    values = rng.integers(-(2**31), 2**31, shape).astype(dtype)
    return plan_case(
        Op(name="TRANSPOSE", options_table="TransposeOptions"),
        [Tensor(shape=shape, dtype=dtype), index_tensor(order)],
        Tensor(shape=tuple(shape[axis] for axis in order), dtype=dtype),
        [values],
        f"{dtype} {shape} {order}",
    )


GENERATORS_FROM_64: dict[str, WideGenerator] = {
    function.__name__: function
    for function in (take, take_nd, integers, cast_any, arg_max_64, div_8, softmax_8_16, reshaped_indices)
}

#: models that the reference does not run, for their plans
PLAN_ONLY_GENERATORS: dict[str, WideGenerator] = {
    "div_int8": lambda rng: div_8(rng, "int8"),
    "conv_4": lambda rng: _of_int4(rng, conv_case),
    "depthwise_4": lambda rng: _of_int4(rng, depthwise_case),
    "fully_connected_4": lambda rng: _of_int4(rng, fully_connected_case),
}
