"""Quantized dimensions that a tensor does not have: some converters write a bias with the axis of its weights.

TFLite Micro and the plan runtime never look at the field of such a tensor; the runtimes of Linux boards refuse the model.
Where there is one scale, or the tensor has one dimension, no other value than 0 can be meant.
"""

from __future__ import annotations

from harness.tflite.graph import Graph, Tensor


def has_impossible_dimension(tensor: Tensor) -> bool:
    """True where the scales lie along an axis that the tensor has not."""
    return bool(tensor.scales and tensor.shape) and not 0 <= tensor.quantized_dimension < len(tensor.shape)


def with_possible_dimensions(graph: Graph, model: bytes) -> bytes | None:
    """A copy of a model whose impossible quantized dimensions are 0; None where it has none, or where 0 would be a guess.

    Args:
        graph: of the model.
        model: the .tflite.

    Raises:
        UnsupportedError: tables that this harness cannot copy.
    """
    from harness.tflite.cut.tree import read_tree, write_tree

    wrong = [tensor for tensor in graph.tensors if has_impossible_dimension(tensor)]
    if not wrong or any(len(tensor.shape) > 1 and len(tensor.scales) > 1 for tensor in wrong):
        return None
    tree = read_tree(model)
    tensors = tree.rows("subgraphs")[0].rows("tensors")
    for tensor in wrong:
        tensors[tensor.index]["quantization"]["quantized_dimension"] = 0
    return write_tree(tree)
