"""The file of a plan: header, nodes, inputs and outputs, constants, CRC. Writing, and checked reading.

See docs/internals/plan-format.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.errors import UserInputError
from harness.tflite.plan.values import Buffer, Step
from harness.tflite.plan.words import CONSTANT, NONE, ReadRecord, pack_record, unpack_record

MAGIC = b"KNPL"
VERSION = 1
IO_TYPES = ("int8", "uint8", "float32", "int16", "int32", "int64")
_HEADER = struct.Struct("<4s12I3I")
_IO = struct.Struct("<4I")
_CONSTANTS_ALIGNMENT = 16
_HINT = "make the plan again, with the harness that talks to the firmware"


@dataclass(frozen=True, kw_only=True)
class PlanIo:
    """One entry of the inputs-and-outputs table: where the bytes lie, and what they are."""

    arena_offset: int
    size_bytes: int
    dtype: str
    elements: int


@dataclass(frozen=True, kw_only=True)
class ReadPlan:
    """A plan as read from its bytes. `constants`: offset of the section in the file, and its bytes; `reset_nodes`: so many of
    the first nodes run at a reset only."""

    arena_bytes: int
    inputs: tuple[PlanIo, ...]
    outputs: tuple[PlanIo, ...]
    nodes: tuple[ReadRecord, ...]
    reset_nodes: int
    constants_offset: int
    constants: bytes


class Constants:
    """The constants section while it is filled: equal bytes are stored once, each at a multiple of 4."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._data = bytearray()

    def place(self, values: np.ndarray) -> int:
        """The offset in the section."""
        raw = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        if raw not in self._places:
            self._places[raw] = len(self._data)
            self._data += raw + bytes(-len(raw) % 4)
        return self._places[raw]

    def data(self) -> bytes:
        return bytes(self._data)


def write_plan(
    steps: Sequence[Step],
    offsets: dict[int, int],
    inputs: Sequence[PlanIo],
    outputs: Sequence[PlanIo],
    arena_bytes: int,
) -> tuple[bytes, int]:
    """The bytes of a plan, and how many of them are constants.

    Args:
        offsets: id of a buffer -> its place in the arena.
    """
    constants = Constants()
    # Constants lie behind the nodes, whose length does not depend on where anything lies.
    lengths = sum(len(_pack(step, offsets, constants, 0)) for step in steps)
    io_offset = _HEADER.size + lengths
    io = b"".join(
        _IO.pack(one.arena_offset, one.size_bytes, IO_TYPES.index(one.dtype), one.elements)
        for one in (*inputs, *outputs)
    )
    end = io_offset + len(io)
    constants_offset = -(-end // _CONSTANTS_ALIGNMENT) * _CONSTANTS_ALIGNMENT
    nodes = b"".join(_pack(step, offsets, constants, constants_offset) for step in steps)
    body = nodes + io + bytes(constants_offset - end) + constants.data()
    total = _HEADER.size + len(body)
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        total,
        arena_bytes,
        len(steps),
        _HEADER.size,
        len(nodes),
        io_offset,
        len(inputs),
        len(outputs),
        constants_offset,
        len(constants.data()),
        zlib.crc32(body),
        sum(step.on_reset for step in steps),
        0,
        0,
    )
    return header + body, len(constants.data())


def _pack(step: Step, offsets: dict[int, int], constants: Constants, constants_offset: int) -> bytes:
    def address(operand: object) -> int:
        if operand is None:
            return NONE
        if isinstance(operand, Buffer):
            return offsets[id(operand)]
        assert isinstance(operand, np.ndarray)
        return CONSTANT | (constants_offset + constants.place(operand))

    return pack_record(step.op, step.operands, step.fields, address)


def read_plan(data: bytes | memoryview) -> ReadPlan:
    """Reads a plan back.

    Raises:
        UserInputError: not a plan, another version, cut short or damaged; with what and where.
    """
    view = memoryview(data)
    if len(view) < _HEADER.size or bytes(view[:4]) != MAGIC:
        raise UserInputError("is not a plan: the bytes KNPL are missing", hint=_HINT)
    (
        _,
        version,
        total,
        arena_bytes,
        node_count,
        nodes_offset,
        nodes_bytes,
        io_offset,
        input_count,
        output_count,
        constants_offset,
        constants_bytes,
        crc,
        reset_nodes,
        *_,
    ) = _HEADER.unpack_from(view)
    if version != VERSION:
        raise UserInputError(f"is a plan of version {version}, and this harness reads version {VERSION}", hint=_HINT)
    if total != len(view):
        raise UserInputError(f"has {len(view)} bytes, and its header says {total}", hint=_HINT)
    if zlib.crc32(view[_HEADER.size :]) != crc:
        raise UserInputError("is damaged: its CRC-32 is wrong", hint=_HINT)
    end = _HEADER.size
    sections = (
        ("nodes", nodes_offset, nodes_bytes),
        ("constants", constants_offset, constants_bytes),
        ("inputs and outputs", io_offset, _IO.size * (input_count + output_count)),
    )
    for name, offset, size in sorted(sections, key=lambda section: (section[1], section[2])):
        if offset < end or offset + size > total:
            raise UserInputError(f"is damaged: its {name} lie outside, or on something else", hint=_HINT)
        end = offset + size
    entries = [_IO.unpack_from(view, io_offset + i * _IO.size) for i in range(input_count + output_count)]
    if any(entry[2] >= len(IO_TYPES) for entry in entries):
        raise UserInputError("is damaged: an input or output of an unknown type", hint=_HINT)
    io = [
        PlanIo(arena_offset=place, size_bytes=size, dtype=IO_TYPES[kind], elements=elements)
        for place, size, kind, elements in entries
    ]
    return ReadPlan(
        arena_bytes=arena_bytes,
        inputs=tuple(io[:input_count]),
        outputs=tuple(io[input_count:]),
        nodes=_read_nodes(view[nodes_offset : nodes_offset + nodes_bytes], node_count),
        reset_nodes=reset_nodes,
        constants_offset=constants_offset,
        constants=bytes(view[constants_offset : constants_offset + constants_bytes]),
    )


def _read_nodes(view: memoryview, count: int) -> tuple[ReadRecord, ...]:
    nodes, at = [], 0
    for index in range(count):
        words = struct.unpack_from("<I", view, at)[0] >> 16 if at + 4 <= len(view) else 0
        if not words or at + 4 * words > len(view):
            raise UserInputError(
                "is damaged: the node does not lie inside the nodes", where=f"node {index}", hint=_HINT
            )
        try:
            nodes.append(unpack_record(view[at : at + 4 * words]))
        except ValueError as error:
            raise UserInputError(f"is damaged: {error}", where=f"node {index}", hint=_HINT) from None
        at += 4 * words
    if at != len(view):
        raise UserInputError(f"is damaged: {len(view) - at} bytes behind the last node", hint=_HINT)
    return tuple(nodes)
