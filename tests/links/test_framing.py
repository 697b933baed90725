"""Frames: what is sent comes out again, and hostile lengths are refused on both sides."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from agent import frames
from agent.errors import ProtocolError
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import StableDeviceError
from harness.links.base import ChannelClosed
from harness.links.framing import (
    MAX_BANNER_BYTES,
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    FrameError,
    FrameStream,
    NoAgent,
    encode,
    read_line,
    skip_banner,
)

HEADERS = st.dictionaries(
    st.text(max_size=20), st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=40), max_size=8
)


class BytesChannel:
    """A channel that gives fixed bytes, at most `step` at a time, and keeps what is sent."""

    def __init__(self, data: bytes = b"", step: int = 1 << 20) -> None:
        self.data, self.step, self.sent = data, step, b""

    def recv_some(self, limit: int, deadline_s: float) -> bytes:
        if not self.data:
            raise ChannelClosed("the end")
        piece, self.data = self.data[: min(limit, self.step)], self.data[min(limit, self.step) :]
        return piece

    def send(self, pieces, deadline_s: float) -> None:
        self.sent += b"".join(bytes(piece) for piece in pieces)


@given(header=HEADERS, payload=st.binary(max_size=3000), step=st.integers(1, 4000))
def test_a_frame_survives_any_cutting_of_the_stream(header, payload, step):
    stream = FrameStream(BytesChannel(b"".join(bytes(p) for p in encode(header, payload)), step))
    frame = stream.receive(60.0)
    assert (frame.header, bytes(frame.payload)) == (header, payload)


@given(header=HEADERS, payload=st.binary(max_size=3000), cut=st.integers(1, 100))
def test_the_agent_reads_what_the_host_writes(header, payload, cut):
    data = b"".join(bytes(p) for p in encode(header, payload))
    buffer, received = frames.FrameBuffer(), []
    for start in range(0, len(data), cut):
        buffer.data += data[start : start + cut]
        received += filter(None, [buffer.pop()])
    assert received == [(header, payload)]
    assert not buffer.data


def test_the_host_reads_what_the_agent_writes(tmp_path: Path):
    with open(tmp_path / "frames", "wb") as file:
        frames.write_frame(file.fileno(), {"type": "rows", "output": 1}, memoryview(bytes(range(256))))
    frame = FrameStream(BytesChannel((tmp_path / "frames").read_bytes())).receive(60.0)
    assert frame.header == {"type": "rows", "output": 1}
    assert bytes(frame.payload) == bytes(range(256))


@pytest.mark.parametrize(
    "lengths", [(MAX_HEADER_BYTES + 1, 0), (2, MAX_PAYLOAD_BYTES + 1), (0, 0), (1, 0), (0xFFFFFFFF, 0xFFFFFFFF)]
)
def test_hostile_lengths_are_refused_before_anything_is_allocated(lengths):
    data = struct.pack(">II", *lengths) + b"{}"
    with pytest.raises(FrameError, match="over the limits"):
        FrameStream(BytesChannel(data)).receive(60.0)
    buffer = frames.FrameBuffer()
    buffer.data += data
    with pytest.raises(ProtocolError, match="over the limits"):
        buffer.pop()


def test_both_sides_agree_on_the_limits():
    assert (frames.MAX_HEADER_BYTES, frames.MAX_PAYLOAD_BYTES) == (MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES)


def test_a_payload_over_the_limit_is_not_sent():
    channel = BytesChannel()
    with pytest.raises(FrameError):
        FrameStream(channel).send({}, bytes(MAX_PAYLOAD_BYTES + 1), deadline_s=1.0)
    assert channel.sent == b""


@pytest.mark.parametrize("text", [b"[1]", b'"x"', b"{nope", b"\xff\xfe"])
def test_a_header_that_is_no_json_object_is_refused(text):
    data = struct.pack(">II", len(text), 0) + text
    with pytest.raises(FrameError):
        FrameStream(BytesChannel(data)).receive(60.0)
    buffer = frames.FrameBuffer()
    buffer.data += data
    with pytest.raises(ProtocolError):
        buffer.pop()


def test_a_stream_that_ends_inside_a_frame_is_a_closed_channel():
    data = b"".join(bytes(p) for p in encode({"type": "ok"}, b"12345"))[:-1]
    with pytest.raises(ChannelClosed):
        FrameStream(BytesChannel(data)).receive(60.0)


def test_nan_never_becomes_a_header():
    with pytest.raises(ValueError, match="JSON"):
        encode({"value": float("nan")})


@given(noise=st.binary(max_size=2000).filter(lambda b: b"magic" not in b))
def test_a_banner_is_skipped_and_what_follows_stays(noise):
    channel = BytesChannel(noise + b"magic\nrest\n")
    assert skip_banner(channel, b"magic\n", 60.0) == noise
    assert read_line(channel, 10, 60.0) == b"rest"


def test_a_banner_without_end_is_given_up():
    with pytest.raises(StableDeviceError, match="login shell printed more"):
        skip_banner(BytesChannel(b"noise " * MAX_BANNER_BYTES), b"magic\n", 60.0)


def test_an_end_before_the_magic_keeps_what_was_printed():
    with pytest.raises(NoAgent) as caught:
        skip_banner(BytesChannel(b"This account is not available.\n"), b"magic\n", 60.0)
    assert caught.value.banner == "This account is not available.\n"


def test_an_endless_line_is_refused():
    with pytest.raises(FrameError):
        read_line(BytesChannel(json.dumps({"a": "b" * 500}).encode()), 100, 60.0)
