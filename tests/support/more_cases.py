"""Random models of one rarer 8-bit op; the reference runtime says what is right."""

from __future__ import annotations

import numpy as np

from tests.support.kernel_cases import Case, index_tensor
from tests.support.op_models import Op, Tensor, padding_code
from tests.support.wide_cases import WideGenerator, activation, pick_scale, plan_case, values_of

_COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")


def _zero(rng: np.random.Generator, dtype: str = "int8") -> int:
    return (
        0
        if dtype == "int16"
        else int(rng.choice([-128, 127, 0]))
        if rng.random() < 0.3
        else int(rng.integers(-128, 128))
    )


def _shape(rng: np.random.Generator, rank: int | None = None, most: int = 6) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, most, rng.integers(1, 5) if rank is None else rank))


def unary_8(rng: np.random.Generator, op: str, table: str | None = None, output: float | None = None) -> Case:
    # Beyond this, exponentials leave 32 bits, which the reference does not define.
    zero_point, scale = _zero(rng), pick_scale(rng, 1e-3, 0.05 if op == "EXP" else 0.2)
    values = values_of(rng, (1, int(rng.integers(1, 60))), "int8")
    if op == "RSQRT":  # the reference has no root of a negative number
        values = np.maximum(values, zero_point).astype(np.int8)
    target = pick_scale(rng, 1e-3, 0.2) if output is None or rng.random() < 0.5 else scale
    return plan_case(
        Op(name=op, options_table=table),
        [activation(values.shape, scale, "int8", zero_point)],
        activation(values.shape, target, "int8", _zero(rng)),
        [values],
        f"{values.shape} {scale} zero point {zero_point} to {target}",
    )


def abs_8(rng: np.random.Generator) -> Case:
    return unary_8(rng, "ABS", "AbsOptions", output=1.0)


def rsqrt_8(rng: np.random.Generator) -> Case:
    return unary_8(rng, "RSQRT")


def exp_8(rng: np.random.Generator) -> Case:
    return unary_8(rng, "EXP", "ExpOptions")


def move(
    rng: np.random.Generator,
    op: Op,
    values: np.ndarray,
    indices: list[np.ndarray],
    shape: tuple[int, ...],
    text: str,
) -> Case:
    """An op that moves `values` and has constant `indices` behind its input."""
    dtype, scale = values.dtype.name, pick_scale(rng, 1e-3, 0.1)
    zero_point = _zero(rng, dtype)
    return plan_case(
        op,
        [activation(values.shape, scale, dtype, zero_point), *(index_tensor(one) for one in indices)],
        activation(shape, scale, dtype, zero_point),
        [values],
        text,
    )


def gather(rng: np.random.Generator, dtype: str = "int8") -> Case:
    shape = _shape(rng)
    axis = int(rng.integers(-len(shape), len(shape)))
    indices = rng.integers(0, shape[axis], _shape(rng, int(rng.integers(1, 3))))
    target = (*shape[: axis % len(shape)], *indices.shape, *shape[axis % len(shape) + 1 :])
    op = Op(name="GATHER", options_table="GatherOptions", options={"Axis": axis})
    return move(rng, op, values_of(rng, shape, dtype), [indices], target, f"{shape} axis {axis} {indices.shape}")


def gather_nd(rng: np.random.Generator, dtype: str = "int8") -> Case:
    shape = _shape(rng)
    depth = int(rng.integers(1, len(shape) + 1))
    lead = _shape(rng, int(rng.integers(1, 3)))
    indices = np.stack([rng.integers(0, size, lead) for size in shape[:depth]], axis=-1)
    op = Op(name="GATHER_ND", options_table="GatherNdOptions")
    target = (*lead, *shape[depth:])
    return move(rng, op, values_of(rng, shape, dtype), [indices], target, f"{shape} {indices.shape}")


def space_to_depth(rng: np.random.Generator) -> Case:
    n, h, w, c = _shape(rng, 4, 4)
    block = int(rng.integers(1, 4))
    op = Op(name="SPACE_TO_DEPTH", options_table="SpaceToDepthOptions", options={"BlockSize": block})
    values = values_of(rng, (n, h * block, w * block, c), "int8")
    return move(rng, op, values, [], (n, h, w, c * block * block), f"{values.shape} by {block}")


def depth_to_space(rng: np.random.Generator) -> Case:
    n, h, w, c = _shape(rng, 4, 4)
    block = int(rng.integers(1, 4))
    op = Op(name="DEPTH_TO_SPACE", options_table="DepthToSpaceOptions", options={"BlockSize": block})
    values = values_of(rng, (n, h, w, c * block * block), "int8")
    return move(rng, op, values, [], (n, h * block, w * block, c), f"{values.shape} by {block}")


def space_to_batch(rng: np.random.Generator, dtype: str = "int8") -> Case:
    rank = int(rng.integers(3, 5))
    shape, block = _shape(rng, rank), rng.integers(1, 4, rank - 2)
    low = rng.integers(0, 3, rank - 2)
    high = [
        int(rng.integers(0, 2)) * int(b) + -(s + a) % int(b) for s, a, b in zip(shape[1:-1], low, block, strict=True)
    ]
    paddings = np.stack([low, high], axis=1)
    spatial = [(s + a + b) // k for s, a, b, k in zip(shape[1:-1], low, high, block, strict=True)]
    target = (shape[0] * int(np.prod(block)), *(int(s) for s in spatial), shape[-1])
    op = Op(name="SPACE_TO_BATCH_ND", options_table="SpaceToBatchNDOptions")
    values = values_of(rng, shape, dtype)
    return move(rng, op, values, [block, paddings], target, f"{shape} {block} {paddings.tolist()}")


def batch_to_space(rng: np.random.Generator, dtype: str = "int8") -> Case:
    rank = int(rng.integers(3, 5))
    n, *rest = _shape(rng, rank)
    block = rng.integers(1, 4, rank - 2)
    whole = [int(s * b) for s, b in zip(rest[:-1], block, strict=True)]
    crops = np.array([[rng.integers(0, s), 0] for s in whole])
    crops[:, 1] = [rng.integers(0, s - c) for s, c in zip(whole, crops[:, 0], strict=True)]
    values = values_of(rng, (n * int(np.prod(block)), *rest), dtype)
    target = (n, *(int(s - c.sum()) for s, c in zip(whole, crops, strict=True)), rest[-1])
    op = Op(name="BATCH_TO_SPACE_ND", options_table="BatchToSpaceNDOptions")
    return move(rng, op, values, [block, crops], target, f"{values.shape} {block} {crops.tolist()}")


def reduce_extreme(rng: np.random.Generator, op: str, dtype: str = "int8") -> Case:
    shape = _shape(rng)
    axes = np.sort(rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)])
    keep = bool(rng.random() < 0.5)
    target = tuple(1 if d in axes else n for d, n in enumerate(shape) if keep or d not in axes)
    made = Op(name=op, options_table="ReducerOptions", options={"KeepDims": keep})
    return move(rng, made, values_of(rng, shape, dtype), [axes], target, f"{shape} over {axes} keep {keep}")


def reduce_max(rng: np.random.Generator) -> Case:
    return reduce_extreme(rng, "REDUCE_MAX")


def reduce_min(rng: np.random.Generator) -> Case:
    return reduce_extreme(rng, "REDUCE_MIN")


def arg_extreme(rng: np.random.Generator, op: str, index: str = "int32") -> Case:
    dtype = "uint8" if rng.random() < 0.3 else "int8"
    shape = _shape(rng, int(rng.integers(2, 5)))
    axis = int(rng.integers(len(shape)))
    values = rng.integers(0, 100 if rng.random() < 0.5 else 4, shape).astype(dtype)
    return plan_case(
        Op(name=op, options_table=f"Arg{op[4:].title()}Options", options={"OutputType": 4 if index == "int64" else 2}),
        [activation(shape, 0.1, dtype, 3), index_tensor(np.array([axis]))],
        Tensor(shape=tuple(n for d, n in enumerate(shape) if d != axis), dtype=index),
        [values],
        f"{dtype} {shape} axis {axis}",
    )


def arg_max(rng: np.random.Generator) -> Case:
    return arg_extreme(rng, "ARG_MAX")


def arg_min(rng: np.random.Generator) -> Case:
    return arg_extreme(rng, "ARG_MIN")


def pair_of(rng: np.random.Generator, dtype: str) -> list[np.ndarray]:
    """Two arrays of shapes that fit together."""
    shape = _shape(rng)
    values = [values_of(rng, shape, dtype), values_of(rng, tuple(1 if rng.random() < 0.3 else n for n in shape), dtype)]
    if rng.random() < 0.5:
        values.reverse()
    return values


def compare(rng: np.random.Generator) -> Case:
    op, values = str(rng.choice(_COMPARISONS)), pair_of(rng, "int8")
    same, zero_points = bool(rng.random() < 0.5), [_zero(rng), _zero(rng)]
    scales = [pick_scale(rng, 1e-3, 0.5) for _ in range(2)]
    if same:
        scales[1], zero_points[1] = scales[0], zero_points[0]
    shape = np.broadcast_shapes(*(one.shape for one in values))
    return plan_case(
        Op(name=op),
        [activation(v.shape, s, "int8", z) for v, s, z in zip(values, scales, zero_points, strict=True)],
        Tensor(shape=shape, dtype="bool"),
        values,
        f"{op} {[one.shape for one in values]} {scales}",
    )


def select(rng: np.random.Generator, dtype: str = "int8") -> Case:
    values = pair_of(rng, dtype)
    shape = np.broadcast_shapes(*(one.shape for one in values))
    op = "SELECT_V2"
    if rng.random() < 0.3:
        op, values = "SELECT", [values_of(rng, shape, dtype) for _ in range(2)]
    mask = shape if op == "SELECT" else tuple(1 if rng.random() < 0.3 else n for n in shape)
    scale, zero_point = pick_scale(rng), _zero(rng, dtype)
    condition = rng.random(mask) < 0.5
    return plan_case(
        Op(name=op, options_table="SelectV2Options" if op == "SELECT_V2" else "SelectOptions"),
        [
            Tensor(shape=mask, dtype="bool"),
            *(activation(one.shape, scale, dtype, zero_point) for one in values),
        ],
        activation(shape, scale, dtype, zero_point),
        [condition, *values],
        f"{op} {mask} {[one.shape for one in values]}",
    )


def resize_bilinear(rng: np.random.Generator, dtype: str = "int8") -> Case:
    shape, size = _shape(rng, 4, 7), rng.integers(1, 13, 2)
    align = bool(rng.random() < 0.3)
    half = bool(rng.random() < 0.5) and not align
    options = {"AlignCorners": align, "HalfPixelCenters": half}
    op = Op(name="RESIZE_BILINEAR", options_table="ResizeBilinearOptions", options=options)
    target = (shape[0], int(size[0]), int(size[1]), shape[3])
    return move(rng, op, values_of(rng, shape, dtype), [size], target, f"{shape} to {size} {options}")


def prelu(rng: np.random.Generator) -> Case:
    shape = _shape(rng)
    alpha = values_of(rng, tuple(1 if rng.random() < 0.5 else n for n in shape), "int8")
    zero_points, scales = [_zero(rng) for _ in range(3)], [pick_scale(rng, 1e-3, 0.2), pick_scale(rng, 1e-3, 0.02)]
    target = scales[0] * float(rng.uniform(0.5, 3))
    return plan_case(
        Op(name="PRELU"),
        [
            activation(shape, scales[0], "int8", zero_points[0]),
            Tensor(shape=alpha.shape, dtype="int8", scales=(scales[1],), zero_points=(zero_points[1],), data=alpha),
        ],
        activation(shape, target, "int8", zero_points[2]),
        [values_of(rng, shape, "int8")],
        f"{shape} {alpha.shape} {scales} to {target}",
    )


def batch_matmul(rng: np.random.Generator, dtypes: tuple[str, str] = ("int8", "int8")) -> Case:
    rows, depth, columns = (int(n) for n in rng.integers(1, 9, 3))
    batches = _shape(rng, int(rng.integers(0, 3)), 4)
    turned = [bool(rng.random() < 0.4) for _ in range(2)]
    shapes = [(depth, rows) if turned[0] else (rows, depth), (columns, depth) if turned[1] else (depth, columns)]
    # With AdjX and batches that repeat, 2.14 is wrong; LiteRT 2.3 agrees with the kernel there too.
    other = batches if turned[0] else tuple(1 if rng.random() < 0.3 else n for n in batches)
    values = [values_of(rng, (*batches, *shapes[0]), dtypes[0]), values_of(rng, (*other, *shapes[1]), dtypes[1])]
    scales = [pick_scale(rng, 1e-3, 0.1) for _ in range(2)]
    wide = dtypes[0] == "int16"
    target = (
        scales[0]
        * scales[1]
        * (64 if dtypes[1] == "int8" else 16384)
        * float(np.sqrt(depth))
        * float(rng.uniform(0.5, 2))
    )
    options = {"AdjX": turned[0], "AdjY": turned[1]}
    return plan_case(
        Op(name="BATCH_MATMUL", options_table="BatchMatMulOptions", options=options),
        [activation(v.shape, s, v.dtype.name, 0 if wide else _zero(rng)) for v, s in zip(values, scales, strict=True)],
        activation((*batches, rows, columns), target, dtypes[0], 0 if wide else _zero(rng)),
        values,
        f"{[one.shape for one in values]} {options}",
    )


def l2_normalization(rng: np.random.Generator) -> Case:
    shape = _shape(rng, int(rng.integers(1, 5)), 9)
    return plan_case(
        Op(name="L2_NORMALIZATION", options_table="L2NormOptions"),
        [activation(shape, pick_scale(rng, 1e-3, 0.1), "int8", _zero(rng))],
        activation(shape, 1 / 128, "int8", 0),
        [values_of(rng, shape, "int8")],
        f"{shape}",
    )


def cast(rng: np.random.Generator) -> Case:
    pairs = [("int8", "int16"), ("int8", "int32"), ("int16", "int32"), ("int8", "float32"), ("uint8", "int32")]
    source, target = pairs[rng.integers(len(pairs))]
    shape = _shape(rng)
    values = values_of(rng, shape, source) if source != "uint8" else rng.integers(0, 256, shape).astype(np.uint8)
    scaled = activation(shape, 0.1, source, 0)
    return plan_case(
        Op(name="CAST", options_table="CastOptions"),
        [scaled],
        Tensor(shape=shape, dtype=target),
        [values],
        f"{source} to {target} {shape}",
    )


def int4_conv(rng: np.random.Generator) -> Case:
    """CONV_2D with weights of 4 bits; the reference of 2.14 has FULLY_CONNECTED with one scale only."""
    size, inputs, outputs, kernel = (int(n) for n in rng.integers(1, 6, 4))
    shape = (outputs, kernel, kernel, inputs)
    scales, source = [pick_scale(rng, 1e-2, 1e-1) for _ in range(outputs)], pick_scale(rng, 1e-3, 1e-1)
    span = max(scales) * source * 128 * 4 * float(np.sqrt(kernel * kernel * inputs))
    values = values_of(rng, (1, size, size, inputs), "int8")
    weights = rng.integers(-7, 8, shape).astype(np.int8)
    zero_points = [0] * outputs
    bias = Tensor(
        shape=(outputs,),
        dtype="int32",
        scales=[source * one for one in scales],
        zero_points=zero_points,
        data=rng.integers(-2000, 2000, outputs).astype(np.int32),
    )
    options = {"Padding": padding_code("SAME"), "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    return plan_case(
        Op(name="CONV_2D", options_table="Conv2DOptions", options=options),
        [
            activation(values.shape, source, "int8", _zero(rng)),
            Tensor(shape=shape, dtype="int4", scales=scales, zero_points=zero_points, data=weights),
            bias,
        ],
        activation((1, size, size, outputs), span / 128, "int8", _zero(rng)),
        [values],
        f"{values.shape} {shape}",
    )


MORE_GENERATORS: dict[str, WideGenerator] = {
    function.__name__: function
    for function in (
        abs_8,
        rsqrt_8,
        exp_8,
        gather,
        gather_nd,
        space_to_depth,
        depth_to_space,
        space_to_batch,
        batch_to_space,
        reduce_max,
        reduce_min,
        arg_max,
        arg_min,
        compare,
        select,
        resize_bilinear,
        prelu,
        batch_matmul,
        l2_normalization,
        cast,
        int4_conv,
    )
}
