"""How much memory a model needs at least, read from the file: its bytes, and the tensors that live at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from harness.tflite.graph import Graph, Tensor

#: runtimes align every tensor of their arena to this (kDefaultTensorAlignment)
_ALIGNMENT_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """A lower bound of what a runtime needs for a model, without itself and without what a delegate keeps of its own.

    Attributes:
        file_bytes: the model, which is mapped or read as a whole.
        arena_bytes: the largest sum of activations that must exist at one time, executed in the order of the file.
        complete: False when some tensor's size is known only at run time (it counts as stored).
    """

    file_bytes: int
    arena_bytes: int
    complete: bool

    @property
    def total_bytes(self) -> int:
        return self.file_bytes + self.arena_bytes


def estimate_memory(graph: Graph, file_bytes: int) -> MemoryEstimate:
    """The memory estimate of a model of `file_bytes` bytes."""
    born: dict[int, int] = {tensor: -1 for tensor in graph.inputs}
    dies: dict[int, int] = {tensor: len(graph.nodes) for tensor in graph.outputs}
    for position, node in enumerate(graph.nodes):
        for tensor in node.outputs:
            born.setdefault(tensor, position)
        for tensor in (*node.inputs, *node.outputs):
            if tensor >= 0:
                dies[tensor] = max(dies.get(tensor, -1), position)
    changes = [0] * (len(graph.nodes) + 3)
    complete = True
    for index, first in born.items():
        made = graph.tensors[index]
        if made.is_constant:
            continue
        complete = complete and made.bits is not None and not made.is_dynamic
        size = _arena_bytes(made)
        if made.is_variable:
            first, last = -1, len(graph.nodes)
        else:
            last = dies.get(index, first)
        changes[first + 1] += size
        changes[last + 2] -= size
    peak = current = 0
    for change in changes:
        current += change
        peak = max(peak, current)
    return MemoryEstimate(file_bytes=file_bytes, arena_bytes=peak, complete=complete)


def _arena_bytes(tensor: Tensor) -> int:
    size = (tensor.element_count * (tensor.bits or 0) + 7) // 8
    return -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
