"""What a model's input takes: no open sizes, and values on the scale that it was quantized for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.errors import UserInputError
from harness.core.finding import Finding
from harness.tflite.graph import Graph, Tensor
from harness.workloads.checks.table import misread

#: a value this share of the range outside of it would be clipped to something else
_BEYOND = 0.25
#: more values than this outside of the range say that it is another scale, and no outliers
_BEYOND_SHARE = 0.05
#: the same where the samples reach this many ranges far, which outliers of the same scale do not
_FAR_SHARE, _FAR = 0.001, 20.0
#: all values within this share of the range take 6 of 256 steps
_NARROW = 1 / 40


def refuse_open_inputs(graph: Graph) -> None:
    """Refuses inputs that are open beyond the batch: a runtime would take each open size as 1, and time that.

    Raises:
        UserInputError: says which axes, or that the types are none that can be fed.
    """
    refuse_types(graph)
    for index in graph.inputs:
        tensor = graph.tensors[index]
        shape = tensor.shape_signature or tensor.shape
        if -1 in shape[1:]:
            words = ", ".join("open" if size == -1 else str(size) for size in shape)
            raise UserInputError(
                f"the input is open beyond the batch: [{words}]; a runtime would take each open size as 1",
                where=f"{graph.source or 'the model'}, input '{tensor.name}'",
                hint="fix the input's size before converting, such as keras.Input(shape=(96, 96, 3))",
            )


#: what samples are converted to, and what outputs are read from
_TAKEN = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")
_READ = (*_TAKEN, "float64", "uint16", "uint32", "uint64")
_REMEDIES = {
    "float64": "convert the model with float32 inputs",
    "string": "leave the part that works on texts or encoded images out of the model, and feed it numbers",
}


def refuse_types(graph: Graph) -> None:
    """Refuses inputs and outputs that are no numbers, or numbers that no runtime computes with here.

    Raises:
        UserInputError: names the tensor and its type.
    """
    for indices, known, words in (
        (graph.inputs, _TAKEN, "the input '{}' takes values of type {}, to which no samples are converted"),
        (graph.outputs, _READ, "the output '{}' gives values of type {}, which nothing judges or compares"),
    ):
        for tensor in (graph.tensors[index] for index in indices):
            if tensor.dtype not in known:
                remedy = _REMEDIES.get(tensor.dtype, f"export the model with one of {', '.join(known)}")
                what = words.format(tensor.name, tensor.dtype)
                raise UserInputError(what, where=graph.source or "the model", hint=remedy)


@dataclass(frozen=True, kw_only=True)
class InputRange:
    """The real values that a quantized input can hold."""

    low: float
    high: float
    what: str


def input_range(graph: Graph, position: int = 0) -> InputRange | None:
    """What an input can hold: its own range, or that of the QUANTIZE which alone reads it; None for a float input."""
    if position >= len(graph.inputs):
        return None
    tensor = graph.tensors[graph.inputs[position]]
    readers = graph.consumers.get(tensor.index, ())
    if not tensor.is_quantized and readers and all(node.op == "QUANTIZE" and node.outputs for node in readers):
        tensor = graph.tensors[readers[0].outputs[0]]
    return _range(tensor)


def _range(tensor: Tensor) -> InputRange | None:
    if not tensor.is_quantized or tensor.per_channel or tensor.dtype not in ("int8", "uint8", "int16"):
        return None
    scale, zero_point, limits = tensor.scales[0], tensor.zero_points[0], np.iinfo(tensor.dtype)
    low, high = (float(scale * (bound - zero_point)) for bound in (limits.min, limits.max))
    return InputRange(low=low, high=high, what=f"the {tensor.dtype} input spans {low:.4g} to {high:.4g}")


def range_finding(samples: np.ndarray, held: InputRange, where: str) -> Finding | None:
    """`input-range`, where samples lie outside of what the input can hold, or all in a corner of it.

    Args:
        samples: some of them, float32 [N, ...].
    """
    span = held.high - held.low
    if not samples.size or not span > 0:
        return None
    outside = int(((samples < held.low - _BEYOND * span) | (samples > held.high + _BEYOND * span)).sum())
    count, low, high = samples.size, float(samples.min()), float(samples.max())
    values = f"the samples' values lie in {low:.4g} to {high:.4g}"
    share = _FAR_SHARE if high - low > _FAR * span else _BEYOND_SHARE
    if outside > share * count:
        return misread("input-range", where, f"{held.what}, {values}: {outside / count:.0%} of them would be clipped")
    if high - low < _NARROW * span:
        return misread("input-range", where, f"{held.what}, {values}: a corner of it")
    return None
