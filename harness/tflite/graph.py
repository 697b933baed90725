"""Reads a .tflite file without running it, without TensorFlow and without trusting it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import open_regular
from harness.core.formats import HEAD_BYTES, TFLITE_IDENTIFIER, format_of
from harness.core.memory import require_memory
from harness.core.tensor import TensorIo
from harness.tflite import schema
from harness.tflite.flatbuffer import Buffer, CorruptBuffer, Table
from harness.tflite.unpack import unpack_elements

#: no FlatBuffer is larger: its offsets are signed 32-bit numbers
_MAX_FLATBUFFER_BYTES = 2**31 - 1
#: what reading a model takes beside its bytes: one copy, by whoever runs it
_COPIES = 2


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor as stored.

    Attributes:
        shape: as stored, dynamic dimensions as 1; `shape_signature` has -1 in their place (empty: the same as `shape`).
        scales, zero_points: one per tensor, or one per channel along `quantized_dimension`; empty when not quantized.
        recorded_min, recorded_max: the ranges a converter left in the file; mostly empty.
        details: `blockwise` or `custom` where the quantization is not the affine one.
        buffer_bytes: bytes of constant data in the file.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    recorded_min: tuple[float, ...] = ()
    recorded_max: tuple[float, ...] = ()
    details: str | None = None
    buffer_bytes: int = 0
    is_variable: bool = False
    is_sparse: bool = False
    raw: memoryview | None = field(default=None, repr=False, compare=False)

    @property
    def is_constant(self) -> bool:
        return self.buffer_bytes > 0

    @property
    def is_quantized(self) -> bool:
        return bool(self.scales) and any(scale != 0 for scale in self.scales)

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1

    @property
    def is_dynamic(self) -> bool:
        return any(size < 0 for size in (*self.shape_signature, *self.shape))

    @property
    def bits(self) -> int | None:
        """Bits of one stored element; None for strings, resources and types this harness does not know."""
        return schema.TYPE_BITS.get(self.dtype)

    @property
    def element_count(self) -> int:
        return math.prod(max(size, 0) for size in self.shape)

    def data(self) -> np.ndarray:
        """The constant's values, read-only, in `shape`; int4 and int2 unpacked to int8, bfloat16 widened to float32.

        Raises:
            UserInputError: when the tensor is no constant, is sparse, or its bytes do not fill its shape.
        """
        where = f"tensor {self.index} '{self.name}'"
        if self.raw is None or not self.is_constant:
            raise UserInputError("it has no constant data", where=where)
        if self.is_sparse:
            raise UserInputError("it is stored sparse, which this harness does not expand", where=where)
        try:
            return unpack_elements(self.raw, self.dtype, self.element_count).reshape(self.shape)
        except ValueError as error:
            raise UserInputError(f"corrupt model: {error}", where=where) from None


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator. `inputs` and `intermediates` (what an LSTM computes on the way) hold -1 for what is absent.

    `custom_name` and `custom_options` are set for custom ops.
    """

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    custom_name: str | None = None
    code: int = 0
    custom_options: bytes = field(default=b"", repr=False)
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A graph that the main one calls, such as the one that gives variables their first values."""

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The main subgraph of a model; `subgraph_count` above 1 tells of control flow or of several signatures."""

    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    schema_version: int
    description: str
    size_bytes: int
    subgraph_count: int = 1
    #: operators of the other subgraphs, which a runtime must know as well
    other_nodes: tuple[Node, ...] = ()
    #: the other subgraphs themselves, the second one first
    others: tuple[Subgraph, ...] = ()
    source: str | None = None
    #: key of each signature -> the number of its subgraph
    signatures: dict[str, int] = field(default_factory=dict)
    #: tensor -> what the first signature of this subgraph calls it, of outputs
    output_names: dict[int, str] = field(default_factory=dict)
    #: the same of inputs
    input_names: dict[int, str] = field(default_factory=dict)

    @cached_property
    def producers(self) -> dict[int, Node]:
        """Tensor index -> the node that writes it."""
        return {tensor: node for node in self.nodes for tensor in node.outputs}

    @cached_property
    def consumers(self) -> dict[int, tuple[Node, ...]]:
        """Tensor index -> the nodes that read it."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes:
            for tensor in dict.fromkeys(node.inputs):
                found.setdefault(tensor, []).append(node)
        return {tensor: tuple(nodes) for tensor, nodes in found.items()}

    def node_inputs(self, node: Node) -> Iterator[Tensor]:
        """The tensors a node reads, absent optional ones left out."""
        return (self.tensors[i] for i in node.inputs if i >= 0)

    def node_outputs(self, node: Node) -> Iterator[Tensor]:
        return (self.tensors[i] for i in node.outputs if i >= 0)

    def input_at(self, node: Node, position: int) -> Tensor | None:
        """The tensor at an input position; None when absent."""
        if position >= len(node.inputs) or node.inputs[position] < 0:
            return None
        return self.tensors[node.inputs[position]]


def read_graph(source: str | os.PathLike[str] | bytes | memoryview) -> Graph:
    """Reads a .tflite.

    Args:
        source: a path, or the file's bytes.

    Returns:
        The graph. Constants are views into the bytes: nothing is copied until `Tensor.data` has to unpack.

    Raises:
        UserInputError: the file cannot be read, is no .tflite, or is damaged.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, where = memoryview(source), None
    else:
        where = str(source)
        data = memoryview(read_tflite(Path(source)))
    require_tflite(data[:HEAD_BYTES], where)
    try:
        return _read_model(Buffer(data), where)
    except CorruptBuffer as error:
        raise UserInputError(
            f"is a truncated or corrupt .tflite file: {error}", where=where, hint="build or download the file again"
        ) from None


def require_tflite(beginning: bytes | memoryview, where: str | None) -> None:
    """Refuses what does not begin as a .tflite does, by the name of what it is instead.

    Args:
        beginning: of the file, as far as `formats.HEAD_BYTES`.
        where: its path; None for bytes.

    Raises:
        UserInputError: it is something else.
    """
    if len(beginning) >= 8 and bytes(beginning[4:8]) == TFLITE_IDENTIFIER:
        return
    hint = "a .tflite file comes from `harness build`, TFLiteConverter or AI Edge Quantizer"
    if not len(beginning):
        raise UserInputError("is empty", where=where, hint=hint)
    known = format_of(bytes(beginning), where or "")
    what = "is not a .tflite file: the identifier TFL3 is missing"
    if known is None:
        raise UserInputError(what, where=where, hint=hint)
    raise UserInputError(f"{what}; it is {known.words}", where=where, hint=known.hint)


def read_tflite(path: Path) -> bytes:
    """The bytes of a model that somebody named. What is no .tflite, or too large for one, is not read.

    Raises:
        UserInputError: it cannot be read, is something else, or would not fit into memory.
    """
    where = str(path)
    try:
        with open_regular(path) as file:
            require_tflite(file.read(HEAD_BYTES), where)
            size_bytes = file.seek(0, os.SEEK_END)
            if size_bytes > _MAX_FLATBUFFER_BYTES:
                what = f"has {size_bytes:,} bytes, and a .tflite has at most {_MAX_FLATBUFFER_BYTES:,} here"
                raise UserInputError(what, where=where, hint="give a smaller model: boards hold megabytes")
            require_memory(size_bytes * _COPIES, "the model", where=where, hint="give a smaller model")
            file.seek(0)
            return file.read()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL inside
        raise UserInputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=where) from None


@dataclass(frozen=True, kw_only=True)
class _OpCode:
    op: str
    code: int
    version: int
    custom_name: str | None


def _read_model(buffer: Buffer, where: str | None) -> Graph:
    """Schema slots of Model: 0 version, 1 operator_codes, 2 subgraphs, 3 description, 4 buffers, 7 signature_defs."""
    model = buffer.root()
    codes = [_read_op_code(table) for table in model.tables(1)]
    subgraphs = model.tables(2)
    if not subgraphs:
        raise CorruptBuffer("it has no subgraph")
    buffers = model.tables(4)
    tensors = [_read_tensor(i, table, buffers) for i, table in enumerate(subgraphs[0].tables(0))]
    nodes = _read_nodes(subgraphs[0], codes, len(tensors))
    others = []
    for table in subgraphs[1:]:
        rows = table.tables(0)
        inside = tuple(_read_tensor(i, row, buffers) for i, row in enumerate(rows))
        others.append(Subgraph(tensors=inside, nodes=_read_nodes(table, codes, len(rows))))
    return Graph(
        tensors=tuple(tensors),
        nodes=nodes,
        other_nodes=tuple(node for other in others for node in other.nodes),
        others=tuple(others),
        inputs=_indices(subgraphs[0], 1, len(tensors), "an input of the model"),
        outputs=_indices(subgraphs[0], 2, len(tensors), "an output of the model"),
        schema_version=model.scalar(0, "uint32"),
        description=model.text(3),
        size_bytes=buffer.size,
        subgraph_count=len(subgraphs),
        source=where,
        # Slots of SignatureDef: 2 signature_key, 4 subgraph_index.
        signatures={table.text(2): table.scalar(4, "uint32") for table in model.tables(7)},
        output_names=_end_names(model.tables(7), 1),
        input_names=_end_names(model.tables(7), 0),
    )


def _end_names(signatures: list[Table], slot: int) -> dict[int, str]:
    """Slots of SignatureDef: 0 inputs, 1 outputs, 4 subgraph_index; of TensorMap: 0 name, 1 tensor_index."""
    first = next((table for table in signatures if table.scalar(4, "uint32") == 0), None)
    if first is None:
        return {}
    return {row.scalar(1, "uint32"): row.text(0) for row in first.tables(slot)}


def _read_op_code(table: Table) -> _OpCode:
    """Slots of OperatorCode: 0 deprecated_builtin_code (int8), 1 custom_code, 2 version, 3 builtin_code (int32).

    Writers of before 2021 fill only the first; newer ones put 127 there when the code does not fit. The larger counts.
    """
    code = max(table.scalar(0, "int8"), table.scalar(3, "int32"))
    name = schema.op_name(code)
    custom_name = table.text(1) if name == "CUSTOM" else None
    return _OpCode(op=name, code=code, version=table.scalar(2, "int32", 1), custom_name=custom_name)


def _read_nodes(subgraph: Table, codes: list[_OpCode], tensor_count: int) -> tuple[Node, ...]:
    """Slots of Operator: 0 opcode_index, 1 inputs, 2 outputs, 3/4 builtin_options, 5 custom_options, 8 intermediates, 11/12
    builtin_options_2.
    """
    nodes = []
    for index, table in enumerate(subgraph.tables(3)):
        code_index = table.scalar(0, "uint32")
        if code_index >= len(codes):
            raise CorruptBuffer(f"node {index} has operator code {code_index} of {len(codes)}")
        options: dict[str, Any] = {}
        for kind_slot, table_slot, second in ((3, 4, False), (11, 12, True)):
            class_name = schema.options_class(table.scalar(kind_slot, "uint8"), second=second)
            child = table.child(table_slot) if class_name else None
            if child is not None and class_name is not None:
                options |= schema.read_options(child, class_name)
        code = codes[code_index]
        nodes.append(
            Node(
                index=index,
                op=code.op,
                code=code.code,
                version=code.version,
                custom_name=code.custom_name,
                custom_options=bytes(table.raw(5) or b"") if code.custom_name else b"",
                options=options,
                inputs=_indices(table, 1, tensor_count, f"an input of node {index}", optional=True),
                outputs=_indices(table, 2, tensor_count, f"an output of node {index}"),
                intermediates=_indices(table, 8, tensor_count, f"an intermediate of node {index}", optional=True),
            )
        )
    return tuple(nodes)


def _indices(table: Table, slot: int, count: int, what: str, *, optional: bool = False) -> tuple[int, ...]:
    values = table.array(slot, "int32")
    if values is None:
        return ()
    lowest = -1 if optional else 0
    if values.size and (values.min() < lowest or values.max() >= count):
        raise CorruptBuffer(f"{what} refers to a tensor that does not exist (there are {count})")
    return tuple(values.tolist())


def _read_tensor(index: int, table: Table, buffers: list[Table]) -> Tensor:
    """Slots: 0 shape, 1 type, 2 buffer, 3 name, 4 quantization, 5 is_variable, 6 sparsity, 7 shape_signature."""
    shape, signature = table.array(0, "int32"), table.array(7, "int32")
    if shape is not None and shape.size and shape.min() < -1:
        raise CorruptBuffer(f"tensor {index} has a negative shape")
    buffer_index = table.scalar(2, "uint32")
    if buffer_index >= len(buffers) and buffer_index != 0:
        raise CorruptBuffer(f"tensor {index} has buffer {buffer_index} of {len(buffers)}")
    raw = _read_buffer(buffers[buffer_index]) if buffer_index else None
    return Tensor(
        index=index,
        name=table.text(3),
        dtype=schema.type_name(table.scalar(1, "int8")),
        shape=() if shape is None else tuple(shape.tolist()),
        shape_signature=() if signature is None else tuple(signature.tolist()),
        is_variable=table.scalar(5, "bool", False),
        is_sparse=table.child(6) is not None,
        raw=raw,
        buffer_bytes=0 if raw is None else len(raw),
        **_read_quantization(index, table.child(4)),
    )


def _read_buffer(table: Table) -> memoryview | None:
    """Slots of Buffer: 0 data, or 1 offset and 2 size of bytes that lie after the FlatBuffer (models over 2 GB)."""
    offset, size = table.scalar(1, "uint64"), table.scalar(2, "uint64")
    if offset > 1:
        table.buffer.check(offset, size)
        return table.buffer.data[offset : offset + size]
    return table.raw(0)


def _read_quantization(index: int, table: Table | None) -> dict[str, Any]:
    """Slots of QuantizationParameters: 0 min, 1 max, 2 scale, 3 zero_point, 4 details_type, 6 quantized_dimension."""
    if table is None:
        return {}
    found: dict[str, Any] = {}
    for name, slot, dtype in (
        ("recorded_min", 0, "float32"),
        ("recorded_max", 1, "float32"),
        ("scales", 2, "float32"),
        ("zero_points", 3, "int64"),
    ):
        values = table.array(slot, dtype)
        if values is not None and values.size:
            if not np.isfinite(values).all():
                raise CorruptBuffer(f"tensor {index} has a quantization parameter that is not a finite number")
            found[name] = tuple(values.tolist())
    scales, zero_points = found.get("scales", ()), found.get("zero_points", ())
    if scales and not zero_points:
        found["zero_points"] = (0,) * len(scales)
    elif scales and len(zero_points) == 1:
        found["zero_points"] = zero_points * len(scales)
    elif len(zero_points) != len(scales) and scales:
        raise CorruptBuffer(f"tensor {index} has {len(scales)} scales and {len(zero_points)} zero points")
    found["quantized_dimension"] = table.scalar(6, "int32")
    details = table.scalar(4, "uint8")
    found["details"] = {0: None, 1: "custom", 2: "blockwise"}.get(details, f"details_{details}")
    return found


def model_io(graph: Graph) -> tuple[tuple[TensorIo, ...], tuple[TensorIo, ...]]:
    """The model's inputs and outputs, in the order of the file."""

    def describe(index: int) -> TensorIo:
        tensor = graph.tensors[index]
        return TensorIo(
            name=tensor.name,
            dtype=tensor.dtype,
            shape=tensor.shape,
            scale=tensor.scales[0] if tensor.scales else 0.0,
            zero_point=tensor.zero_points[0] if tensor.zero_points else 0,
        )

    return tuple(describe(i) for i in graph.inputs), tuple(describe(i) for i in graph.outputs)
