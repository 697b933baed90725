"""Calls a kernel by way of a plan: the arguments become a plan of one node, which the runtime validates and runs.

So the random cases of the kernel tests, which know `kernels.call(function, ...)` only, test the plan runtime as well.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.kernels_abi import Kernels
from tests.support.plan_builder import NONE, PlanBuilder
from tests.support.plan_runtime import HostRuntime

_SHAPED = {
    "kn_max_pool_2d": "MAX_POOL_2D",
    "kn_average_pool_2d": "AVERAGE_POOL_2D",
    "kn_mean": "MEAN",
    "kn_pad": "PAD",
    "kn_softmax": "SOFTMAX",
    "kn_gather": "GATHER",
}
_COUNTED = {"kn_rescale": "RESCALE", "kn_leaky_relu": "LEAKY_RELU", "kn_hard_swish": "HARD_SWISH"}
_PAIRS = {"kn_add": "ADD", "kn_sub": "SUB", "kn_mul": "MUL", "kn_maximum": "MAXIMUM", "kn_minimum": "MINIMUM"}
_WEIGHTED = {
    "kn_conv_2d": "CONV_2D",
    "kn_depthwise_conv_2d": "DEPTHWISE_CONV_2D",
    "kn_fully_connected": "FULLY_CONNECTED",
}
_SCRATCH_BYTES = 1024


class PlanKernels(Kernels):
    """Kernels whose `call` goes through the runtime.

    Args:
        keep: called with every plan that was made, once it was run.
        output_first: the output lies at the start of the arena instead of its end.
        in_place: the output lies on the (first) input, for functions that allow it.
        fast: ops with weights name folded biases and scratch memory.
    """

    def __init__(
        self,
        library: Any,
        *,
        keep: Callable[[bytes], None] | None = None,
        output_first: bool = False,
        in_place: bool = False,
        fast: bool = False,
    ) -> None:
        super().__init__(library)
        self.runtime = HostRuntime(library)
        self._keep, self._output_first, self._in_place, self._fast = keep, output_first, in_place, fast

    def call(self, function: str, *arguments: Any) -> int:
        if function == "kn_broadcast_make":
            return super().call(function, *arguments)
        output: np.ndarray = arguments[-1]
        case = _OnePlan(self._output_first, self._in_place)
        if function in _WEIGHTED:
            case.weighted(_WEIGHTED[function], self._fast, output, *arguments[:-1])
        elif function in _PAIRS:
            case.pair(_PAIRS[function], output, *arguments[:-1])
        elif function in _SHAPED:
            params, values = arguments[:-1]
            place, target = case.places([values], output)
            case.builder.node(_SHAPED[function], place[0], target, params)
        elif function in _COUNTED:
            params, count, values = arguments[:-1]
            place, target = case.places([values], output, may_share=True)
            case.builder.node(_COUNTED[function], place[0], target, count, params)
        else:
            getattr(case, function.removeprefix("kn_"))(output, *arguments[:-1])
        plan = case.builder.build()
        self.runtime.load(plan)
        output.reshape(-1)[:] = self.runtime.run(case.inputs)[0]
        if self._keep:
            self._keep(plan)
        return 0


class _OnePlan:
    """A plan of one node, and the values of its inputs."""

    def __init__(self, output_first: bool, in_place: bool) -> None:
        self.builder, self.inputs = PlanBuilder(), []
        self._output_first, self._in_place = output_first, in_place

    def places(self, values: list[np.ndarray], output: np.ndarray, *, may_share: bool = False) -> tuple[list[int], int]:
        """Inputs and output in an arena without a byte to spare at the end; the output's place."""
        share = may_share and self._in_place
        target = self.builder.arena(output.nbytes) if self._output_first and not share else -1
        places = [self.builder.arena(value.nbytes) for value in values]
        if target < 0:
            target = places[0] if share else self.builder.arena(output.nbytes)
        for place, value in zip(places, values, strict=True):
            self.builder.input(place, value.dtype.name, value.size)
            self.inputs.append(value)
        self.builder.output(target, output.dtype.name, output.size)
        return places, target

    def weighted(self, op: str, fast: bool, output: np.ndarray, *arguments: Any) -> None:
        params, *shape, scales, values, weights, bias = arguments
        given = scales.kept_alive
        multipliers, shifts = (np.asarray(given[name], np.int32) for name in ("multipliers", "shifts"))
        place, target = self.places([values], output)
        folded = scratch = NONE
        if fast:
            sums = weights.astype(np.int64).sum(
                axis=tuple(range(weights.ndim - 1)) if op == "DEPTHWISE_CONV_2D" else tuple(range(1, weights.ndim))
            )
            whole = sums * params.input_offset + (0 if bias is None else bias.astype(np.int64))
            folded, scratch = self.builder.constant(whole.astype(np.int32)), self.builder.arena(_SCRATCH_BYTES)
        self.builder.node(
            op,
            place[0],
            self.builder.constant(weights),
            NONE if bias is None else self.builder.constant(bias),
            folded,
            self.builder.constant(multipliers),
            self.builder.constant(shifts),
            scratch,
            target,
            _SCRATCH_BYTES if fast else 0,
            given["per_channel"],
            params,
            *shape,
        )

    def pair(self, op: str, output: np.ndarray, *arguments: Any) -> None:
        *params, broadcast, first, second = arguments
        places, target = self.places([first, second], output, may_share=first.size == output.size)
        self.builder.node(op, *places, target, broadcast, *params)

    def concatenation(
        self,
        output: np.ndarray,
        outer: int,
        count: int,
        inner: np.ndarray,
        inputs: ctypes.Array,
        tables: ctypes.Array | None,
    ) -> None:
        places, target = self.places(list(inputs.kept_alive), output)
        given = tables.kept_alive if tables else [None] * count
        self.builder.node(
            "CONCATENATION",
            target,
            outer,
            count,
            places,
            [NONE if table is None else self.builder.constant(table) for table in given],
            inner.tolist(),
        )

    def reshape(self, output: np.ndarray, count: int, values: np.ndarray) -> None:
        place, target = self.places([values], output, may_share=True)
        self.builder.node("COPY", place[0], target, count)

    def lookup(self, output: np.ndarray, table: np.ndarray, count: int, values: np.ndarray) -> None:
        place, target = self.places([values], output, may_share=True)
        self.builder.node("LOOKUP", place[0], target, count, self.builder.constant(table))

    def quantize(self, output: np.ndarray, scale: np.float32, zero_point: int, count: int, values: np.ndarray) -> None:
        place, target = self.places([values], output)
        self.builder.node("QUANTIZE", place[0], target, count, zero_point, np.float32(scale))

    def dequantize(
        self, output: np.ndarray, scale: np.float32, zero_point: int, count: int, values: np.ndarray
    ) -> None:
        place, target = self.places([values], output)
        self.builder.node("DEQUANTIZE", place[0], target, count, zero_point, np.float32(scale))

    def flip_sign(self, output: np.ndarray, count: int, values: np.ndarray) -> None:
        place, target = self.places([values], output, may_share=True)
        self.builder.node("FLIP_SIGN", place[0], target, count)

    def resize_nearest(
        self, output: np.ndarray, shape: ctypes.Structure, rows: np.ndarray, columns: np.ndarray, values: np.ndarray
    ) -> None:
        place, target = self.places([values], output)
        self.builder.node(
            "RESIZE_NEAREST", place[0], target, self.builder.constant(rows), self.builder.constant(columns), shape
        )
