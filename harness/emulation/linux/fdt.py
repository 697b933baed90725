"""Changes one property of a flattened device tree: the model text that the board reports.

Layout after the Devicetree Specification v0.4, chapter 5: a header of ten big-endian words, a memory reservation block, a
structure block of tokens, a strings block with property names.
"""

from __future__ import annotations

import struct

from harness.core.errors import HarnessError

_MAGIC = 0xD00DFEED
_HEADER = struct.Struct(">10I")
_BEGIN_NODE, _END_NODE, _PROPERTY, _NOP, _END = 1, 2, 3, 4, 9


class DeviceTreeError(HarnessError):
    """The blob is not a device tree that this file understands."""


def set_model(blob: bytes, model: str) -> bytes:
    """The same device tree with another `model` property in its root node.

    Raises:
        DeviceTreeError: not a flattened device tree of version 17, damaged, or without a model.
    """
    try:
        return _set_model(blob, model.encode("ascii") + b"\0")
    except (struct.error, IndexError, ValueError) as error:
        raise DeviceTreeError(f"damaged device tree: {error}") from error


def _set_model(blob: bytes, value: bytes) -> bytes:
    magic, total, at_struct, at_strings, at_reserve, version, compatible, cpu, strings_size, struct_size = (
        _HEADER.unpack_from(blob)
    )
    if magic != _MAGIC or version < 17 or total > len(blob):
        raise DeviceTreeError("not a flattened device tree of version 17")
    tokens = blob[at_struct : at_struct + struct_size]
    strings = blob[at_strings : at_strings + strings_size]
    reserve = blob[at_reserve : _reserve_end(blob, at_reserve)]
    start, end = _find_model(tokens, strings)
    name_offset = struct.unpack_from(">I", tokens, start + 8)[0]
    padded = value + b"\0" * (-len(value) % 4)
    tokens = tokens[:start] + struct.pack(">III", _PROPERTY, len(value), name_offset) + padded + tokens[end:]
    # Written anew in the order of the specification: header, reservations, structure, strings.
    at_reserve = _HEADER.size
    at_struct = at_reserve + len(reserve)
    at_strings = at_struct + len(tokens)
    header = _HEADER.pack(
        magic,
        at_strings + len(strings),
        at_struct,
        at_strings,
        at_reserve,
        version,
        compatible,
        cpu,
        len(strings),
        len(tokens),
    )
    return header + reserve + tokens + strings


def _reserve_end(blob: bytes, at: int) -> int:
    """The reservation block ends with a pair of zero words of 64 bits."""
    while struct.unpack_from(">QQ", blob, at) != (0, 0):
        at += 16
    return at + 16


def _find_model(tokens: bytes, strings: bytes) -> tuple[int, int]:
    """Start and end of the root node's `model` property within the structure block."""
    at, depth = 0, 0
    while True:
        token = struct.unpack_from(">I", tokens, at)[0]
        if token == _BEGIN_NODE:
            depth += 1
            at += 4 + (tokens.index(b"\0", at + 4) - (at + 4)) // 4 * 4 + 4
        elif token == _END_NODE:
            depth -= 1
            at += 4
        elif token == _PROPERTY:
            length, name_offset = struct.unpack_from(">II", tokens, at + 4)
            end = at + 12 + (length + 3) // 4 * 4
            name = strings[name_offset : strings.index(b"\0", name_offset)]
            if depth == 1 and name == b"model":
                return at, end
            at = end
        elif token == _NOP:
            at += 4
        elif token == _END:
            raise DeviceTreeError("the root node has no `model`")
        else:
            raise DeviceTreeError(f"unknown token {token} in a device tree")
