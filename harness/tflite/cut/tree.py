"""A .tflite as a tree of records that can be changed and written again.

`read_tree` and `write_tree` know every field of the schema, so that what is not touched comes out as it went in: options,
quantization details, sparsity, custom options. Bytes that lie outside of the FlatBuffer (models over 2 GB keep their weights
there) are taken in; a model that would then pass 2 GB is refused. What the schema here does not know is refused by name and
never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.core.errors import UnsupportedError, UserInputError
from harness.tflite import schema
from harness.tflite.cut.fields import fields_of, union_member
from harness.tflite.flatbuffer import Buffer, CorruptBuffer, Table

_IDENTIFIER = b"TFL3"
_MAX_BYTES = 2**31 - 1
_BUFFER_ALIGNMENT = 16


class Record:
    """One table: `record["field"]` by the schema's field names; a field that is absent reads as None.

    Values are Python numbers, `bytes` for text, memoryviews for byte vectors, numpy arrays for vectors of numbers, Records,
    and lists of Records.
    """

    __slots__ = ("table", "values")

    def __init__(self, table: str, **values: Any) -> None:
        self.table = table
        self.values = values

    def __getitem__(self, field: str) -> Any:
        return self.values.get(field)

    def __setitem__(self, field: str, value: Any) -> None:
        if value is None:
            self.values.pop(field, None)
        else:
            self.values[field] = value

    def number(self, field: str, default: int = 0) -> int:
        """An integer field, the schema's default where it is absent."""
        return int(self.values.get(field, default))

    def rows(self, field: str) -> list[Record]:
        """A vector of tables; a list of its own where it is absent."""
        return self.values.setdefault(field, [])

    def indices(self, field: str) -> tuple[int, ...]:
        """A vector of int32, such as the inputs of a node."""
        values = self.values.get(field)
        return () if values is None else tuple(int(value) for value in values)

    def text(self, field: str) -> str:
        return bytes(self.values.get(field, b"")).decode("utf-8", errors="replace")

    def copy(self) -> Record:
        """A record of its own with the same values; tables below it are shared."""
        return Record(self.table, **self.values)

    def __repr__(self) -> str:
        return f"Record({self.table}: {', '.join(self.values)})"


def read_tree(model: bytes | memoryview) -> Record:
    """Reads a whole model. Constants stay views into `model`.

    Raises:
        UserInputError: no .tflite, or a damaged one.
        UnsupportedError: tables or fields newer than the schema here, or weights in files of their own.
    """
    data = memoryview(model)
    if len(data) < 8 or bytes(data[4:8]) != _IDENTIFIER:
        raise UserInputError("is not a .tflite file: the identifier TFL3 is missing")
    try:
        buffer = Buffer(data)
        tree = _read(buffer.root(), "Model")
        _take_in(tree, buffer)
    except CorruptBuffer as error:
        raise UserInputError(f"is a truncated or corrupt .tflite file: {error}") from None
    return tree


def write_tree(model: Record) -> bytes:
    """The model as a FlatBuffer.

    Raises:
        UnsupportedError: it would be larger than 2 GB.
    """
    import flatbuffers

    size = sum(len(buffer["data"]) for buffer in model.rows("buffers") if buffer["data"] is not None)
    if size > _MAX_BYTES - (1 << 20):
        raise UnsupportedError(
            f"the model would be {size / 1e9:.1f} GB, and a .tflite of one piece holds at most 2",
            hint="cut it between tensors that leave part of its weights out",
        )
    builder = flatbuffers.Builder(size + 4096)
    builder.ForceDefaults(True)
    builder.Finish(_write(builder, model), _IDENTIFIER)
    return bytes(builder.Output())


def op_name(model: Record, operator: Record) -> str:
    """The operator's name in the schema, such as `CONV_2D`; `CUSTOM` for custom ops."""
    codes = model.rows("operator_codes")
    index = operator.number("opcode_index")
    if index >= len(codes):
        raise UserInputError(f"is a corrupt .tflite file: operator code {index} of {len(codes)}")
    code = codes[index]
    return schema.op_name(max(code.number("deprecated_builtin_code"), code.number("builtin_code")))


def custom_name(model: Record, operator: Record) -> str | None:
    """The name of a custom operator; None for the others."""
    if op_name(model, operator) != "CUSTOM":
        return None
    name = model.rows("operator_codes")[operator.number("opcode_index")]["custom_code"]
    return None if name is None else bytes(name).decode(errors="replace")


def options_of(operator: Record) -> Iterator[Record]:
    """The operator's options tables: none, one, or rarely two."""
    for field in ("builtin_options", "builtin_options_2"):
        if operator[field] is not None:
            yield operator[field]


# ------------------------------------------------------------------------------------------------------------- reading


def _read(table: Table, name: str) -> Record:
    fields = fields_of(name)
    if any(table.slots[len(fields) :]):
        raise UnsupportedError(f"its {name} has fields that are newer than the schema that this harness reads")
    record = Record(name)
    for slot, (field, kind) in enumerate(fields):
        if slot < len(table.slots) and table.slots[slot]:
            record[field] = _read_field(table, slot, kind, record)
    return record


def _read_field(table: Table, slot: int, kind: str, record: Record) -> Any:
    head, _, rest = kind.partition(":")
    if head == "text":
        raw = table.raw(slot)
        return None if raw is None else bytes(raw)
    if head == "bytes":
        return table.raw(slot)
    if head == "array":
        return table.array(slot, rest)
    if head == "tables":
        return [_read(row, rest) for row in table.tables(slot)]
    if head == "table":
        child = table.child(slot)
        return None if child is None else _read(child, rest)
    if head == "union":
        union, _, type_field = rest.partition(":")
        member = union_member(union, record.number(type_field))
        child = table.child(slot) if member else None
        return None if child is None or member is None else _read(child, member)
    if head == "unused":
        return None
    return table.scalar(slot, head)


def _take_in(tree: Record, buffer: Buffer) -> None:
    """Buffers and custom options stored after the FlatBuffer become ordinary ones."""

    def outside(offset: int, size: int) -> memoryview:
        buffer.check(offset, size)
        return buffer.data[offset : offset + size]

    for row in tree.rows("buffers"):
        offset, size = row.number("offset"), row.number("size")
        row["offset"] = row["size"] = None
        if offset > 1:
            row["data"] = outside(offset, size)
    for subgraph in tree.rows("subgraphs"):
        _check_indices(subgraph, len(subgraph.rows("tensors")), "the model's interface")
        for number, operator in enumerate(subgraph.rows("operators")):
            offset = operator.number("large_custom_options_offset")
            size = operator.number("large_custom_options_size")
            operator["large_custom_options_offset"] = operator["large_custom_options_size"] = None
            if offset > 1:
                operator["custom_options"] = outside(offset, size)
            op_name(tree, operator)  # a code that does not exist is found here and not later
            _check_indices(operator, len(subgraph.rows("tensors")), f"node {number}")
        for tensor in subgraph.rows("tensors"):
            if tensor.number("external_buffer"):
                raise UnsupportedError(
                    f"the weights '{tensor.text('name')}' lie in another file",
                    hint="store the model in one file; converters do unless they are told otherwise",
                )


def _check_indices(operator: Record, count: int, where: str) -> None:
    for field, lowest in (("inputs", -1), ("outputs", -1), ("intermediates", -1)):
        if any(index < lowest or index >= count for index in operator.indices(field)):
            raise CorruptBuffer(f"{where} refers to a tensor that does not exist (there are {count})")


# ------------------------------------------------------------------------------------------------------------- writing

_PREPEND = {
    "bool": "PrependBoolSlot",
    "int8": "PrependInt8Slot",
    "uint8": "PrependUint8Slot",
    "int16": "PrependInt16Slot",
    "int32": "PrependInt32Slot",
    "uint32": "PrependUint32Slot",
    "int64": "PrependInt64Slot",
    "uint64": "PrependUint64Slot",
    "float32": "PrependFloat32Slot",
}


def _write(builder: Any, record: Record) -> int:
    """Writes what a table refers to, then the table; returns its offset."""
    fields = [(slot, field, kind) for slot, (field, kind) in enumerate(fields_of(record.table))]
    present = [(slot, kind, record[field]) for slot, field, kind in fields if record[field] is not None]
    offsets = {slot: _write_child(builder, kind, value) for slot, kind, value in present if kind not in _PREPEND}
    builder.StartObject(len(fields))
    for slot, kind, value in present:
        if slot in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        else:
            getattr(builder, _PREPEND[kind])(slot, value, 0)
    return builder.EndObject()


def _write_child(builder: Any, kind: str, value: Any) -> int:
    head = kind.partition(":")[0]
    if head == "text":
        return builder.CreateString(value)
    if head == "bytes":
        return _write_bytes(builder, value)
    if head == "array":
        return builder.CreateNumpyVector(np.ascontiguousarray(value))
    if head == "tables":
        offsets = [_write(builder, row) for row in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    return _write(builder, value)


def _write_bytes(builder: Any, value: bytes | memoryview) -> int:
    """A byte vector whose data is aligned as the schema demands of Buffer.data."""
    builder.StartVector(1, len(value), _BUFFER_ALIGNMENT)
    builder.head -= len(value)
    builder.Bytes[builder.head : builder.head + len(value)] = bytes(value)
    builder.vectorNumElems = len(value)
    return builder.EndVector()
