"""Frames: what host and board, two implementations of docs/internals/serial-protocol.md, make of the same bytes."""

from __future__ import annotations

import ctypes
import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.links.serial.framing import (
    FrameParser,
    SerialFrame,
    cobs_decode,
    cobs_encode,
    decode_frame,
    encode_frame,
    encoded_bytes,
)

same_every_time = settings(deadline=None, derandomize=True, database=None)
#: much zero, much without any zero: both are hard for COBS
payloads = st.one_of(
    st.binary(max_size=600),
    st.lists(st.sampled_from([b"\0", b"\xff", b"a" * 253, b"b" * 254, b"c" * 255, b"\0\0"]), max_size=5).map(b"".join),
)


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"", b"\x01"),
        (b"\0", b"\x01\x01"),
        (b"\0\0", b"\x01\x01\x01"),
        (b"\x11\x22\0\x33", b"\x03\x11\x22\x02\x33"),
        (bytes(range(1, 255)), b"\xff" + bytes(range(1, 255)) + b"\x01"),
        (bytes(range(0, 255)), b"\x01\xff" + bytes(range(1, 255)) + b"\x01"),
    ],
)
def test_cobs_of_known_data(data, encoded):
    assert cobs_encode(data) == encoded
    assert cobs_decode(encoded) == data


def test_cobs_with_no_block_after_a_full_one_is_the_same_data():
    assert cobs_decode(b"\xff" + bytes(range(1, 255))) == bytes(range(1, 255))


@pytest.mark.parametrize("broken", [b"\x05abc", b"\x03a\0", b"\xff" + b"a" * 253])
def test_cobs_that_is_cut_off_or_holds_a_zero_is_an_error(broken):
    with pytest.raises(ValueError):
        cobs_decode(broken)


@same_every_time
@given(payloads)
def test_encoded_data_has_no_zero_and_comes_back(data):
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert cobs_decode(encoded) == data


@same_every_time
@given(st.lists(payloads, max_size=5), st.data())
def test_frames_are_found_in_pieces_of_any_size(bodies, draw):
    frames = [SerialFrame(n + 1, 0xBEEF, n, body) for n, body in enumerate(bodies)]
    line = b"".join(map(encode_frame, frames))
    assert all(len(encode_frame(f)) <= encoded_bytes(len(f.payload)) for f in frames)
    parser, found = FrameParser(), []
    while line:
        cut = draw.draw(st.integers(1, len(line)))
        found += parser.feed(line[:cut])
        line = line[cut:]
    assert found == frames and parser.bad == 0 and parser.good == len(frames)


@same_every_time
@given(payloads, st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_never_another_frame(data, at, change):
    frame = SerialFrame(3, 7, 9, data)
    line = bytearray(encode_frame(frame))
    line[at % len(line)] ^= change
    assert [f for f in FrameParser().feed(bytes(line) + b"\0") if f not in (None, frame)] == []


def test_noise_is_told_and_the_next_frame_found():
    parser = FrameParser()
    frame = SerialFrame(1, 2, 3, b"four")
    assert parser.feed(b"boot: hello\r\n\0\0" + encode_frame(frame) + b"half") == [None, frame]
    assert (parser.bad, parser.good, parser.noise, parser.unfinished()) == (1, 1, b"boot: hello\r\n", b"half")


def test_endless_noise_does_not_fill_the_memory():
    parser = FrameParser()
    for _ in range(50):
        assert parser.feed(b"x" * 10_000) == []
    assert len(parser.unfinished()) < 70_000
    assert parser.feed(b"\0" + encode_frame(SerialFrame(1, 0, 0))) == [None, SerialFrame(1, 0, 0)]


def test_other_flags_and_wrong_lengths_are_no_frames():
    def raw(body: bytes) -> bytes:
        return cobs_encode(body + zlib.crc32(body).to_bytes(4, "little"))

    assert decode_frame(raw(bytes([1, 0, 0, 0, 0, 0, 1, 0, 5]))) == SerialFrame(1, 0, 0, b"\5")
    assert decode_frame(raw(bytes([1, 1, 0, 0, 0, 0, 1, 0, 5]))) is None
    assert decode_frame(raw(bytes([1, 0, 0, 0, 0, 0, 2, 0, 5]))) is None
    assert decode_frame(raw(b"")) is None


@same_every_time
@given(payloads, payloads)
def test_the_boards_crc_is_zlibs(serial_library, first, second):
    crc = serial_library.sp_crc32
    crc.restype = ctypes.c_uint32
    assert crc(crc(0, first, len(first)), second, len(second)) == zlib.crc32(first + second)


@same_every_time
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_the_boards_sha256_is_hashlibs(serial_library, pieces):
    state, digest = ctypes.create_string_buffer(256), ctypes.create_string_buffer(32)
    serial_library.sp_sha256_begin(state)
    for piece in pieces:
        serial_library.sp_sha256_add(state, piece, len(piece))
    serial_library.sp_sha256_end(state, digest)
    assert digest.raw == hashlib.sha256(b"".join(pieces)).digest()
