"""Writes plans by hand, from the parameter structs of kernels.h, independently of the plan maker of the product."""

from __future__ import annotations

import ctypes
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.support.plan_runtime import RUNTIME

MAGIC, VERSION, HEADER_WORDS = 0x4C504E4B, 1, 16
NONE, CONSTANT = 0xFFFFFFFF, 0x80000000
TYPES = {"int8": 0, "uint8": 1, "float32": 2, "int16": 3, "int32": 4, "int64": 5}


def read_ops() -> dict[str, int]:
    """`CONV_2D` -> 1, ... as plan.h and plan_float.h number them."""
    found = {}
    for header, start in (("plan.h", "enum plan_op {"), ("plan_float.h", "enum plan_float_op {")):
        body = (RUNTIME / header).read_text().split(start)[1].split("}")[0]
        found.update({name: int(number) for name, number in re.findall(r"PLAN_(\w+) = (\d+)", body)})
    return {name: number for name, number in found.items() if name not in ("OPS", "FLOAT_END")}


OPS = read_ops()


def with_crc(plan: bytes) -> bytes:
    """The same plan with the CRC-32 that belongs to it."""
    return plan[:48] + struct.pack("<I", zlib.crc32(plan[4 * HEADER_WORDS :])) + plan[52:]


@dataclass
class PlanBuilder:
    """Collects the parts of a plan. Operands are plain integers, as they stand in the file."""

    arena_bytes: int = 0
    nodes: list[bytes] = field(default_factory=list)
    _constants: list[tuple[int, bytes]] = field(default_factory=list)
    _io: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))

    def arena(self, size: int, alignment: int = 4) -> int:
        """The next free place in the arena."""
        place = -(-self.arena_bytes // alignment) * alignment
        self.arena_bytes = place + size
        return place

    def constant(self, values: np.ndarray) -> int:
        """Constants stand before the nodes, so their places are known at once."""
        data = np.ascontiguousarray(values).tobytes()
        end = sum(len(part) for _start, part in self._constants)
        padding = -end % 4
        if padding:
            self._constants.append((end, bytes(padding)))
        self._constants.append((end + padding, data))
        return CONSTANT | (4 * HEADER_WORDS + end + padding)

    def input(self, place: int, dtype: str, elements: int) -> None:
        self._io[0].append(_io_entry(place, dtype, elements))

    def output(self, place: int, dtype: str, elements: int) -> None:
        self._io[1].append(_io_entry(place, dtype, elements))

    def node(self, op: str | int, *parts: int | float | Sequence[int] | ctypes.Structure) -> int:
        """Appends a record: integers and structs in the order of plan.h. Returns its index."""
        body = b"".join(_words(part) for part in parts)
        number = OPS[op] if isinstance(op, str) else op
        self.nodes.append(struct.pack("<I", number | (1 + len(body) // 4) << 16) + body)
        return len(self.nodes) - 1

    def build(self, **header: int) -> bytes:
        """The plan; `header` overrides words of the header by name."""
        constants = b"".join(part for _start, part in self._constants)
        constants += bytes(-len(constants) % 4)
        nodes, table = b"".join(self.nodes), b"".join([*self._io[0], *self._io[1]])
        start = 4 * HEADER_WORDS
        words = {
            "magic": MAGIC,
            "version": VERSION,
            "bytes": start + len(constants) + len(nodes) + len(table),
            "arena_bytes": self.arena_bytes,
            "node_count": len(self.nodes),
            "nodes_offset": start + len(constants),
            "nodes_bytes": len(nodes),
            "io_offset": start + len(constants) + len(nodes),
            "input_count": len(self._io[0]),
            "output_count": len(self._io[1]),
            "constants_offset": start,
            "constants_bytes": len(constants),
            "crc": 0,
            "reset_nodes": 0,
            "reserved0": 0,
            "reserved1": 0,
        }
        words.update(header)
        return with_crc(struct.pack("<16I", *words.values()) + constants + nodes + table)


def _io_entry(place: int, dtype: str, elements: int) -> bytes:
    return struct.pack("<4I", place, elements * np.dtype(dtype).itemsize, TYPES[dtype], elements)


def _words(part: int | float | Sequence[int] | ctypes.Structure) -> bytes:
    if isinstance(part, ctypes.Structure):
        return bytes(part)
    if isinstance(part, (float, np.floating)):
        return struct.pack("<f", part)
    if isinstance(part, (int, np.integer)):
        return struct.pack("<I", int(part) & 0xFFFFFFFF)
    return b"".join(_words(value) for value in part)
