"""The tables of the .tflite schema, field by field, for reading a model as a tree and writing it again.

The tables that every model has are listed here. Options tables are asked of the `tflite` package: its generated `...Add...`
functions say the slot and the type of each field when they are called with a builder that only listens.
"""

from __future__ import annotations

import re
from functools import cache
from types import ModuleType
from typing import Any

from harness.core.errors import UnsupportedError
from harness.tflite import schema

#: how a field is stored: a scalar type; `text`; `array:TYPE`; `bytes` (aligned to 16, as Buffer.data must be);
#: `table:NAME`; `tables:NAME` (a vector of them); `union:NAME:FIELD` (a table whose kind the scalar field FIELD tells)
Fields = tuple[tuple[str, str], ...]

_TABLES: dict[str, Fields] = {
    "Model": (
        ("version", "uint32"),
        ("operator_codes", "tables:OperatorCode"),
        ("subgraphs", "tables:SubGraph"),
        ("description", "text"),
        ("buffers", "tables:Buffer"),
        ("metadata_buffer", "array:int32"),
        ("metadata", "tables:Metadata"),
        ("signature_defs", "tables:SignatureDef"),
    ),
    "OperatorCode": (
        ("deprecated_builtin_code", "int8"),
        ("custom_code", "text"),
        ("version", "int32"),
        ("builtin_code", "int32"),
    ),
    "SubGraph": (
        ("tensors", "tables:Tensor"),
        ("inputs", "array:int32"),
        ("outputs", "array:int32"),
        ("operators", "tables:Operator"),
        ("name", "text"),
        ("debug_metadata_index", "int32"),
    ),
    "Tensor": (
        ("shape", "array:int32"),
        ("type", "int8"),
        ("buffer", "uint32"),
        ("name", "text"),
        ("quantization", "table:QuantizationParameters"),
        ("is_variable", "bool"),
        ("sparsity", "table:SparsityParameters"),
        ("shape_signature", "array:int32"),
        ("has_rank", "bool"),
        ("variant_tensors", "tables:VariantSubType"),
        ("external_buffer", "uint32"),
    ),
    "QuantizationParameters": (
        ("min", "array:float32"),
        ("max", "array:float32"),
        ("scale", "array:float32"),
        ("zero_point", "array:int64"),
        ("details_type", "uint8"),
        ("details", "union:QuantizationDetails:details_type"),
        ("quantized_dimension", "int32"),
    ),
    "CustomQuantization": (("custom", "bytes"),),
    "BlockwiseQuantization": (
        ("scales", "int32"),
        ("zero_points", "int32"),
        ("block_size", "int32"),
        ("block_shape", "array:int32"),
    ),
    "MultiAxisQuantization": (
        ("scales", "int32"),
        ("zero_points", "int32"),
        ("block_size", "int32"),
        ("quantized_dimensions", "array:int32"),
    ),
    "SparsityParameters": (
        ("traversal_order", "array:int32"),
        ("block_map", "array:int32"),
        ("dim_metadata", "tables:DimensionMetadata"),
    ),
    "DimensionMetadata": (
        ("format", "int8"),
        ("dense_size", "int32"),
        ("array_segments_type", "uint8"),
        ("array_segments", "union:SparseIndexVector:array_segments_type"),
        ("array_indices_type", "uint8"),
        ("array_indices", "union:SparseIndexVector:array_indices_type"),
    ),
    "Int32Vector": (("values", "array:int32"),),
    "Uint16Vector": (("values", "array:uint16"),),
    "Uint8Vector": (("values", "array:uint8"),),
    "VariantSubType": (("shape", "array:int32"), ("type", "int8"), ("has_rank", "bool")),
    "Operator": (
        ("opcode_index", "uint32"),
        ("inputs", "array:int32"),
        ("outputs", "array:int32"),
        ("builtin_options_type", "uint8"),
        ("builtin_options", "union:BuiltinOptions:builtin_options_type"),
        ("custom_options", "bytes"),
        ("custom_options_format", "int8"),
        ("mutating_variable_inputs", "array:bool"),
        ("intermediates", "array:int32"),
        ("large_custom_options_offset", "uint64"),
        ("large_custom_options_size", "uint64"),
        ("builtin_options_2_type", "uint8"),
        ("builtin_options_2", "union:BuiltinOptions2:builtin_options_2_type"),
        ("debug_metadata_index", "int32"),
    ),
    "Buffer": (("data", "bytes"), ("offset", "uint64"), ("size", "uint64")),
    "Metadata": (("name", "text"), ("buffer", "uint32")),
    "SignatureDef": (
        ("inputs", "tables:TensorMap"),
        ("outputs", "tables:TensorMap"),
        ("signature_key", "text"),
        ("deprecated_tag", "text"),
        ("subgraph_index", "uint32"),
    ),
    "TensorMap": (("name", "text"), ("tensor_index", "uint32")),
}
_UNIONS: dict[str, dict[int, str]] = {
    "QuantizationDetails": {1: "CustomQuantization", 2: "BlockwiseQuantization", 3: "MultiAxisQuantization"},
    "SparseIndexVector": {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"},
}


def fields_of(table: str) -> Fields:
    """The fields of a table in the order of their slots.

    Raises:
        UnsupportedError: an options table that the installed schema package does not know.
    """
    return _TABLES[table] if table in _TABLES else _options_fields(table)


def union_member(union: str, code: int) -> str | None:
    """The table behind a union's code; None for code 0 (no table).

    Raises:
        UnsupportedError: a code that the installed schema package does not know.
    """
    if code == 0:
        return None
    known = _UNIONS.get(union)
    member = known.get(code) if known else schema.options_class(code, second=union == "BuiltinOptions2")
    if member is None:
        raise UnsupportedError(
            f"it holds a {union} of code {code}, which is newer than the schema that this harness reads"
        )
    return member


def union_code(union: str, member: str) -> int:
    """The code of an options table within `BuiltinOptions` or `BuiltinOptions2`."""
    for code in range(1, 256):
        if schema.options_class(code, second=union == "BuiltinOptions2") == member:
            return code
    raise KeyError(member)


class _Listener:
    """Stands in for a flatbuffers.Builder: remembers what a generated function would have written."""

    def __init__(self) -> None:
        self.slot = -1
        self.type = ""
        self.item_bytes = 0

    def StartVector(self, item_bytes: int, _count: int, _alignment: int) -> int:
        self.item_bytes = item_bytes
        return 0

    def __getattr__(self, name: str) -> Any:
        match = re.fullmatch(r"Prepend(\w+)Slot", name)
        if match is None:
            raise AttributeError(name)

        def hear(slot: int, _value: Any, _default: Any) -> None:
            self.slot, self.type = slot, match[1]

        return hear


@cache
def _options_fields(table: str) -> Fields:
    module = schema.generated(table)
    if module is None:
        raise UnsupportedError(f"it holds {table}, which the installed schema package does not know")
    prefix = f"{table}Add"
    found: dict[int, tuple[str, str]] = {}
    for name in vars(module):
        if name.startswith(prefix):
            field = name.removeprefix(prefix)
            slot, kind = _listen(module, table, field)
            found[slot] = (schema.field_name(field), kind)
    return tuple(found.get(slot, (f"unused_{slot}", "unused")) for slot in range(max(found, default=-1) + 1))


def _listen(module: ModuleType, table: str, field: str) -> tuple[int, str]:
    """Slot and kind of one options field. Vectors are copied as numbers of their width, whatever those stand for."""
    listener = _Listener()
    getattr(module, f"{table}Add{field}")(listener, 0)
    if listener.type != "UOffsetTRelative":
        return listener.slot, listener.type.lower()
    start = getattr(module, f"{table}Start{field}Vector", None)
    if start is None:
        return listener.slot, "text"  # no vector of its own: the options of this schema have no nested tables
    start(listener, 0)
    return listener.slot, f"array:uint{8 * listener.item_bytes}"
