"""The board's end by itself: each rule of docs/internals/serial-protocol.md on sessions, a fuzzer under sanitizers, its size."""

from __future__ import annotations

import re
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.links.serial.framing import FrameParser, SerialFrame, encode_frame
from harness.links.serial.messages import Code, Type, parse_error, parse_hello
from tests.support.places import SUPPORT
from tests.support.serial_host import PROTOCOL, SANITIZERS, compile_c

SESSION = 0x1234
RUN = struct.pack("<IIII", 0, 1, 1, 0)
STATS = (Type.STATS, b"")


def ask(board, kind, payload=b"", *, sequence=0, session=SESSION) -> list[SerialFrame]:
    parser = FrameParser()
    frames = parser.feed(board.feed(encode_frame(SerialFrame(kind, session, sequence, payload))))
    assert parser.bad == 0 and not parser.unfinished()
    return frames


def hello(board, session=SESSION, version=1) -> list[SerialFrame]:
    return ask(board, Type.HELLO, struct.pack("<HH", version, session), session=0)


def test_hello_opens_a_session_and_answers_with_the_facts(serial_board):
    (answer,) = hello(serial_board)
    assert (answer.type, answer.session, answer.sequence) == (0x81, 0, 0)
    facts = parse_hello(answer.payload)
    assert (facts.session, facts.version, facts.max_payload, facts.window) == (SESSION, 1, 1032, 4)
    assert (facts.clock_hz, facts.sample_bytes, facts.code_bytes, facts.kernels) == (25_000_000, 256 << 10, 30_000, 1)
    assert (facts.board, facts.core, facts.runtime, facts.firmware) == (
        "test-board",
        "no-core",
        "arithmetic 1",
        "tests",
    )


@pytest.mark.parametrize(
    ("payload", "code", "detail"),
    [
        (b"\2\0\1\0", Code.VERSION, 1),
        (b"\2\0", Code.VERSION, 1),
        (b"\2\0\1\0\0\0\0", Code.VERSION, 1),
        (b"\1\0\0\0", Code.BAD_ARGUMENT, 0),
        (b"", Code.BAD_ARGUMENT, 0),
        (b"\1\0\1\0\0", Code.BAD_ARGUMENT, 0),
    ],
)
def test_a_wrong_hello_is_refused(serial_board, payload, code, detail):
    (answer,) = ask(serial_board, Type.HELLO, payload, session=0)
    assert answer.type == Type.ERROR and parse_error(answer.payload)[:2] == (code, detail)


def test_a_repeated_hello_is_answered_but_never_starts_the_count_again(serial_board):
    assert hello(serial_board) == hello(serial_board)
    assert ask(serial_board, *STATS, sequence=1)
    assert hello(serial_board) == []
    assert ask(serial_board, *STATS, sequence=2)[0].type == Type.STATS + 0x80
    assert hello(serial_board, session=99)[0].type == 0x81
    assert ask(serial_board, *STATS, sequence=1, session=99)[0].type == Type.STATS + 0x80


def test_without_its_session_a_board_says_so(serial_board):
    for prepare in (lambda: None, lambda: hello(serial_board, session=5), serial_board.power_cycle):
        prepare()
        (answer,) = ask(serial_board, *STATS, sequence=1)
        assert (answer.type, answer.session, answer.sequence) == (Type.ERROR, SESSION, 1)
        assert parse_error(answer.payload)[0] == Code.BAD_SESSION


def test_a_board_that_starts_says_so(serial_board):
    (notice,) = FrameParser().feed(serial_board.power_cycle())
    assert notice == SerialFrame(Type.ERROR, 0, 0, struct.pack("<HH", Code.BAD_SESSION, 0))


def load(board) -> None:
    """A session with a model and one sample; the next sequence number is 7."""
    import hashlib

    hello(board)
    sequence = 1
    for target, data in ((2, bytes(8)), (1, b"m")):
        begin = struct.pack("<B3xI32s", target, len(data), hashlib.sha256(data).digest())
        write, commit = struct.pack("<B3xI", target, 0) + data, struct.pack("<B3x", target)
        for kind, payload in ((Type.BEGIN, begin), (Type.WRITE, write), (Type.COMMIT, commit)):
            (answer,) = ask(board, kind, payload, sequence=sequence)
            assert answer.type == kind + 0x80, parse_error(answer.payload)
            sequence += 1


def test_a_repeated_run_is_answered_and_not_executed(serial_board):
    load(serial_board)
    first = ask(serial_board, Type.RUN, RUN, sequence=7)
    assert ask(serial_board, Type.RUN, RUN, sequence=7) == first
    assert serial_board.runs == 1
    assert ask(serial_board, Type.RUN, RUN, sequence=8) != first
    # No longer the last one that was executed: its answer is not kept.
    assert ask(serial_board, Type.RUN, RUN, sequence=7) == []
    assert serial_board.runs == 2


def test_a_new_session_knows_no_answer_of_the_one_before(serial_board):
    """Sequence 0 lies just before the first: for the board a repetition of what it never executed."""
    load(serial_board)
    assert ask(serial_board, Type.RUN, RUN, sequence=7)
    hello(serial_board, session=SESSION + 1)
    for kind, payload in ((Type.RUN, RUN), (Type.READ, struct.pack("<B3xII", 5, 0, 16)), (0x33, b""), STATS):
        assert ask(serial_board, kind, payload, sequence=0, session=SESSION + 1) == []
    assert serial_board.runs == 1
    assert ask(serial_board, *STATS, sequence=1, session=SESSION + 1)[0].type == Type.STATS + 0x80


def test_a_repeated_refusal_is_kept_too(serial_board):
    hello(serial_board)
    first = ask(serial_board, 0x33, sequence=1)
    assert parse_error(first[0].payload)[0] == Code.UNKNOWN_TYPE and first[0].sequence == 1
    assert ask(serial_board, 0x33, sequence=1) == first


def test_reads_are_done_again_until_something_acts(serial_board):
    load(serial_board)
    read = struct.pack("<B3xII", 5, 0, 16)
    ask(serial_board, Type.RUN, RUN, sequence=7)
    answers = [ask(serial_board, Type.READ, read, sequence=number) for number in (8, 9, 10, 8, 9)]
    assert {a.payload for (a,) in answers} == {answers[0][0].payload}
    assert [a.sequence for (a,) in answers] == [8, 9, 10, 8, 9]
    ask(serial_board, Type.RUN, RUN, sequence=11)
    assert ask(serial_board, Type.READ, read, sequence=10) == []


def test_a_gap_is_complained_about_once_for_each_pass(serial_board):
    hello(serial_board)
    (nak,) = ask(serial_board, *STATS, sequence=2)
    assert nak == SerialFrame(Type.NAK, SESSION, 2, b"\1\0")
    assert ask(serial_board, *STATS, sequence=3) == ask(serial_board, *STATS, sequence=4) == []
    assert ask(serial_board, *STATS, sequence=2)[0].type == Type.NAK  # the host has begun again, and 1 was lost again
    assert ask(serial_board, *STATS, sequence=3) == []
    assert ask(serial_board, *STATS, sequence=1)[0].type == Type.STATS + 0x80
    assert ask(serial_board, *STATS, sequence=3)[0].payload == b"\2\0"


def test_a_destroyed_frame_is_asked_for_at_once(serial_board):
    assert serial_board.feed(b"\0noise\0") == b""  # nobody to ask
    hello(serial_board)
    (nak,) = FrameParser().feed(serial_board.feed(b"\0noise\0"))
    assert nak == SerialFrame(Type.NAK, SESSION, 1, b"\1\0")


def test_its_own_words_are_not_for_a_board(serial_board):
    hello(serial_board)
    for kind in (0x7D, 0x7E, 0x7F, 0x81, 0x87, 0xFF):
        assert ask(serial_board, kind, sequence=1) == []
    assert ask(serial_board, *STATS, sequence=1)


def test_the_largest_frame_fits_and_a_larger_one_is_noise(serial_board):
    hello(serial_board)
    for fill in (b"\0", b"\xff"):
        assert ask(serial_board, 0x33, fill * 1032, sequence=1)[0].type == Type.ERROR
        assert ask(serial_board, 0x33, fill * 1033, sequence=2)[0].type == Type.NAK


@settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.data())
def test_no_noise_keeps_a_board_from_the_next_frame(serial_board, noise, draw):
    cut = draw.draw(st.integers(0, len(noise)))
    serial_board.feed(noise[:cut])
    serial_board.feed(noise[cut:])
    assert hello(serial_board, session=1 + len(noise))[-1].type == 0x81


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_fuzzed_under_sanitizers(tmp_path, seed):
    program = compile_c(
        tmp_path / "fuzz",
        [SUPPORT / "serial_fuzz.c", SUPPORT / "serial_board.c"],
        *SANITIZERS,
    )
    done = subprocess.run([program, str(seed), "30000"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    reached = dict(re.findall(r"(\w+) (\d+)", done.stdout))
    # Behind the CRC and the sequence rules, and up to the end of the frame buffer.
    assert int(reached["good"]) > 100_000 and int(reached["bad"]) > 10_000 and int(reached["repeated"]) > 3_000
    assert int(reached["answers"]) > 50_000 and int(reached["largest"]) == 1044


def test_the_code_stays_small(tmp_path):
    """At most 3.5 KB of M4 code, warnings being errors also where the firmware is built."""
    total = 0
    flags = ["-std=c11", "-mcpu=cortex-m4", "-mthumb", "-Os", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
    for source in sorted(PROTOCOL.glob("*.c")):
        target = tmp_path / f"{source.stem}.o"
        subprocess.run(["arm-none-eabi-gcc", *flags, "-c", "-o", target, source], check=True)
        sizes = subprocess.run(["arm-none-eabi-size", target], check=True, capture_output=True, text=True).stdout
        text, data, bss = map(int, sizes.splitlines()[1].split()[:3])
        assert (data, bss) == (0, 0), "all state is in the caller's session"
        total += text
    assert 1000 < total < 3584
