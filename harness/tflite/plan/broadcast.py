"""How two inputs are walked to make one output: kn_broadcast_make of devices/kernels/broadcast.c in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import UnsupportedError
from harness.tflite.plan.record import MAX_RANK
from harness.tflite.plan.slices import row_strides


@dataclass(frozen=True, kw_only=True)
class Broadcast:
    """`shape` of the output, and kn_broadcast: dimensions and strides in elements, 0 where an input is repeated."""

    shape: tuple[int, ...]
    dims: tuple[int, ...]
    strides1: tuple[int, ...]
    strides2: tuple[int, ...]

    def fields(self) -> dict[str, int | Sequence[int]]:
        """The words of a plan's record."""
        return {"rank": len(self.dims), "dims": self.dims, "strides1": self.strides1, "strides2": self.strides2}


def broadcast(first: Sequence[int], second: Sequence[int]) -> Broadcast:
    """NumPy's rule; neighbouring dimensions are merged where both inputs allow it.

    Raises:
        UnsupportedError: shapes that do not fit, or more than the kernels' dimensions after merging.
    """
    rank = max(len(first), len(second))
    shapes = [(*[1] * (rank - len(shape)), *shape) for shape in (first, second)]
    sizes = list(zip(*shapes, strict=True))
    if any(a != b and 1 not in (a, b) for a, b in sizes):
        raise UnsupportedError(f"inputs of shapes {list(first)} and {list(second)} do not fit together")
    output = tuple(max(pair) for pair in sizes)
    strides = [
        [0 if size == 1 else step for size, step in zip(shape, row_strides(shape), strict=True)] for shape in shapes
    ]
    dims: list[int] = []
    merged: list[tuple[int, int]] = []
    for size, one, two in zip(output, *strides, strict=True):
        if size == 1:
            continue
        if dims and merged[-1] == (one * size, two * size):
            dims[-1] *= size
            merged[-1] = (one, two)
        else:
            dims.append(size)
            merged.append((one, two))
    if len(dims) > MAX_RANK:
        raise UnsupportedError(
            f"inputs of shapes {list(first)} and {list(second)}", hint=f"the kernels have {MAX_RANK} dimensions"
        )
    if not dims:
        dims, merged = [1], [(0, 0)]
    return Broadcast(
        shape=output,
        dims=tuple(dims),
        strides1=tuple(one for one, _ in merged),
        strides2=tuple(two for _, two in merged),
    )
