"""STRIDED_SLICE, SLICE, SPLIT, UNPACK, TRANSPOSE as one thing: a view, a start and a stride per output dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UnsupportedError


@dataclass(frozen=True, kw_only=True)
class View:
    """Output element [i0, i1, ...] is input element `start + i0 * strides[0] + ...`; strides in elements."""

    dims: tuple[int, ...]
    strides: tuple[int, ...]
    start: int

    def simplified(self) -> View:
        """The same walk in as few dimensions as it takes, at least one."""
        dims: list[int] = []
        strides: list[int] = []
        for size, stride in zip(self.dims, self.strides, strict=True):
            if size == 1:
                continue
            if dims and strides[-1] == stride * size:
                dims[-1] *= size
                strides[-1] = stride
            else:
                dims.append(size)
                strides.append(stride)
        return View(dims=tuple(dims) or (1,), strides=tuple(strides) or (1,), start=self.start)

    @property
    def is_dense(self) -> bool:
        """Is it a stretch of the input, in order?"""
        simple = self.simplified()
        return simple.strides == (1,) or math.prod(simple.dims) == 1


def row_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a dense, row-major tensor."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def transposed(shape: Sequence[int], order: Sequence[int]) -> View:
    """TRANSPOSE.

    Raises:
        UnsupportedError: `order` is no permutation.
    """
    axes = [axis + len(shape) if axis < 0 else axis for axis in order]
    if sorted(axes) != list(range(len(shape))):
        raise UnsupportedError(f"its permutation {list(order)} does not fit a shape of {len(shape)} dimensions")
    strides = row_strides(shape)
    return View(dims=tuple(shape[axis] for axis in axes), strides=tuple(strides[axis] for axis in axes), start=0)


def box(shape: Sequence[int], begin: Sequence[int], size: Sequence[int]) -> View:
    """SLICE: `size` -1 means up to the end.

    Raises:
        UnsupportedError: a box that does not lie inside.
    """
    if not len(shape) == len(begin) == len(size):
        raise UnsupportedError(
            f"begin {list(begin)} and size {list(size)} do not fit a shape of {len(shape)} dimensions"
        )
    lengths = [total - low if length == -1 else length for total, low, length in zip(shape, begin, size, strict=True)]
    if any(
        low < 0 or length < 1 or low + length > total for total, low, length in zip(shape, begin, lengths, strict=True)
    ):
        raise UnsupportedError(
            f"the slice {list(begin)} of {list(size)} does not lie inside {list(shape)}, or is empty"
        )
    strides = row_strides(shape)
    return View(dims=tuple(lengths), strides=strides, start=sum(b * s for b, s in zip(begin, strides, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Sliced:
    """A strided slice: the view, and the output's shape with shrunken dimensions gone and new ones put in."""

    view: View
    shape: tuple[int, ...]


def strided(
    shape: Sequence[int], begin: Sequence[int], end: Sequence[int], steps: Sequence[int], options: Mapping[str, Any]
) -> Sliced:
    """STRIDED_SLICE with every mask of the schema (TensorFlow's definition of `tf.strided_slice`).

    Raises:
        UnsupportedError: lengths that do not fit, a step of 0, an empty result, an index outside.
    """
    masks = {
        name: int(options.get(f"{name}_mask", 0)) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    spec = _expand(len(shape), begin, end, steps, masks)
    strides = row_strides(shape)
    dims, walked, kept, start, axis = [], [], [], 0, 0
    for entry in spec:
        if entry is None:
            kept.append(1)
            continue
        low, high, step, index, shrink, open_low, open_high = entry
        size = shape[axis]
        if step == 0:
            raise UnsupportedError("a strided slice with a step of 0")
        if shrink:
            low = 0 if open_low else low + size if low < 0 else low
            if not 0 <= low < size:
                raise UnsupportedError(f"index {index} is outside a dimension of {size}")
            positions = range(low, low + 1)
        else:
            if options.get("offset"):
                low = low + size if low < 0 else low
                high += low
            positions = range(size)[slice(None if open_low else low, None if open_high else high, step)]
            if not len(positions):
                raise UnsupportedError("a strided slice that leaves nothing")
            kept.append(len(positions))
        dims.append(len(positions))
        walked.append(strides[axis] * positions.step)
        start += positions.start * strides[axis]
        axis += 1
    return Sliced(view=View(dims=tuple(dims), strides=tuple(walked), start=start), shape=tuple(kept))


_Entry = tuple[int, int, int, int, bool, bool, bool]


def _expand(
    rank: int, begin: Sequence[int], end: Sequence[int], steps: Sequence[int], masks: Mapping[str, int]
) -> list[_Entry | None]:
    """One entry per dimension of the input, and None for each new axis."""
    if not len(begin) == len(end) == len(steps):
        raise UnsupportedError("begin, end and steps of a strided slice differ in length")
    whole: _Entry = (0, 0, 1, 0, False, True, True)
    spec: list[_Entry | None] = []
    new_axes = sum(bool(masks["new_axis"] >> i & 1 and not masks["ellipsis"] >> i & 1) for i in range(len(begin)))
    dots = sum(masks["ellipsis"] >> i & 1 for i in range(len(begin)))
    missing = rank - (len(begin) - new_axes - dots)
    if dots > 1 or missing < 0:
        raise UnsupportedError(f"a strided slice of {len(begin)} indices does not fit a shape of {rank} dimensions")
    for i in range(len(begin)):
        if masks["ellipsis"] >> i & 1:
            spec += [whole] * missing
        elif masks["new_axis"] >> i & 1:
            spec.append(None)
        else:
            spec.append(
                (
                    int(begin[i]),
                    int(end[i]),
                    int(steps[i]),
                    int(begin[i]),
                    bool(masks["shrink_axis"] >> i & 1),
                    bool(masks["begin"] >> i & 1),
                    bool(masks["end"] >> i & 1),
                )
            )
    return spec if dots else spec + [whole] * missing
