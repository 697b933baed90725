"""What a board says, taken apart: nothing in it reaches a terminal or a computation that it could break."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from harness.boards.mcu.clock import McuClock
from harness.links.serial.messages import (
    BoardRefused,
    ProtocolError,
    board_text,
    parse_error,
    parse_hello,
    parse_loaded,
    parse_run,
)

_FIELDS = (
    ("version", "H", 1),
    ("session", "H", 7),
    ("max_payload", "H", 1032),
    ("window", "H", 4),
    ("clock_hz", "I", 25_000_000),
    ("tick_hz", "I", 25_000_000),
    ("tick_unit", "B", 1),
    ("model_kind", "B", 1),
    ("plan_version", "H", 1),
    ("arena_bytes", "I", 65_536),
    ("model_bytes", "I", 65_536),
    ("sample_bytes", "I", 65_536),
    ("code_bytes", "I", 30_000),
    ("kernels", "I", 1),
    ("ops", "Q", 3),
    ("boots", "I", 1),
    ("reset_reason", "B", 0),
    ("features", "B2x", 3),
)


def hello(*strings: bytes, **changes: int) -> bytes:
    """A HELLO answer as docs/internals/serial-protocol.md lays it out."""
    values = (changes.get(name, value) for name, _, value in _FIELDS)
    numbers = struct.pack("<" + "".join(kind for _, kind, _ in _FIELDS), *values)
    texts = (*strings, b"board", b"cortex-m4", b"plan 1", b"abc")[:4]
    return numbers + struct.pack("<5I", 0, 0, 0, 0, 0) + b"".join(bytes([len(text)]) + text for text in texts)


def test_a_good_hello_is_read_field_by_field():
    found = parse_hello(hello())
    assert (found.board, found.core, found.tick_hz, found.ops, found.last_fault) == (
        "board",
        "cortex-m4",
        25_000_000,
        3,
        None,
    )


def test_a_board_cannot_move_the_cursor_ring_the_bell_or_hide():
    evil = "a\x1b[2J\x07\r\n\x9b\u202e\u200b\u2028\xadz".encode()
    assert parse_hello(hello(evil)).board == "a\ufffd[2J" + "\ufffd" * 8 + "z"
    assert parse_error(struct.pack("<HH", 10, 0) + b"\x1b]0;title\x07")[2] == "\ufffd]0;title\ufffd"
    refused = BoardRefused(10, 0, parse_error(struct.pack("<HH", 10, 0) + b"no\x1b[31m")[2], request="RUN")
    assert "\x1b" not in str(refused) and "no" in str(refused)
    assert board_text("Prüfstand µC 板 \xff".encode() + b"\xff") == "Prüfstand µC 板 ÿ\ufffd"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tick_hz", 0),
        ("tick_unit", 0),
        ("tick_unit", 3),
        ("model_kind", 0),
        ("model_kind", 3),
        ("max_payload", 263),
        ("window", 0),
    ],
)
def test_fields_that_no_board_can_have_are_named(field: str, value: int):
    with pytest.raises(ProtocolError, match=f"{field} is {value}, which must be") as error:
        parse_hello(hello(**{field: value}))
    assert "flash" in error.value.hint


def test_the_smallest_frames_that_are_allowed():
    assert parse_hello(hello(max_payload=264, window=1)).max_payload == 264


def test_ticks_beyond_any_clock_are_no_negative_times():
    huge = 1 << 63
    with pytest.raises(ProtocolError, match=f"RUN: the board counts {huge} ticks"):
        parse_run(struct.pack("<IIQ", 1, 0, huge))
    with pytest.raises(ProtocolError, match=f"COMMIT: the board counts {huge} ticks"):
        parse_loaded(struct.pack("<IHHQ", 100, 0, 0, huge))
    assert parse_run(struct.pack("<IIQ", 1, 0, huge - 1)).total_ticks == huge - 1
    for clock in (McuClock(tick_hz=1000, tick_unit=1), McuClock(tick_hz=25_000_000, tick_unit=1)):
        with pytest.raises(ProtocolError, match="tick_hz"):
            clock.ns(np.array([huge - 1]))
