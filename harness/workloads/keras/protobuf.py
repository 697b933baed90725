"""The fields of a protobuf message: enough to read what a SavedModel says, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator


def protobuf_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, (number, varint or bytes), as the wire format encodes them."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while position < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or (varint() if key & 7 == 2 else -1)
        if size < 0 or position + size > len(data):
            raise ValueError("truncated message")
        yield key >> 3, data[position : position + size]
        position += size
