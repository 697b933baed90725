"""Adding tensors, constants and operators to a model's tree; from an empty tree, building a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.tflite import schema
from harness.tflite.cut.fields import fields_of, union_code
from harness.tflite.cut.tree import Record

#: bits of the types that are stored packed
_PACKED_BITS = {"int4": 4, "uint4": 4, "int2": 2}


class Editor:
    """Adds to one subgraph of a tree; op codes and buffers are the whole model's."""

    def __init__(self, tree: Record | None = None, subgraph: int = 0) -> None:
        """
        Args:
            tree: a model as `read_tree` gives it; None makes an empty one of one subgraph.
            subgraph: which subgraph is added to.
        """
        self.tree = tree or Record("Model", version=3, buffers=[Record("Buffer")], subgraphs=[Record("SubGraph")])
        self.subgraph = self.tree.rows("subgraphs")[subgraph]
        self.tensors = self.subgraph.rows("tensors")

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        *,
        data: np.ndarray | None = None,
        scales: Sequence[float] | np.ndarray = (),
        zero_points: Sequence[int] | np.ndarray = (),
        axis: int = 0,
        variable: bool = False,
    ) -> int:
        """Adds a tensor and returns its number.

        Args:
            dtype: by the schema's name in lower case, such as `int8`.
            data: the values of a constant, in `shape`; int4 and int2 as int8.
            scales, zero_points: one per tensor, or one per index of `axis`; no zero points: all 0.
            variable: keeps its value between invokes.
        """
        record = Record(
            "Tensor",
            name=name.encode(),
            shape=np.array(shape, np.int32),
            type=schema.type_code(dtype),
            buffer=0 if data is None else self.buffer(packed_bytes(data, dtype)),
        )
        if len(scales):
            zeros = np.zeros(len(scales), np.int64) if not len(zero_points) else np.asarray(zero_points, np.int64)
            record["quantization"] = Record(
                "QuantizationParameters",
                scale=np.asarray(scales, np.float32),
                zero_point=zeros,
                quantized_dimension=axis,
            )
        if variable:
            record["is_variable"] = True
        self.tensors.append(record)
        return len(self.tensors) - 1

    def buffer(self, data: bytes) -> int:
        """Adds a buffer and returns its number."""
        buffers = self.tree.rows("buffers")
        if not buffers:
            buffers.append(Record("Buffer"))  # number 0 stands for "no data"
        buffers.append(Record("Buffer", data=data))
        return len(buffers) - 1

    def code(self, op: str, version: int = 1, custom: str | None = None) -> int:
        """The number of an op code, added where the model has none like it."""
        codes, number = self.tree.rows("operator_codes"), schema.op_codes()[op]
        wanted = (number, version, (custom or "").encode())
        for index, code in enumerate(codes):
            builtin = max(code.number("deprecated_builtin_code"), code.number("builtin_code"))
            if (builtin, code.number("version", 1), bytes(code["custom_code"] or b"")) == wanted:
                return index
        codes.append(
            Record(
                "OperatorCode",
                deprecated_builtin_code=min(number, 127),
                builtin_code=number,
                version=version,
                custom_code=None,
            )
        )
        codes[-1]["custom_code"] = custom.encode() if custom else None
        return len(codes) - 1

    def operator(
        self,
        op: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        options: str | None = None,
        fields: Mapping[str, Any] | None = None,
        version: int = 1,
        custom: str | None = None,
    ) -> Record:
        """An operator over tensor numbers, not yet part of the subgraph.

        Args:
            options: the options table, such as `Conv2DOptions`.
            fields: what is not default in it, by the schema's names; lists become vectors.
            custom: the name of a custom op, for `op` CUSTOM.
        """
        record = Record(
            "Operator",
            opcode_index=self.code(op, version, custom),
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
        )
        if options is not None:
            kinds = dict(fields_of(options))
            values = {
                name: np.array(value).astype(kinds[name].partition(":")[2])
                if isinstance(value, (list, tuple))
                else value
                for name, value in (fields or {}).items()
            }
            record["builtin_options_type"] = union_code("BuiltinOptions", options)
            record["builtin_options"] = Record(options, **values)
        return record

    def add(self, op: str, inputs: Sequence[int], outputs: Sequence[int], **details: Any) -> Record:
        """As `operator`, appended to the subgraph's operators."""
        record = self.operator(op, inputs, outputs, **details)
        self.subgraph.rows("operators").append(record)
        return record

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> Record:
        """Sets the subgraph's inputs and outputs; returns the tree."""
        self.subgraph["inputs"], self.subgraph["outputs"] = np.array(inputs, np.int32), np.array(outputs, np.int32)
        return self.tree


def packed_bytes(data: np.ndarray, dtype: str) -> bytes:
    """Constants as stored: little endian, row-major, small types from the lowest bits up."""
    bits = _PACKED_BITS.get(dtype)
    if bits is None:
        kind = np.dtype(dtype)
        return np.ascontiguousarray(data, dtype=kind.newbyteorder("<")).tobytes()
    per_byte = 8 // bits
    flat = np.asarray(data).astype(np.int64).reshape(-1) & ((1 << bits) - 1)
    flat = np.append(flat, np.zeros(-len(flat) % per_byte, np.int64)).reshape(-1, per_byte)
    return (flat << np.arange(0, 8, bits)).sum(axis=1).astype(np.uint8).tobytes()
