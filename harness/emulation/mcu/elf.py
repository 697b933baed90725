"""What a 32-bit little-endian ELF program brings into memory, and what it leaves of it (System V ABI, chapters 4 and 5: symbol
table, program header).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIIIIIII")
_SECTION_HEADER = struct.Struct("<IIIIIIIIII")
_SYMBOL = struct.Struct("<IIIBBH")
_LOAD = 1
_SYMBOL_TABLE = 2
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


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a firmware leaves for a model; None where its memory.ld does not say.

    Attributes:
        model_bytes: for the model itself.
        model_in_code: the model lies beside the program, in flash of its own.
        arena_bytes: for its tensors.
        fast_arena_bytes: faster memory for tensors, for models that need no more.
    """

    model_bytes: int | None
    model_in_code: bool
    arena_bytes: int | None
    fast_arena_bytes: int | None


def room(path: Path) -> Room:
    """By the symbols of a port's memory.ld (devices/cortex_m/firmware/cortex_m/layout.h).

    Raises:
        ValueError: not a 32-bit little-endian ELF file.
    """
    found = _symbols(path)
    model = found.get("__model_bytes")
    between = "__model_start" in found and "__model_end" in found
    if between:
        model = found["__model_end"] - found["__model_start"]
    left = None
    if "__ram_free" in found and "__ram_end" in found:
        left = found["__ram_end"] - found["__ram_free"]
    arena = found.get("__arena_bytes")
    if arena is not None:
        fast = left if left is not None and left < arena else None
        return Room(model_bytes=model, model_in_code=between, arena_bytes=arena, fast_arena_bytes=fast)
    arena = None if model is None or left is None else left - found.get("__sample_bytes", 0)
    return Room(model_bytes=model, model_in_code=between, arena_bytes=arena, fast_arena_bytes=None)


def firmware_build(path: Path) -> str:
    """What a firmware of the harness calls its build in its hello.

    Raises:
        ValueError: not such a program.
        OSError: it cannot be read.
    """
    at = _symbols(path).get("firmware_build")
    for segment in _segments(path):
        if at is not None and segment.address <= at < segment.address + len(segment.data):
            return segment.data[at - segment.address :].split(b"\0", 1)[0][:44].decode("ascii", "replace")
    raise ValueError("it does not say which build it is")


def _symbols(path: Path) -> dict[str, int]:
    """Addresses by name, of the symbol table that a linked program carries."""
    data = _checked(path)
    header = _HEADER.unpack_from(data)
    offset, size, count = header[6], header[11], header[12]
    sections = [_SECTION_HEADER.unpack_from(data, offset + size * n) for n in range(count)]
    found = {}
    for section in sections:
        if section[1] != _SYMBOL_TABLE:
            continue
        names_at = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], _SYMBOL.size):
            name, value, *_ = _SYMBOL.unpack_from(data, at)
            start = names_at + name
            found[data[start : data.index(b"\0", start)].decode("ascii", "replace")] = value
    return found


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


def _checked(path: Path) -> bytes:
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x01\x01":
        raise ValueError(f"{path} is no 32-bit little-endian ELF file")
    return data


def _segments(path: Path) -> list[_Segment]:
    data = _checked(path)
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
