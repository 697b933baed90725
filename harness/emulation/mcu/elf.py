"""What a 32-bit little-endian ELF program brings into memory (System V ABI, chapter 5: program header)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIIIIIII")
_LOAD = 1
_WRITABLE = 2
#: what erased flash holds: the bytes between two parts of a program
_ERASED = b"\xff"


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """What one program header says: where its bytes are stored, and how much memory it takes when the program runs."""

    address: int
    data: bytes
    memory_bytes: int
    writable: bool


def load_bytes(path: Path) -> int:
    """Bytes that are stored on a board: code, constants, initialised data.

    Raises:
        ValueError: not a 32-bit little-endian ELF file.
    """
    return sum(len(segment.data) for segment in _segments(path))


def memory_bytes(path: Path) -> int:
    """Bytes of RAM that a program is linked to: stack, initialised data, buffers. What a port takes of the rest is not in it.

    Raises:
        ValueError: not a 32-bit little-endian ELF file.
    """
    return sum(segment.memory_bytes for segment in _segments(path) if segment.writable)


def flat_image(path: Path) -> tuple[int, bytes]:
    """(address, bytes) to write into a board's flash, as `objcopy -O binary --gap-fill 0xff` makes them.

    Raises:
        ValueError: not a 32-bit little-endian ELF file, or one without anything in it.
    """
    segments = sorted((s for s in _segments(path) if s.data), key=lambda segment: segment.address)
    if not segments:
        raise ValueError(f"{path} has nothing to store")
    first, image = segments[0].address, b""
    for segment in segments:
        image = image.ljust(segment.address - first, _ERASED) + segment.data
    return first, image


def _segments(path: Path) -> list[_Segment]:
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise ValueError(f"{path} is no 32-bit little-endian ELF file")
    header = _HEADER.unpack_from(data)
    offset, size, count = header[5], header[9], header[10]
    found = []
    for number in range(count):
        kind, start, _, address, stored, memory, flags, _ = _PROGRAM_HEADER.unpack_from(data, offset + size * number)
        if kind == _LOAD:
            found.append(
                _Segment(
                    address=address,
                    data=data[start : start + stored],
                    memory_bytes=memory,
                    writable=bool(flags & _WRITABLE),
                )
            )
    return found
