"""Where a model's answer is a choice, the scores that it chose from."""

from __future__ import annotations

from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.tree import op_name


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


def _behind_moves(cutter: Cutter, tensor: int) -> int:
    """Looks through ops that only change the type or the shape of class numbers."""
    while (node := cutter.producers.get(tensor)) is not None:
        if op_name(cutter.tree, cutter.operators[node]) not in ("CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
            break
        tensor = cutter.operators[node].indices("inputs")[0]
    return tensor
