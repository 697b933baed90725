"""Frames on a serial line, defined in docs/internals/serial-protocol.md: COBS between zero bytes, a header, a CRC-32.

Pure functions and an incremental parser; `harness.links.serial.session` decides what frames mean.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from harness.links.base import Buffer

_HEADER = struct.Struct("<BBHHH")
_CRC = struct.Struct("<I")
#: header and CRC
FRAME_OVERHEAD_BYTES: Final = _HEADER.size + _CRC.size
MAX_PAYLOAD_BYTES: Final = 0xFFFF
_MAX_ENCODED_BYTES: Final = (FRAME_OVERHEAD_BYTES + MAX_PAYLOAD_BYTES) * 255 // 254 + 1
#: how much of what was no frame is kept, for errors that tell what came instead
NOISE_TAIL_BYTES: Final = 400


@dataclass(frozen=True)
class SerialFrame:
    """One frame. `type`, `session` and `sequence` as the protocol's page has them."""

    type: int
    session: int
    sequence: int
    payload: bytes = b""


def cobs_encode(data: Buffer) -> bytes:
    """The data without zero bytes (Cheshire and Baker, IEEE/ACM ToN 1999)."""
    encoded = bytearray()
    for part in bytes(data).split(b"\0"):
        while len(part) >= 254:
            encoded += b"\xff" + part[:254]
            part = part[254:]
        encoded.append(len(part) + 1)
        encoded += part
    return bytes(encoded)


def cobs_decode(encoded: Buffer) -> bytes:
    """What `cobs_encode`, or another encoder, was given.

    Raises:
        ValueError: a zero byte inside, or the last block is cut off.
    """
    data = bytearray()
    at, size = 0, len(encoded)
    raw = bytes(encoded)
    if 0 in raw:
        raise ValueError("a zero byte inside")
    while at < size:
        code = raw[at]
        if at + code > size:
            raise ValueError("the last block is cut off")
        data += raw[at + 1 : at + code]
        at += code
        if code != 255 and at < size:
            data.append(0)
    return bytes(data)


def encode_frame(frame: SerialFrame) -> bytes:
    """The frame as it goes on the line, zero bytes on both sides."""
    head = _HEADER.pack(frame.type, 0, frame.session, frame.sequence, len(frame.payload))
    body = head + frame.payload
    return b"\0" + cobs_encode(body + _CRC.pack(zlib.crc32(body))) + b"\0"


def encoded_bytes(payload_bytes: int) -> int:
    """The most bytes that a frame with such a payload takes on the line."""
    return FRAME_OVERHEAD_BYTES + payload_bytes + (FRAME_OVERHEAD_BYTES + payload_bytes) // 254 + 3


def decode_frame(encoded: Buffer) -> SerialFrame | None:
    """What lies between two zero bytes as a frame; None when it is none."""
    try:
        raw = cobs_decode(encoded)
    except ValueError:
        return None
    if len(raw) < FRAME_OVERHEAD_BYTES:
        return None
    kind, flags, session, sequence, length = _HEADER.unpack_from(raw)
    if flags or length != len(raw) - FRAME_OVERHEAD_BYTES:
        return None
    if zlib.crc32(raw[: -_CRC.size]) != _CRC.unpack_from(raw, len(raw) - _CRC.size)[0]:
        return None
    return SerialFrame(kind, session, sequence, raw[_HEADER.size : -_CRC.size])


class FrameParser:
    """Finds the frames in a stream of bytes, given in any pieces.

    Attributes:
        good, bad: frames found, and pieces between zero bytes that were none.
        received_bytes: everything it was given.
        noise: the last of what was no frame.
    """

    def __init__(self) -> None:
        self.good = 0
        self.bad = 0
        self.received_bytes = 0
        self.noise = b""
        self._rest = bytearray()

    def feed(self, data: Buffer) -> list[SerialFrame | None]:
        """The frames that are complete with `data`, in order; None in the place of each piece that was no frame."""
        self.received_bytes += len(data)
        self._rest += data
        *pieces, rest = bytes(self._rest).split(b"\0")
        self._rest = bytearray(rest)
        # Noise without a zero byte must not fill the memory; one byte too many is kept, so that the piece stays no frame.
        if len(rest) > _MAX_ENCODED_BYTES:
            self._keep_noise(rest)
            del self._rest[_MAX_ENCODED_BYTES + 1 :]
        frames: list[SerialFrame | None] = []
        for piece in filter(None, pieces):
            frame = decode_frame(piece) if len(piece) <= _MAX_ENCODED_BYTES else None
            if frame is None:
                self.bad += 1
                self._keep_noise(piece)
            else:
                self.good += 1
            frames.append(frame)
        return frames

    def unfinished(self) -> bytes:
        """What came since the last zero byte."""
        return bytes(self._rest)

    def _keep_noise(self, piece: bytes) -> None:
        self.noise = (self.noise + piece)[-NOISE_TAIL_BYTES:]
