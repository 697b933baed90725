"""GATHER, GATHER_ND, and the ops that trade space against depth or batches: moves, by kernels that other moves have too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.plan import ops_index
from harness.tflite.plan.ops_move import (
    SAME_HINT,
    checked_axis,
    is_same,
    move_by_view,
    pad_fields,
    view_fields,
    zero_byte,
)
from harness.tflite.plan.rule import NodeRule, check_shape
from harness.tflite.plan.slices import View, box
from harness.tflite.plan.values import ITEM_BYTES, Value, operand_of


def gather(rule: NodeRule) -> None:
    """GATHER along one axis; by constant indices they are rows of an image, as RESIZE_NEAREST_NEIGHBOR picks them."""
    source, asked = rule.moved(0), rule.input(1)
    axis = checked_axis(rule.option("axis", 0), len(source.shape))
    batch_dims = int(rule.option("batch_dims", 0))
    if asked.data is None or batch_dims:
        _gather_computed(rule, source, asked, axis, batch_dims + (len(asked.shape) if batch_dims < 0 else 0))
        return
    indices = _indices(rule)
    outer, inner = math.prod(source.shape[:axis]), math.prod(source.shape[axis + 1 :])
    shape = (*source.shape[:axis], *indices.shape, *source.shape[axis + 1 :])
    _pick_rows(rule, source, shape, indices.reshape(-1), outer, source.shape[axis], inner)


def _gather_computed(rule: NodeRule, source: Value, indices: Value, axis: int, batch_dims: int) -> None:
    """GATHER by indices that the model computes or gets, and by batches of them."""
    fits = 0 <= batch_dims <= min(axis, len(indices.shape)) and source.shape[:batch_dims] == indices.shape[:batch_dims]
    if not fits:
        raise UnsupportedError(f"{batch_dims} batches of indices {list(indices.shape)} from {list(source.shape)}")
    ops_index.take(
        rule,
        source,
        indices,
        (*source.shape[:axis], *indices.shape[batch_dims:], *source.shape[axis + 1 :]),
        dims=(source.shape[axis],),
        picks=math.prod(indices.shape[batch_dims:]),
        batches=math.prod(source.shape[:batch_dims]),
        outer=math.prod(source.shape[batch_dims:axis]),
    )


def gather_nd(rule: NodeRule) -> None:
    """GATHER_ND: each index picks what lies behind its leading dimensions."""
    source, asked = rule.moved(0), rule.input(1)
    depth = asked.shape[-1] if asked.shape else 0
    if asked.data is None and 1 <= depth <= len(source.shape):
        shape = (*asked.shape[:-1], *source.shape[depth:])
        picks = math.prod(asked.shape[:-1])
        ops_index.take(rule, source, asked, shape, dims=source.shape[:depth], picks=picks)
        return
    indices = _indices(rule)
    if not 1 <= depth <= len(source.shape):
        raise UnsupportedError(f"indices of shape {list(indices.shape)} do not fit an input of {list(source.shape)}")
    leading = source.shape[:depth]
    if ((indices < 0) | (indices >= np.array(leading))).any():
        raise UnsupportedError(f"an index outside {list(leading)}", hint="the model is damaged")
    rows = np.ravel_multi_index(tuple(np.moveaxis(indices, -1, 0)), leading)
    shape = (*indices.shape[:-1], *source.shape[depth:])
    _pick_rows(rule, source, shape, rows.reshape(-1), 1, math.prod(leading), math.prod(source.shape[depth:]))


def _indices(rule: NodeRule) -> np.ndarray:
    found = rule.input(1)
    if found.data is None or found.dtype not in ("int32", "int64"):
        raise UnsupportedError(f"its indices are {found.dtype}", hint="they must be int32 or int64: cast them")
    if not found.data.size:
        raise UnsupportedError("it has no indices")
    return found.data.astype(np.int64)


def _pick_rows(
    rule: NodeRule, source: Value, shape: Sequence[int], rows: np.ndarray, outer: int, size: int, inner: int
) -> None:
    if rows.min() < 0 or rows.max() >= size:
        raise UnsupportedError(f"an index outside a dimension of {size}", hint="the model is damaged")
    target = rule.target(shape)
    if not is_same(source, target):
        raise UnsupportedError("its input and output differ in scale or zero point", hint=SAME_HINT)
    rule.emit(
        "RESIZE_NEAREST",
        target,
        {"input": operand_of(source), "rows": rows.astype(np.int32), "columns": np.zeros(1, np.int32)},
        {
            "batches": outer,
            "input_height": size,
            "input_width": 1,
            "output_height": len(rows),
            "output_width": 1,
            "channels": inner * ITEM_BYTES[source.dtype],
        },
    )


def space_to_depth(rule: NodeRule) -> None:
    source, block = _image(rule)
    n, height, width, c = source.shape
    if height % block or width % block:
        raise UnsupportedError(f"an image of {height} x {width} is no multiple of blocks of {block}")
    view = View(
        dims=(n, height // block, width // block, block, block, c),
        strides=(height * width * c, block * width * c, block * c, width * c, c, 1),
        start=0,
    )
    move_by_view(rule, source, view, (n, height // block, width // block, block * block * c))


def depth_to_space(rule: NodeRule) -> None:
    source, block = _image(rule)
    n, height, width, depth = source.shape
    if depth % (block * block):
        raise UnsupportedError(f"{depth} channels are no multiple of blocks of {block} x {block}")
    c = depth // (block * block)
    view = View(
        dims=(n, height, block, width, block, c),
        strides=(height * width * depth, width * depth, block * c, depth, c, 1),
        start=0,
    )
    move_by_view(rule, source, view, (n, height * block, width * block, c))


def _image(rule: NodeRule) -> tuple[Value, int]:
    source, block = rule.moved(0), int(rule.option("block_size", 0))
    if len(source.shape) != 4 or block < 1:
        raise UnsupportedError(f"blocks of {block} of an input of shape {list(source.shape)}")
    return source, block


def space_to_batch(rule: NodeRule) -> None:
    """SPACE_TO_BATCH_ND of an image or a sequence: PAD, then a view."""
    source, block, pads = _blocks(rule, "paddings")
    if any(pads):
        before, after = [0, pads[0], pads[2], 0], [0, pads[1], pads[3], 0]
        shape = tuple(low + size + high for low, size, high in zip(before, source.shape, after, strict=True))
        made = replace(source, shape=shape)
        check_shape(made)
        fields = pad_fields(source, before, after, zero_byte(source))
        source = rule.between("PAD", made, {"input": operand_of(source)}, fields)
    n, height, width, c = source.shape
    if height % block[0] or width % block[1]:
        raise UnsupportedError(f"{height} x {width} is no multiple of blocks of {block}")
    dims = (*block, n, height // block[0], width // block[1], c)
    strides = (width * c, c, height * width * c, block[0] * width * c, block[1] * c, 1)
    shape = (n * math.prod(block), *dims[3:])
    move_by_view(rule, source, View(dims=dims, strides=strides, start=0), _declared_rank(rule, shape))


def batch_to_space(rule: NodeRule) -> None:
    """BATCH_TO_SPACE_ND of images or sequences: a view, then the part that is not cropped."""
    source, block, crops = _blocks(rule, "crops")
    batches, height, width, c = source.shape
    if batches % math.prod(block):
        raise UnsupportedError(f"{batches} batches are no multiple of blocks of {block}")
    n, image = batches // math.prod(block), height * width * c
    view = View(
        dims=(n, height, block[0], width, block[1], c),
        strides=(image, width * c, block[1] * n * image, c, n * image, 1),
        start=0,
    )
    whole = (n, height * block[0], width * block[1], c)
    if any(crops):
        made = replace(source, shape=whole)
        source = rule.between("GATHER", made, {"input": operand_of(source)}, view_fields(source, view))
        sizes = [n, whole[1] - crops[0] - crops[1], whole[2] - crops[2] - crops[3], c]
        if min(sizes) < 1:
            raise UnsupportedError(f"crops {list(crops)} leave nothing of {list(whole)}")
        view, whole = box(whole, [0, crops[0], crops[2], 0], sizes), (n, sizes[1], sizes[2], c)
    move_by_view(rule, source, view, _declared_rank(rule, whole))


def _blocks(rule: NodeRule, what: str) -> tuple[Value, tuple[int, int], tuple[int, int, int, int]]:
    """Input, blocks and paddings or crops as those of an image: a sequence is an image one pixel wide."""
    source, block, edges = rule.moved(0), rule.integers(1, "block shape"), rule.integers(2, what)
    spatial = len(source.shape) - 2
    if spatial not in (1, 2) or len(block) != spatial or len(edges) != 2 * spatial or min(block) < 1 or min(edges) < 0:
        raise UnsupportedError(f"blocks of {block} and {what} {edges} of an input of shape {list(source.shape)}")
    if max(edges) > 32767:
        raise UnsupportedError(f"{what} of {max(edges)}", hint="the kernels take up to 32767")
    if spatial == 1:
        n, length, c = source.shape
        source, block, edges = replace(source, shape=(n, length, 1, c)), [*block, 1], [*edges, 0, 0]
    return source, (block[0], block[1]), (edges[0], edges[1], edges[2], edges[3])


def _declared_rank(rule: NodeRule, shape: Sequence[int]) -> tuple[int, ...]:
    """A sequence is one dimension shorter than the image that it was treated as."""
    return tuple(shape) if len(rule.input(0).shape) == 4 else (shape[0], shape[1], shape[3])


RULES: dict[str, Callable[[NodeRule], None]] = {
    "GATHER": gather,
    "GATHER_ND": gather_nd,
    "SPACE_TO_DEPTH": space_to_depth,
    "DEPTH_TO_SPACE": depth_to_space,
    "SPACE_TO_BATCH_ND": space_to_batch,
    "BATCH_TO_SPACE_ND": batch_to_space,
}
