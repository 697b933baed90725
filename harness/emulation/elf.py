"""What a 32-bit little-endian ELF program brings into memory (System V ABI, chapter 5: program header)."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIIIIIII")
_LOAD = 1


def load_bytes(path: Path) -> int:
    """Bytes that are stored on a board: code, constants, initialised data.

    Raises:
        ValueError: not a 32-bit little-endian ELF file.
    """
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise ValueError(f"{path} is no 32-bit little-endian ELF file")
    header = _HEADER.unpack_from(data)
    offset, size, count = header[5], header[9], header[10]
    programs = (_PROGRAM_HEADER.unpack_from(data, offset + size * number) for number in range(count))
    return sum(program[4] for program in programs if program[0] == _LOAD)
