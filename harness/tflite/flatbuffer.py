"""A FlatBuffers reader that trusts nothing: every offset is checked before it is followed.

The Python FlatBuffers runtime has no verifier, and the generated classes of the `tflite` schema package follow
whatever offset a file holds: a damaged file gives nonsense, a loop over four billion entries, or a traceback.
A .tflite that a user hands in may be damaged, so the tables are read here, by slot number, with bounds.
Layout: https://flatbuffers.dev/internals/ (root offset, tables with a signed offset to their vtable, vectors with a
32-bit length in front).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

#: what one file may make us read, in multiples of its own size. Honest files share nothing but vtables; a hostile one
#: could point a million times at the same megabyte.
_READ_BUDGET = 16
_READ_BUDGET_FLOOR_BYTES = 1 << 20

_SCALARS = {
    "bool": struct.Struct("<?"),
    "int8": struct.Struct("<b"),
    "uint8": struct.Struct("<B"),
    "int16": struct.Struct("<h"),
    "uint16": struct.Struct("<H"),
    "int32": struct.Struct("<i"),
    "uint32": struct.Struct("<I"),
    "int64": struct.Struct("<q"),
    "uint64": struct.Struct("<Q"),
    "float32": struct.Struct("<f"),
}


class CorruptBuffer(Exception):
    """The bytes are not a well-formed FlatBuffer. Callers turn it into an error that names the file."""


class Buffer:
    """The bytes of one file and the bounds-checked primitives over them."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data).cast("B")
        self.size = len(self.data)
        self._budget_bytes = _READ_BUDGET * self.size + _READ_BUDGET_FLOOR_BYTES

    def spend(self, size_bytes: int) -> None:
        """Counts what is read through offsets, against files that make a reader expand without end."""
        self._budget_bytes -= size_bytes
        if self._budget_bytes < 0:
            raise CorruptBuffer("its tables refer to the same bytes over and over")

    def check(self, position: int, size_bytes: int) -> None:
        if position < 0 or size_bytes < 0 or position + size_bytes > self.size:
            raise CorruptBuffer(f"an offset leads to byte {position}, outside of the file's {self.size} bytes")

    def scalar(self, kind: str, position: int) -> Any:
        packer = _SCALARS[kind]
        self.check(position, packer.size)
        return packer.unpack_from(self.data, position)[0]

    def follow(self, position: int) -> int:
        """The place that the unsigned offset stored at `position` refers to."""
        offset = self.scalar("uint32", position)
        if offset == 0:
            raise CorruptBuffer(f"the offset at byte {position} is zero")
        self.check(position + offset, 4)
        return position + offset

    def root(self) -> Table:
        return self.table(self.follow(0))

    def table(self, position: int) -> Table:
        """The table at `position`, after checking that its vtable and every field lie inside the file."""
        vtable = position - self.scalar("int32", position)
        vtable_size = self.scalar("uint16", vtable)
        table_size = self.scalar("uint16", vtable + 2)
        if vtable_size < 4 or vtable_size % 2 or table_size < 4:
            raise CorruptBuffer(f"the table at byte {position} has a vtable of {vtable_size} bytes")
        self.check(vtable, vtable_size)
        self.check(position, table_size)
        self.spend(table_size)
        slots = struct.unpack_from(f"<{(vtable_size - 4) // 2}H", self.data, vtable + 4)
        if any(slot >= table_size for slot in slots):
            raise CorruptBuffer(f"a field of the table at byte {position} lies outside of it")
        return Table(buffer=self, position=position, slots=slots)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table. Fields are named by their slot: their number in the schema's declaration, from 0."""

    buffer: Buffer
    position: int
    slots: tuple[int, ...]

    def _field(self, slot: int) -> int | None:
        offset = self.slots[slot] if slot < len(self.slots) else 0
        return self.position + offset if offset else None

    def scalar(self, slot: int, kind: str, default: Any = 0) -> Any:
        place = self._field(slot)
        return default if place is None else self.buffer.scalar(kind, place)

    def child(self, slot: int) -> Table | None:
        place = self._field(slot)
        return None if place is None else self.buffer.table(self.buffer.follow(place))

    def _vector(self, slot: int, item_bytes: int) -> tuple[int, int] | None:
        place = self._field(slot)
        if place is None:
            return None
        start = self.buffer.follow(place)
        count = self.buffer.scalar("uint32", start)
        self.buffer.check(start + 4, count * item_bytes)
        return start + 4, count

    def array(self, slot: int, dtype: str) -> np.ndarray | None:
        """A vector of numbers as a read-only view, or None when the field is absent."""
        kind = np.dtype(dtype).newbyteorder("<")
        found = self._vector(slot, kind.itemsize)
        if found is None:
            return None
        self.buffer.spend(found[1] * kind.itemsize)
        return np.frombuffer(self.buffer.data, dtype=kind, count=found[1], offset=found[0])

    def raw(self, slot: int) -> memoryview | None:
        """A vector of bytes, not copied and not counted: weights may be large, and are read only when asked for."""
        found = self._vector(slot, 1)
        return None if found is None else self.buffer.data[found[0] : found[0] + found[1]]

    def text(self, slot: int) -> str:
        found = self._vector(slot, 1)
        if found is None:
            return ""
        self.buffer.spend(found[1])
        return bytes(self.buffer.data[found[0] : found[0] + found[1]]).decode("utf-8", errors="replace")

    def tables(self, slot: int) -> list[Table]:
        found = self._vector(slot, 4)
        if found is None:
            return []
        start, count = found
        self.buffer.spend(4 * count)
        return [self.buffer.table(self.buffer.follow(start + 4 * i)) for i in range(count)]
