"""Simulated quantization of a float .tflite: weights rounded in place, FAKE_QUANT behind what is computed. Runs in build workers.

The file stays a float model of the size it had. What it computes is what integers of these bits would mean, up to the
rounding of sums, also where no runtime has a kernel: asymmetric weights, 4-bit activations. Source: arXiv 1806.08342.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.errors import UnsupportedError
from harness.tflite import schema
from harness.tflite.arithmetic import WEIGHTED_OPS
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, op_name, read_tree, write_tree
from harness.variants.convert.feeding import Feed
from harness.variants.scheme import Scheme
from harness.workloads.rows import Arrays

#: ops whose weights are rounded -> (position of the weights, axis of the output channels in a .tflite)
WEIGHTS = {"CONV_2D": (1, 0), "DEPTHWISE_CONV_2D": (1, 3), "FULLY_CONNECTED": (1, 0), "TRANSPOSE_CONV": (1, 0)}
#: ops whose output has the values of their input, rounded already
_CARRYING = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "MAX_POOL_2D", "SHAPE", "PACK"}


def rounded(values: np.ndarray, scheme: Scheme, axis: int | None) -> np.ndarray:
    """Weights as a scheme stores them, as real numbers: float32 of the same shape.

    Symmetric: S = max|w| / (2^(b-1) - 1), integers -(2^(b-1) - 1) to 2^(b-1) - 1. Asymmetric: S = (max - min) / (2^b - 1) with
    0 inside the range, and a zero point that is a whole number, so that 0 stays 0.

    Args:
        values: float32, any shape.
        axis: of the output channels, each with a range of its own; None for one range.
    """
    axes = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    keep = axis is not None
    wide = values.astype(np.float64)
    low, high = scheme.weight_levels
    if scheme.symmetric:
        scale = _not_zero(np.abs(wide).max(axis=axes, keepdims=keep) / high)
        return (scale * np.clip(np.round(wide / scale), low, high)).astype(np.float32)
    least = np.minimum(wide.min(axis=axes, keepdims=keep), 0.0)
    most = np.maximum(wide.max(axis=axes, keepdims=keep), 0.0)
    scale = _not_zero((most - least) / (high - low))
    zero = np.round(low - least / scale)
    return (scale * (np.clip(np.round(wide / scale) + zero, low, high) - zero)).astype(np.float32)


def _not_zero(scale: np.ndarray) -> np.ndarray:
    return np.where(scale > 0, scale, 1.0)


def simulate(model: bytes, scheme: Scheme, representative: Arrays | None) -> bytes:
    """A float .tflite with its weights, and where the scheme says so its activations, rounded.

    Args:
        model: from the converter, float32, with batch normalization folded in.
        representative: samples, which give the ranges of activations (their least and largest value).

    Raises:
        UnsupportedError: it has weights that this does not know how to round (recurrent layers), or several subgraphs.
    """
    tree = read_tree(model)
    if len(tree.rows("subgraphs")) != 1:
        raise UnsupportedError("sim[...] rounds models of one subgraph; this one has loops or branches")
    _round_weights(tree, scheme)
    if scheme.activation_bits is None:
        return write_tree(tree)
    if representative is None:
        raise UnsupportedError(
            "activations are rounded to ranges that samples give, and the data has no training samples",
            hint="give x_train in the .npz",
        )
    places = list(_activations(tree))
    ranges = _ranges(write_tree(tree), [place.tensor for place in places], representative)
    _round_activations(tree, places, ranges, scheme.activation_bits)
    return write_tree(tree)


def _round_weights(tree: Record, scheme: Scheme) -> None:
    tensors = tree.rows("subgraphs")[0].rows("tensors")
    buffers = tree.rows("buffers")
    done: set[int] = set()
    for operator in tree.rows("subgraphs")[0].rows("operators"):
        op = op_name(tree, operator)
        if op in WEIGHTED_OPS and op not in WEIGHTS:
            constant = _constant(tree, tensors[operator.indices("inputs")[WEIGHTED_OPS[op][1]]])
            if constant or op != "BATCH_MATMUL":
                raise UnsupportedError(
                    f"sim[...] does not round the weights of {op}", hint=f"it knows {', '.join(WEIGHTS)}"
                )
        if op not in WEIGHTS:
            continue
        position, axis = WEIGHTS[op]
        number = operator.indices("inputs")[position]
        raw = _constant(tree, tensors[number])
        if not raw or number in done:
            continue
        done.add(number)
        values = np.frombuffer(raw, "<f4").reshape(tensors[number].indices("shape"))
        made = rounded(values, scheme, axis if scheme.per_channel else None)
        # A buffer of its own: the converter lets equal constants share one.
        tensors[number]["buffer"] = len(buffers)
        buffers.append(Record("Buffer", data=made.astype("<f4").tobytes()))
    _drop_unread(tree)


def _drop_unread(tree: Record) -> None:
    """Empties the buffers that nothing reads any more; numbers stay."""
    read = {tensor.number("buffer") for tensor in tree.rows("subgraphs")[0].rows("tensors")}
    read |= {record.number("buffer") for record in tree.rows("metadata")}
    for number, buffer in enumerate(tree.rows("buffers")):
        if number not in read:
            buffer["data"] = None


def _constant(tree: Record, tensor: Record) -> bytes | memoryview | None:
    data = tree.rows("buffers")[tensor.number("buffer")]["data"] if tensor.number("buffer") else None
    return data if data is not None and len(data) else None


@dataclass(frozen=True, kw_only=True)
class _Activation:
    """A tensor to be rounded, and the operator that writes it; None for the model's input."""

    tensor: int
    writer: Record | None


def _activations(tree: Record) -> Iterator[_Activation]:
    subgraph = tree.rows("subgraphs")[0]
    tensors = subgraph.rows("tensors")
    is_float = [schema.type_name(tensor.number("type")) == "float32" for tensor in tensors]
    yield from (_Activation(tensor=t, writer=None) for t in subgraph.indices("inputs") if is_float[t])
    for operator in subgraph.rows("operators"):
        if op_name(tree, operator) in _CARRYING:
            continue
        yield from (_Activation(tensor=t, writer=operator) for t in operator.indices("outputs") if is_float[t])


def _ranges(model: bytes, wanted: Sequence[int], representative: Arrays) -> list[tuple[float, float]]:
    """The least and the largest value of each tensor over the samples, 0 among them."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        model_content=model, num_threads=1, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    interpreter.allocate_tensors()
    feed = Feed(interpreter, model, representative)
    found = [(0.0, 0.0)] * len(wanted)
    for sample in representative:
        feed.give(sample)
        interpreter.invoke()
        for i, tensor in enumerate(wanted):
            values = interpreter.get_tensor(tensor)
            found[i] = min(found[i][0], float(values.min())), max(found[i][1], float(values.max()))
    return found


def _round_activations(
    tree: Record, places: Sequence[_Activation], ranges: Sequence[tuple[float, float]], bits: int
) -> None:
    editor = Editor(tree)
    operators = editor.subgraph.rows("operators")
    for place, (low, high) in zip(places, ranges, strict=True):
        if low == high:
            continue  # all zeros: there is nothing to round
        fields = {"min": low, "max": high, "num_bits": bits}
        record = editor.tensors[place.tensor]
        made = editor.tensor(f"{record.text('name')} rounded", record.indices("shape"), "float32")
        editor.tensors[made]["shape_signature"] = record["shape_signature"]
        if place.writer is None:
            _read_instead(operators, place.tensor, made)
            step = editor.operator("FAKE_QUANT", [place.tensor], [made], options="FakeQuantOptions", fields=fields)
            operators.insert(0, step)
            continue
        # The tensor keeps its number for whoever reads it; what its operator writes gets a new one.
        written = [made if t == place.tensor else t for t in place.writer.indices("outputs")]
        place.writer["outputs"] = np.array(written, np.int32)
        step = editor.operator("FAKE_QUANT", [made], [place.tensor], options="FakeQuantOptions", fields=fields)
        operators.insert(operators.index(place.writer) + 1, step)


def _read_instead(operators: Sequence[Record], old: int, new: int) -> None:
    for operator in operators:
        inputs = [new if t == old else t for t in operator.indices("inputs")]
        operator["inputs"] = np.array(inputs, np.int32)
