"""Ops that move values: CONCATENATION, PACK, PAD, RESHAPE and its kin, views, RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import quantized_params as qp
from harness.tflite.plan.record import MAX_RANK
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.slices import View, box, row_strides, strided, transposed
from harness.tflite.plan.values import EIGHT_BITS, ITEM_BYTES, Frame, Value, check_moved, is_plain, operand_of
from harness.tflite.plan.words import MAX_CONCATENATION_INPUTS

SAME_HINT = "a move does not rescale: input and output must share scale and zero point"


def reshape(rule: NodeRule) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: another name for the input's memory, of any type."""
    source = rule.input(0)
    check_shape(source)
    target = rule.target(_new_shape(rule, source))
    if target.dtype != source.dtype or (source.dtype in (*EIGHT_BITS, "int16") and not is_same(source, target)):
        raise UnsupportedError("its input and output differ in type, scale or zero point", hint=SAME_HINT)
    rule.alias(source, target)


def _new_shape(rule: NodeRule, source: Value) -> list[int]:
    op, rank = rule.node.op, len(source.shape)
    if op == "SQUEEZE":
        axes = {axis % rank if rank else 0 for axis in rule.option("squeeze_dims", [])} or set(range(rank))
        return [size for axis, size in enumerate(source.shape) if size != 1 or axis not in axes]
    if op == "EXPAND_DIMS":
        axis = rule.integers(1, "axis")[0]
        at = axis + rank + 1 if axis < 0 else axis
        if not 0 <= at <= rank:
            raise UnsupportedError(f"axis {axis} does not fit an input of {rank} dimensions")
        return [*source.shape[:at], 1, *source.shape[at:]]
    asked = rule.integers(1, "shape") if rule.optional(1) is not None else list(rule.option("new_shape", []))
    known = math.prod(size for size in asked if size != -1)
    if asked.count(-1) == 1 and known > 0 and source.elements % known == 0:
        asked = [source.elements // known if size == -1 else size for size in asked]
    if any(size < 0 for size in asked) or math.prod(asked) != source.elements:
        raise UnsupportedError(
            f"{list(source.shape)} does not reshape to {asked}", hint="convert with a fixed input shape"
        )
    return asked


def concatenation(rule: NodeRule) -> None:
    sources = [rule.moved(i) for i in range(rule.input_count)]
    if not sources or not sources[0].shape:
        raise UnsupportedError("it has no inputs with dimensions")
    rank = len(sources[0].shape)
    axis = checked_axis(rule.option("axis", 0), rank)
    if rule.option("fused_activation_function", "NONE") != "NONE":
        raise UnsupportedError("a fused activation", hint="convert it as an op of its own")
    for source in sources:
        same = len(source.shape) == rank and all(
            d == axis or source.shape[d] == sources[0].shape[d] for d in range(rank)
        )
        if not same:
            raise UnsupportedError(f"inputs of shapes {[list(one.shape) for one in sources]} do not fit together")
    shape = list(sources[0].shape)
    shape[axis] = sum(source.shape[axis] for source in sources)
    _join(rule, sources, shape, math.prod(shape[:axis]))


def pack(rule: NodeRule) -> None:
    """PACK of activations: CONCATENATION along a new dimension."""
    sources = [rule.moved(i) for i in range(rule.input_count)]
    if not sources or any(source.shape != sources[0].shape for source in sources):
        raise UnsupportedError(f"inputs of shapes {[list(one.shape) for one in sources]} do not fit together")
    axis = checked_axis(rule.option("axis", 0), len(sources[0].shape) + 1)
    shape = [*sources[0].shape[:axis], len(sources), *sources[0].shape[axis:]]
    _join(rule, sources, shape, math.prod(shape[:axis]))


def _join(rule: NodeRule, sources: Sequence[Value], shape: Sequence[int], outer: int) -> None:
    if len(sources) > MAX_CONCATENATION_INPUTS:
        raise UnsupportedError(
            f"{len(sources)} inputs", hint=f"a plan joins up to {MAX_CONCATENATION_INPUTS}: split it into two"
        )
    target = rule.target(shape)
    check_moved(target)
    item = ITEM_BYTES[target.dtype]
    tables: list[np.ndarray | None] = []
    for source in sources:
        if source.dtype != target.dtype:
            raise UnsupportedError(
                f"its inputs and output are {source.dtype} and {target.dtype}", hint="all must be of one type"
            )
        if source.same_quantization(target):
            tables.append(None)
        elif source.dtype == "uint8" and rule.node.op == "CONCATENATION":
            tables.append(qp.concatenation_table(source.scale, source.zero_point, target.scale, target.zero_point))
        else:
            raise UnsupportedError(
                f"its {source.dtype} inputs and output differ in scale or zero point",
                hint="the converter makes them equal: convert again",
            )
    rule.emit(
        "CONCATENATION",
        target,
        {"input": [operand_of(source) for source in sources], "tables": tables},
        {
            "outer": outer,
            "inputs": len(sources),
            "inner_sizes": [source.elements // outer * item for source in sources],
        },
    )


def pad(rule: NodeRule) -> None:
    """PAD, PADV2."""
    source, before, after, target = read_padding(rule)
    zero = zero_byte(target)
    value = zero if rule.optional(2) is None else _padding_byte(rule, target)
    frame = _frame(rule, source, before, after) if value == zero else None
    if frame is not None:
        rule.alias(source, replace(target, frame=frame))
        return
    rule.emit("PAD", target, {"input": operand_of(source)}, pad_fields(source, before, after, value))


def read_padding(rule: NodeRule) -> tuple[Value, list[int], list[int], Value]:
    """What is padded, how many elements come before and after it in each dimension, and the output."""
    source, flat = rule.moved(0), rule.integers(1, "paddings")
    rank = len(source.shape)
    if len(flat) != 2 * rank or min(flat, default=0) < 0 or max(flat, default=0) > 32767:
        raise UnsupportedError(f"paddings {flat} of an input of shape {list(source.shape)}")
    before, after = flat[0::2], flat[1::2]
    target = rule.target([low + size + high for low, size, high in zip(before, source.shape, after, strict=True)])
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    return source, before, after, target


def padding_constant(rule: NodeRule, target: Value) -> np.generic:
    """What a PADV2 pads with: one stored value of the output's type and scale."""
    constant = rule.moved(2)
    if constant.data is None or constant.elements != 1 or not constant.same_quantization(target):
        raise UnsupportedError(
            "its padding value is not one constant of the output's scale", hint="pad with a constant"
        )
    return constant.data.reshape(-1)[0]


def zero_byte(value: Value) -> int:
    """The byte that the real number 0 is made of."""
    return 0 if value.dtype == "float32" or is_plain(value) else value.zero_point


def _padding_byte(rule: NodeRule, target: Value) -> int:
    """The byte that PADV2's constant is made of."""
    constant = padding_constant(rule, target)
    if target.dtype in EIGHT_BITS:
        return int(constant)
    content = np.frombuffer(constant.tobytes(), np.int8)
    if np.unique(content).size != 1:
        raise UnsupportedError(f"PADV2 of {target.dtype} with {constant:g}", hint="pad with zeros")
    return int(content[0])


def pad_fields(
    source: Value, before: Sequence[int], after: Sequence[int], value: int
) -> dict[str, int | Sequence[int]]:
    """The words of a PAD record: `before` and `after` count elements of `source`, one for each dimension."""
    item = ITEM_BYTES[source.dtype]
    shape, before, after = in_bytes(source.shape, item), [*before, *[0] * (item > 1)], [*after, *[0] * (item > 1)]
    dims, low, high = _merge_unpadded(shape, before, after)
    return {"rank": len(dims), "input_dims": dims, "before": low, "after": high, "value": value}


def in_bytes(shape: Sequence[int], item_bytes: int) -> tuple[int, ...]:
    """Items of several bytes are one more dimension: moves look at bytes only."""
    return tuple(shape) if item_bytes == 1 else (*shape, item_bytes)


def _frame(rule: NodeRule, source: Value, before: Sequence[int], after: Sequence[int]) -> Frame | None:
    """PAD in front of convolutions with VALID padding becomes padding of theirs: no copy, no memory. None where it cannot.

    What lies outside counts as the zero point there too; no window may lie outside as a whole (kernels.h, the runtime's check).
    """
    readers = rule.readers()
    if (
        not readers
        or len(before) != 4
        or before[0]
        or after[0]
        or before[3]
        or after[3]
        or source.is_constant
        or source.dtype not in (*EIGHT_BITS, "float32")
    ):
        return None
    for node in readers:
        weights = rule.stored_shape(node, 1)
        if (
            node.op not in ("CONV_2D", "DEPTHWISE_CONV_2D")
            or node.options.get("padding") != "VALID"
            or len(weights) != 4
        ):
            return None
        if node.inputs.count(rule.node.outputs[0]) != 1 or node.inputs[0] != rule.node.outputs[0]:
            return None
        spans = [
            (weights[1 + i] - 1) * node.options.get(f"dilation_{axis}factor", 1) + 1 for i, axis in enumerate("hw")
        ]
        if any(max(before[1 + i], after[1 + i]) >= span for i, span in enumerate(spans)):
            return None
    return Frame(top=before[1], left=before[2], height=before[1] + after[1], width=before[2] + after[2])


def _merge_unpadded(
    shape: Sequence[int], before: Sequence[int], after: Sequence[int]
) -> tuple[list[int], list[int], list[int]]:
    """A dimension without padding becomes one with that in front of it: paddings there count whole rows."""
    dims: list[int] = []
    low: list[int] = []
    high: list[int] = []
    for size, first, last in zip(shape, before, after, strict=True):
        if dims and not first and not last and max(low[-1], high[-1]) * size <= 32767:
            dims[-1], low[-1], high[-1] = dims[-1] * size, low[-1] * size, high[-1] * size
        else:
            dims.append(size)
            low.append(first)
            high.append(last)
    if len(dims) > MAX_RANK:
        raise UnsupportedError(f"an input of shape {list(shape)}", hint=f"the kernels have {MAX_RANK} dimensions")
    return dims or [1], low or [0], high or [0]


def transpose(rule: NodeRule) -> None:
    source = rule.moved(0)
    view = transposed(source.shape, rule.integers(1, "permutation"))
    move_by_view(rule, source, view, view.dims)


def slice_(rule: NodeRule) -> None:
    source = rule.moved(0)
    view = box(source.shape, rule.integers(1, "begin"), rule.integers(2, "size"))
    move_by_view(rule, source, view, view.dims)


def strided_slice(rule: NodeRule) -> None:
    source = rule.moved(0)
    begin, end, steps = rule.integers(1, "begin"), rule.integers(2, "end"), rule.integers(3, "strides")
    cut = strided(source.shape, begin, end, steps, rule.node.options)
    move_by_view(rule, source, cut.view, cut.shape)


def split(rule: NodeRule) -> None:
    """SPLIT (axis, input), equal parts."""
    source, axes = rule.moved(1), rule.integers(0, "axis")
    axis, parts = checked_axis(axes[0] if axes else 0, len(source.shape)), len(rule.node.outputs)
    if rule.option("num_splits", parts) != parts or source.shape[axis] % parts:
        raise UnsupportedError(f"a dimension of {source.shape[axis]} does not split into {parts} equal parts")
    _cut(rule, source, axis, [source.shape[axis] // parts] * parts)


def split_v(rule: NodeRule) -> None:
    """SPLIT_V (input, sizes, axis); one size may be -1."""
    source, sizes, axes = rule.moved(0), rule.integers(1, "sizes"), rule.integers(2, "axis")
    axis = checked_axis(axes[0] if axes else 0, len(source.shape))
    rest = source.shape[axis] - sum(size for size in sizes if size != -1)
    sizes = [rest if size == -1 else size for size in sizes]
    if len(sizes) != len(rule.node.outputs) or sum(sizes) != source.shape[axis] or min(sizes) < 1:
        raise UnsupportedError(f"a dimension of {source.shape[axis]} does not split into {sizes}")
    _cut(rule, source, axis, sizes)


def _cut(rule: NodeRule, source: Value, axis: int, sizes: Sequence[int]) -> None:
    begin = [0] * len(source.shape)
    for position, size in enumerate(sizes):
        view = box(source.shape, begin, [size if d == axis else -1 for d in range(len(source.shape))])
        move_by_view(rule, source, view, view.dims, position=position)
        begin[axis] += size


def unpack(rule: NodeRule) -> None:
    source = rule.moved(0)
    axis, strides = checked_axis(rule.option("axis", 0), len(source.shape)), row_strides(source.shape)
    if source.shape[axis] != len(rule.node.outputs):
        raise UnsupportedError(f"a dimension of {source.shape[axis]} into {len(rule.node.outputs)} outputs")
    kept = [d for d in range(len(source.shape)) if d != axis]
    for position in range(source.shape[axis]):
        view = View(
            dims=tuple(source.shape[d] for d in kept),
            strides=tuple(strides[d] for d in kept),
            start=position * strides[axis],
        )
        move_by_view(rule, source, view, view.dims, position=position)


def move_by_view(rule: NodeRule, source: Value, view: View, shape: Sequence[int], *, position: int = 0) -> None:
    target = rule.target(shape, position)
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    if view.is_dense and view.start == 0 and target.elements == source.elements:
        rule.alias(source, target, position)
        return
    rule.emit("GATHER", target, {"input": operand_of(source)}, view_fields(source, view), position=position)


def view_fields(source: Value, view: View) -> dict[str, int | Sequence[int]]:
    """The words of a GATHER record for a view of `source` in elements.

    Raises:
        UnsupportedError: more than the kernels' dimensions, however they are merged.
    """
    item = ITEM_BYTES[source.dtype]
    if item > 1:
        strides = (*(stride * item for stride in view.strides), 1)
        view = View(dims=in_bytes(view.dims, item), strides=strides, start=view.start * item)
    simple = view.simplified()
    if len(simple.dims) > MAX_RANK:
        raise UnsupportedError(
            f"an input of shape {list(source.shape)}", hint=f"the kernels have {MAX_RANK} dimensions"
        )
    return {"rank": len(simple.dims), "dims": simple.dims, "strides": simple.strides, "start": simple.start}


def resize_nearest_neighbor(rule: NodeRule) -> None:
    source, size = rule.moved(0), rule.integers(1, "size")
    if len(source.shape) != 4 or len(size) != 2 or min(size) < 1:
        raise UnsupportedError(f"from {list(source.shape)} to {size}")
    target = rule.target((source.shape[0], *size, source.shape[3]))
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    flags = {
        "align_corners": bool(rule.option("align_corners", False)),
        "half_pixel_centers": bool(rule.option("half_pixel_centers", False)),
    }
    rows, columns = (np.array(nearest_positions(source.shape[1 + i], size[i], **flags), np.int32) for i in range(2))
    rule.emit(
        "RESIZE_NEAREST",
        target,
        {"input": operand_of(source), "rows": rows, "columns": columns},
        {
            "batches": source.shape[0],
            "input_height": source.shape[1],
            "input_width": source.shape[2],
            "output_height": size[0],
            "output_width": size[1],
            "channels": source.shape[3] * ITEM_BYTES[source.dtype],
        },
    )


def nearest_positions(input_size: int, output_size: int, *, align_corners: bool, half_pixel_centers: bool) -> list[int]:
    """The input position of each output position: float32 throughout, as in TensorFlow Lite 2.14."""
    if align_corners and output_size > 1:
        scale = np.float32(input_size - 1) / np.float32(output_size - 1)
    else:
        scale = np.float32(input_size) / np.float32(output_size)
    offset = np.float32(0.5 if half_pixel_centers else 0.0)
    found = []
    for position in range(output_size):
        real = (np.float32(position) + offset) * scale
        nearest = math.floor(float(real) + 0.5) if align_corners else math.floor(float(real))
        found.append(max(0, min(nearest, input_size - 1)))
    return found


def checked_axis(axis: int, rank: int) -> int:
    found = axis + rank if axis < 0 else axis
    if not 0 <= found < rank:
        raise UnsupportedError(f"axis {axis} does not fit {rank} dimensions")
    return found


def is_same(source: Value, target: Value) -> bool:
    check_moved(target)
    return source.same_quantization(target)
