"""Frames: what host and agent say to each other, defined in docs/internals/agent-protocol.md.

A frame is a u32 header length, a u32 payload length (both big-endian), a JSON object, and raw payload bytes. The agent
holds a second implementation of this page (devices/linux/agent/frames.py), because it travels without the harness.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.core.errors import DeviceError, StableDeviceError
from harness.links.base import Buffer, Channel, ChannelClosed, ChannelTimeout, recv_exact

_LENGTHS = struct.Struct(">II")
MAX_HEADER_BYTES = 8 << 20
MAX_PAYLOAD_BYTES = 8 << 20
#: what a login shell may print before the program speaks
MAX_BANNER_BYTES = 64 << 10


class FrameError(DeviceError):
    """What came is no frame: the stream cannot be used any more."""


class NoAgent(DeviceError):
    """The program ended before it spoke. `banner` is what it printed instead."""

    def __init__(self, banner: str) -> None:
        super().__init__("the program on the board ended before it spoke")
        self.banner = banner


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A JSON header and raw bytes."""

    header: dict[str, Any]
    payload: bytes | bytearray = b""


def encode(header: dict[str, Any], payload: Buffer = b"") -> list[Buffer]:
    """A frame as pieces to send one after the other; the payload is not copied.

    Raises:
        FrameError: header or payload is over its limit.
    """
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    size = memoryview(payload).nbytes
    _check_lengths(len(text), size)
    head = _LENGTHS.pack(len(text), size) + text
    return [head, payload] if size else [head]


def _check_lengths(header_bytes: int, payload_bytes: int) -> None:
    if not 2 <= header_bytes <= MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise FrameError(
            f"a frame with a header of {header_bytes} and a payload of {payload_bytes} bytes is over the limits",
            hint="something other than the agent is writing on the channel",
        )


class FrameStream:
    """Frames over a channel, both ways."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def send(self, header: dict[str, Any], payload: Buffer = b"", *, deadline_s: float) -> None:
        """Sends one frame."""
        self.channel.send(encode(header, payload), deadline_s)

    def receive(self, deadline_s: float) -> Frame:
        """The next frame.

        Raises:
            ChannelClosed, ChannelTimeout: as the channel does.
            FrameError: lengths over the limits, or a header that is no JSON object.
        """
        ends = time.monotonic() + deadline_s
        header_bytes, payload_bytes = _LENGTHS.unpack(recv_exact(self.channel, _LENGTHS.size, deadline_s))
        _check_lengths(header_bytes, payload_bytes)
        text = recv_exact(self.channel, header_bytes, max(ends - time.monotonic(), 0.0))
        header = json_object(text, "a frame's header")
        payload = recv_exact(self.channel, payload_bytes, max(ends - time.monotonic(), 0.0)) if payload_bytes else b""
        return Frame(header=header, payload=payload)


def json_object(text: Buffer, what: str) -> dict[str, Any]:
    """What a board wrote as a JSON object.

    Args:
        what: names it in the error.

    Raises:
        FrameError: it is none, or nested so deeply that nobody can mean it.
    """
    try:
        found = json.loads(bytes(text))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"{what} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise FrameError(f"{what} is no JSON object")
    return found


def skip_banner(channel: Channel, magic: bytes, deadline_s: float) -> bytes:
    """Reads up to and including `magic`; returns what stood before it (a login shell's greeting).

    Reads byte by byte, because whatever follows the magic must stay in the channel.

    Raises:
        StableDeviceError: more than `MAX_BANNER_BYTES` came without it.
        NoAgent: the stream ended without it.
        ChannelTimeout: as the channel does.
    """
    ends = time.monotonic() + deadline_s
    seen = bytearray()
    while not seen.endswith(magic):
        if len(seen) > MAX_BANNER_BYTES + len(magic):
            raise StableDeviceError(
                f"the login shell printed more than {MAX_BANNER_BYTES} bytes and the agent did not answer",
                hint=f"it began with: {_printable(seen[:80])}",
            )
        left = ends - time.monotonic()
        if left <= 0:
            raise ChannelTimeout(f"no answer from the board for {deadline_s:.3g} s")
        try:
            seen += channel.recv_some(1, left)
        except ChannelClosed as error:
            raise NoAgent(seen.decode("utf-8", "replace")) from error
    return bytes(seen[: -len(magic)])


def read_line(channel: Channel, limit: int, deadline_s: float) -> bytes:
    """One line without its end, of at most `limit` bytes.

    Raises:
        FrameError: the line is longer.
        ChannelClosed, ChannelTimeout: as the channel does.
    """
    ends = time.monotonic() + deadline_s
    line = bytearray()
    while not line.endswith(b"\n"):
        if len(line) > limit:
            raise FrameError(f"a line of more than {limit} bytes")
        line += channel.recv_some(1, max(ends - time.monotonic(), 0.0))
    return bytes(line[:-1])


def _printable(data: Iterable[int]) -> str:
    return "".join(chr(c) if 32 <= c < 127 else "." for c in data)
