"""What a model's output is, read off its graph: scores, one probability, class numbers, a map."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from harness.tflite.graph import Graph, Node
from harness.workloads.metrics.base import Ends

#: ops that move values about or store them otherwise, so that what makes them may stand before
_PASSING = frozenset(
    {
        "QUANTIZE",
        "DEQUANTIZE",
        "RESHAPE",
        "SQUEEZE",
        "EXPAND_DIMS",
        "TRANSPOSE",
        "CONCATENATION",
        "PACK",
        "UNPACK",
        "IDENTITY",
    }
)
_SQUASHING: dict[str, Literal["softmax", "sigmoid"]] = {"LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}
#: ops that answer with a class: its number, or yes and no
_CHOOSING = frozenset(
    {
        "ARG_MAX",
        "ARG_MIN",
        "EQUAL",
        "NOT_EQUAL",
        "GREATER",
        "GREATER_EQUAL",
        "LESS",
        "LESS_EQUAL",
        "LOGICAL_AND",
        "LOGICAL_OR",
    }
)


@dataclass(frozen=True, kw_only=True)
class OutputEnds:
    """One output of a model.

    Attributes:
        name: as its first signature calls it, else the tensor's.
        shape: of one sample's output; None where the file does not say.
        squashed: shares, made by softmax or sigmoid.
        numbers: whole numbers that are an answer themselves, as ARG_MAX and comparisons give them.
        made_by: the op that makes the values, a custom one by its own name; None for an input or a constant handed through.
    """

    name: str
    shape: tuple[int, ...] | None
    squashed: bool
    numbers: bool
    made_by: str | None = None
    made_at: int = 0

    def ends(self, where: str | None = None, key: str = "labels") -> Ends:
        """The same as metrics ask for it."""
        units, places = units_and_places(self.shape)
        if self.numbers and self.shape is not None:
            units, places = 1, None if -1 in self.shape else math.prod(self.shape)
        return Ends(
            name=self.name,
            units=units,
            places=places,
            squashed=self.squashed,
            squashed_by=_SQUASHING.get(self.made_by or ""),
            numbers=self.numbers,
            shape=self.shape,
            made_by=self.made_by,
            made_at=self.made_at,
            where=where,
            key=key,
        )


def units_and_places(shape: tuple[int, ...] | None) -> tuple[int | None, int | None]:
    """How many values an output gives at each of how many places; None where its shape does not say.

    One axis longer than 1 holds the values, wherever it stands; of several the last does, and the others are places.
    """
    if shape is None:
        return None, None
    long = [size for size in shape if size != 1]
    if len(long) < 2:
        return (None if -1 in long else math.prod(long)), 1
    *others, last = long
    # A map of one value per place: its last axis is 1.
    if shape[-1] == 1:
        others, last = long, 1
    return (None if last == -1 else last), (None if -1 in others else math.prod(others))


def output_ends(graph: Graph) -> tuple[OutputEnds, ...]:
    """Every output of a model, in its order."""
    return tuple(_output(graph, index) for index in graph.outputs)


def model_outputs(graph: Graph, where: str | None = None) -> tuple[Ends, ...]:
    """The same as metrics ask for them, each with the others beside it and with the model's input."""
    inputs = [graph.tensors[index] for index in graph.inputs]
    shape = _sample_shape(inputs[0].shape_signature or inputs[0].shape) if len(inputs) == 1 else None
    together = tuple(replace(output.ends(where), input_shape=shape) for output in output_ends(graph))
    return tuple(replace(ends, together=together) for ends in together)


def _output(graph: Graph, index: int) -> OutputEnds:
    tensor = graph.tensors[index]
    shape = tensor.shape_signature or tensor.shape
    before, made_at = _made_by(graph, index)
    whole = tensor.dtype == "bool" or (tensor.dtype in _INTEGERS and not tensor.is_quantized)
    return OutputEnds(
        name=graph.output_names.get(index, tensor.name),
        shape=_sample_shape(shape),
        squashed=before is not None and before.op in _SQUASHING,
        numbers=whole or (before is not None and before.op in _CHOOSING),
        made_by=None if before is None else before.custom_name or before.op,
        made_at=made_at,
    )


def _sample_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if shape[:1] in ((1,), (-1,)) else tuple(shape)


_INTEGERS = frozenset({"int4", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"})


def _made_by(graph: Graph, index: int) -> tuple[Node | None, int]:
    """The op that makes a tensor's values, looked for behind those that only move them or change their type, and which of its
    outputs they are.
    """
    node = graph.producers.get(index)
    seen = set()
    while node is not None and node.inputs and node.index not in seen and (node.op in _PASSING or node.op == "CAST"):
        seen.add(node.index)
        index = node.inputs[0]
        node = graph.producers.get(index)
    return node, node.outputs.index(index) if node is not None else 0
