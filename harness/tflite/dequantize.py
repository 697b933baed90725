"""A hybrid model with its weights put back into floats: what a dynamic-range model means, without a hybrid kernel.

Hybrid kernels (float activations, integer weights) are where runtimes err in silence: tflite-runtime 2.14 uses the
first channel's scale for all channels of a FULLY_CONNECTED, and LiteRT 2.3's built-in kernel gets the first output of a
large one wrong. A reference for such a model must not use one. The float kernels on dequantized weights compute
r = S (q - Z) exactly as the quantization specification defines it; only the input's dynamic quantization is missing,
which the tolerance of float outputs allows for.
"""

from __future__ import annotations

import struct

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite.arithmetic import node_arithmetic, weights_of
from harness.tflite.graph import Graph, Tensor, read_graph

# Places in a flatbuffer table: 4 + 2 * field number of schema.fbs.
_TENSOR_TYPE_SLOT = 6
_BUFFER_DATA_SLOT = 4
_ALIGNMENT_BYTES = 16
_MAX_BYTES = 2**31 - 1


def dequantize_hybrid_weights(model: bytes) -> bytes | None:
    """The model with the weights of its hybrid nodes as float32; None when it has no hybrid node.

    The file is patched, not rebuilt: new weight buffers are appended and their offsets and tensor types rewritten, so
    that everything else stays as the converter wrote it.

    Raises:
        UnsupportedError: weights that another kind of node uses too, weights that are not constant, or a file that
            would pass 2 GiB.
    """
    graph = read_graph(model)
    weights = {
        tensor.index: tensor
        for node in graph.nodes
        if node_arithmetic(graph, node) == "hybrid" and (tensor := weights_of(graph, node)) is not None
    }
    if not weights:
        return None
    _check(graph, weights)
    patched = bytearray(model)
    tables = _Tables(model)
    for tensor in weights.values():
        values = _real(tensor).astype("<f4").tobytes()
        patched += bytes(-(len(patched) + 4) % _ALIGNMENT_BYTES)
        place = len(patched)
        if place + 4 + len(values) > _MAX_BYTES:
            raise UnsupportedError("the model with float weights would be larger than 2 GiB")
        patched += struct.pack("<I", len(values)) + values
        data_field = tables.buffer_data(tensor.index)
        struct.pack_into("<I", patched, data_field, place - data_field)
        patched[tables.tensor_type(tensor.index)] = 0
    return bytes(patched)


def _check(graph: Graph, weights: dict[int, Tensor]) -> None:
    for node in graph.nodes:
        shared = set(weights) & set(node.inputs)
        if shared and node_arithmetic(graph, node) != "hybrid":
            raise UnsupportedError(f"the weights of a hybrid node are used by node {node.index} {node.op} as well")
    for tensor in weights.values():
        if not tensor.is_constant:
            raise UnsupportedError(f"the weights '{tensor.name}' of a hybrid node are not constant")


def _real(tensor: Tensor) -> np.ndarray:
    """The tensor's real values by r = S (q - Z), per tensor or along its quantized dimension; float32."""
    stored = np.asarray(tensor.data(), dtype=np.float64)
    scales, zeros = np.asarray(tensor.scales, np.float64), np.asarray(tensor.zero_points or [0], np.float64)
    if scales.size > 1:
        shape = [1] * stored.ndim
        shape[tensor.quantized_dimension] = -1
        scales, zeros = scales.reshape(shape), zeros.reshape(shape) if zeros.size > 1 else zeros
    return (scales * (stored - zeros)).astype(np.float32)


class _Tables:
    """Byte positions of single fields in a model whose offsets `read_graph` has checked."""

    def __init__(self, model: bytes) -> None:
        import tflite

        self._model = tflite.Model.GetRootAs(model, 0)
        self._subgraph = self._model.Subgraphs(0)

    def tensor_type(self, index: int) -> int:
        """Position of the tensor's type byte; it is there because no integer type is the default."""
        table = self._subgraph.Tensors(index)._tab
        return table.Pos + table.Offset(_TENSOR_TYPE_SLOT)

    def buffer_data(self, index: int) -> int:
        """Position of the offset to the bytes of the tensor's buffer."""
        table = self._model.Buffers(self._subgraph.Tensors(index).Buffer())._tab
        return table.Pos + table.Offset(_BUFFER_DATA_SLOT)
