"""Where a model's answer is a choice, of a class or among boxes, the values that it chose from."""

from __future__ import annotations

from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.tree import custom_name, op_name
from harness.tflite.post_process import POST_PROCESS


def before_class_map(cutter: Cutter) -> tuple[int, ...] | None:
    """The outputs with each ARG_MAX or ARG_MIN replaced by the tensor it reads; None when no output is such a choice.

    A class map says which score was largest; two runtimes whose scores differ by rounding may differ in it. Whether a
    device computes rightly shows in the scores.
    """
    found = False
    outputs = []
    for tensor in cutter.subgraph.indices("outputs"):
        source = _behind_moves(cutter, tensor)
        node = cutter.producers.get(source)
        if node is not None and op_name(cutter.tree, cutter.operators[node]) in ("ARG_MAX", "ARG_MIN"):
            found = True
            tensor = cutter.operators[node].indices("inputs")[0]
        outputs.append(tensor)
    return tuple(outputs) if found else None


def before_suppression(cutter: Cutter) -> tuple[int, ...] | None:
    """The outputs with those of TFLite_Detection_PostProcess replaced by the box encodings and the scores that it reads; None
    when no output is of it.

    Which of two overlapping boxes stays is a matter of a hair; whether a device computes rightly shows in all of them.
    """
    outputs: list[int] = []
    found = False
    for tensor in cutter.subgraph.indices("outputs"):
        node = cutter.producers.get(_behind_moves(cutter, tensor))
        if node is not None and custom_name(cutter.tree, cutter.operators[node]) == POST_PROCESS:
            found = True
            outputs += cutter.operators[node].indices("inputs")[:2]
        else:
            outputs.append(tensor)
    return tuple(dict.fromkeys(outputs)) if found else None


def _behind_moves(cutter: Cutter, tensor: int) -> int:
    """Looks through ops that only change the type or the shape of class numbers."""
    while (node := cutter.producers.get(tensor)) is not None:
        if op_name(cutter.tree, cutter.operators[node]) not in ("CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
            break
        tensor = cutter.operators[node].indices("inputs")[0]
    return tensor
