"""The inputs of a model with several by their names: in its file, in a .tflite that was made of it, in the user's data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.tflite.graph import Graph
from harness.workloads.rows import InputRows, Samples

#: what converters put around the name that an input had
_PREFIX, _SUFFIX = "serving_default_", ":0"


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """One of several inputs.

    Attributes:
        name: what it is called here, in records and in data; no other input is called so.
        io: its type and shape, -1 where any size fits.
        aliases: what data may call it, too.
    """

    name: str
    io: TensorIo
    aliases: tuple[str, ...] = ()


def plain_name(name: str) -> str:
    """A tensor's name without what converters put around the input's."""
    return name.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def graph_inputs(graph: Graph) -> tuple[ModelInput, ...]:
    """The inputs of a finished model, in its order: called as its signature does, else as its tensors, else by position."""
    tensors = [graph.tensors[index] for index in graph.inputs]
    calls = [_calls(graph, index) for index in graph.inputs]
    found = []
    for position, tensor in enumerate(tensors):
        others = {name for place, names in enumerate(calls) if place != position for name in names}
        mine = [name for name in calls[position] if name and name not in others] or [str(position)]
        scale, zero_point = (tensor.scales[0], tensor.zero_points[0]) if tensor.is_quantized else (0.0, 0)
        shape = tensor.shape_signature or tensor.shape
        io = TensorIo(
            name=mine[0],
            dtype=tensor.dtype,
            shape=(-1, *shape[1:]) if shape[:1] in ((1,), (-1,)) else shape,
            scale=scale,
            zero_point=zero_point,
        )
        found.append(ModelInput(name=mine[0], io=io, aliases=tuple(mine[1:])))
    return tuple(found)


def _calls(graph: Graph, index: int) -> list[str]:
    """What an input is called, the best name first."""
    tensor = graph.tensors[index].name
    return list(dict.fromkeys([graph.input_names.get(index, ""), plain_name(tensor), tensor]))


def argument_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names that TensorFlow takes for the arguments of a function, one for each input and none twice."""
    found: list[str] = []
    for position, name in enumerate(names):
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if plain[:1].isalpha() else f"input_{plain}"
        taken = plain in found or (plain != name and plain in names)
        found.append(f"{plain}_{position}" if taken else plain)
    return tuple(found)


def names_in_order(graph: Graph, names: Sequence[str]) -> tuple[str, ...]:
    """Which of a model's inputs each input of a .tflite is, in the order of the .tflite: converters order them as they like.

    Args:
        graph: of the .tflite, which was made of the model, or is the model.
        names: what the model's inputs are called, in any order.

    Raises:
        UserInputError: they are not the same inputs.
    """
    arguments = dict(zip(names, argument_names(names), strict=True))
    own = graph_inputs(graph)
    found: list[str] = []
    for one, index in zip(own, graph.inputs, strict=True):
        calls = {one.name} if one.name in names else {one.name, *one.aliases, *_calls(graph, index)}
        # A name of the model comes before what one was made into for TensorFlow.
        made = {*calls, *(argument_names([call])[0] for call in calls if call)}
        fitting = [name for name in names if name in calls] or [n for n in names if arguments[n] in made]
        found += [name for name in fitting if name not in found][:1]
    if sorted(found) != sorted(names) or len(own) != len(names):
        ours, theirs = (", ".join(f"'{name}'" for name in part) for part in ((one.name for one in own), names))
        raise UserInputError(f"the model's inputs are {ours}, and those of the data are {theirs}", where=graph.source)
    return tuple(found)


def inputs_of(graph: Graph, samples: Samples) -> tuple[str, ...]:
    """Which of the samples' inputs each input of a .tflite is, in its order; the empty name for samples of one input.

    Raises:
        UserInputError: they are not the same inputs.
    """
    return names_in_order(graph, list(samples.of)) if isinstance(samples, InputRows) else ("",)


def same_inputs(graph: Graph, other: Graph) -> tuple[int, ...]:
    """For each input of a model the position of the same one in another that was made of the same source: by name, and by
    position where names do not tell.
    """
    mine = [one.name for one in graph_inputs(graph)]
    try:
        theirs = names_in_order(other, mine)
    except UserInputError:
        return tuple(range(len(mine)))
    return tuple(theirs.index(name) for name in mine)
