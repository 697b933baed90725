"""Host and board over a line that damages: what arrives is exact, or there is an error that says what happened."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.core.errors import DeviceError
from harness.links.serial.framing import SerialFrame, encode_frame
from harness.links.serial.messages import (
    BoardFault,
    BoardLost,
    BoardRebooted,
    BoardRefused,
    Code,
    NotOurFirmware,
    ProtocolError,
    Target,
    Type,
)
from harness.links.serial.session import SerialSession
from tests.support.serial_host import DAMAGE, Board, DamagingPort

TENSOR = 8


def examples(count: int) -> settings:
    """The board is the same for all examples: each begins with a power cycle. The same examples every time."""
    health = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=health)


def open_session(board: Board, seed: int = 0, damage=None, reboots=()) -> tuple[SerialSession, DamagingPort]:
    rng = random.Random(seed)
    port = DamagingPort(board, rng, damage, reboots)
    return SerialSession(port, rng=rng), port


def expected_outputs(model: bytes, samples: bytes) -> list[bytes]:
    mask = model[:TENSOR].ljust(TENSOR, b"\0")
    return [
        bytes(a ^ b for a, b in zip(samples[i : i + TENSOR], mask, strict=True)) for i in range(0, len(samples), TENSOR)
    ]


def whole_cell(session: SerialSession, model: bytes, samples: bytes) -> None:
    """Everything that a cell does, with every answer compared with what it must be."""
    session.hello(deadline_s=10)
    assert session.upload(Target.SAMPLES, samples).loaded is None
    loaded = session.upload(Target.MODEL, model).loaded
    assert loaded is not None
    assert (loaded.input_bytes, loaded.output_bytes, loaded.load_ticks) == ((TENSOR,), (TENSOR,), 0x123456789A)
    count = len(samples) // TENSOR
    before = None
    for _ in range(2):
        answer = session.run(count=count, deadline_s=20)
        assert answer.done == count
        # The board counts its runs: each request was executed exactly once.
        assert before is None or answer.total_ticks == before + 1
        before = answer.total_ticks
        records = session.read(Target.RESULTS, 0, count * 16)
        outputs = expected_outputs(model, samples)
        assert records == b"".join(i.to_bytes(8, "little") + outputs[i] for i in range(count))
    direct = bytes(range(TENSOR))
    session.write_inputs(direct)
    assert session.run(direct=True, deadline_s=5).total_ticks == before + 1
    assert session.read(Target.OUTPUTS, 0, TENSOR) == expected_outputs(model, direct)[0]
    assert session.upload(Target.MODEL, model).skipped
    assert session.stats().model_bytes == len(model)


def test_a_clean_line_needs_no_repetition(serial_board):
    session, port = open_session(serial_board)
    whole_cell(session, b"model" * 3000, bytes(1600))
    stats = session.stats()
    assert (stats.frames_bad, stats.frames_repeated, serial_board.broken_rules) == (0, 0, 0)
    assert session.board.board == "test-board" and session.board.ops == 0x8000_0000_0000_000F
    assert port.now() < 4  # of the line's own time at 115200 baud: nothing waited for a deadline


def test_progress_counts_to_the_end_and_a_second_upload_is_skipped(serial_board):
    session, _ = open_session(serial_board)
    session.hello()
    seen: list[tuple[int, int]] = []
    assert not session.upload(
        Target.MODEL, bytes(5000), progress=lambda done, total: seen.append((done, total))
    ).skipped
    assert seen == sorted(seen) and seen[-1] == (5000, 5000) and len(seen) == 5
    assert session.upload(Target.MODEL, bytes(5000)).skipped
    assert not session.upload(Target.MODEL, bytes(4999)).skipped


@examples(150)
@given(
    seed=st.integers(0, 2**32),
    model=st.binary(min_size=1, max_size=6000).filter(lambda m: m[:1] not in (b"B", b"F", b"H")),
    samples=st.integers(1, 300),
    faults=st.lists(
        st.tuples(st.sampled_from(["up", "down"]), st.integers(0, 12_000), st.sampled_from(sorted(DAMAGE))), max_size=12
    ),
)
def test_single_faults_are_always_repaired(serial_board, seed, model, samples, faults):
    serial_board.power_cycle(announce=False)
    numbers = {"up": 0, "down": 0}
    plan = {(way, at): kind for way, at, kind in faults}

    def damage(way: str, byte: int) -> bytes:
        numbers[way] += 1
        kind = plan.get((way, numbers[way]))
        return DAMAGE[kind](byte, seed) if kind else bytes([byte])

    session, _ = open_session(serial_board, seed, damage)
    whole_cell(session, model, random.Random(seed).randbytes(samples * TENSOR))
    assert serial_board.broken_rules == 0


@examples(60)
@given(
    seed=st.integers(0, 2**32), rate=st.floats(1e-5, 3e-3), kinds=st.sets(st.sampled_from(sorted(DAMAGE)), min_size=1)
)
def test_noise_never_makes_a_wrong_result(serial_board, seed, rate, kinds):
    serial_board.power_cycle(announce=False)
    rng = random.Random(seed)
    names = sorted(kinds)

    def damage(_way: str, byte: int) -> bytes:
        return DAMAGE[rng.choice(names)](byte, rng.randrange(256)) if rng.random() < rate else bytes([byte])

    session, port = open_session(serial_board, seed, damage)
    model, samples = b"m" + rng.randbytes(rng.randrange(5000)), rng.randbytes(TENSOR * rng.randrange(1, 200))
    try:
        whole_cell(session, model, samples)
    except DeviceError as error:
        # Giving up is allowed only where hardly a frame gets through.
        assert rate > 3e-4, error
    port.damage = None
    whole_cell(session, model, samples)
    assert serial_board.broken_rules == 0


@examples(100)
@given(seed=st.integers(0, 2**32), reboots=st.lists(st.integers(0, 12_000), min_size=1, max_size=3))
def test_a_reboot_at_any_byte_is_told_and_survived(serial_board, seed, reboots):
    serial_board.power_cycle(announce=False)
    rng = random.Random(seed)
    model, samples = b"m" + rng.randbytes(4000), rng.randbytes(TENSOR * 100)
    session, _ = open_session(serial_board, seed, reboots=tuple(reboots))
    for _ in range(len(reboots) + 1):
        try:
            whole_cell(session, model, samples)
            break
        except (BoardRebooted, BoardLost):
            continue
    else:
        pytest.fail("more errors than reboots")
    assert serial_board.broken_rules == 0


def test_a_fault_is_told_with_its_registers(serial_board):
    session, _ = open_session(serial_board)
    session.hello()
    session.upload(Target.MODEL, b"Fault")
    with pytest.raises(BoardFault, match="usage fault at pc 0x00001234, lr 0x00005678") as caught:
        session.run(direct=True, deadline_s=5)
    assert caught.value.request == "RUN" and not caught.value.fault.is_watchdog
    with pytest.raises(BoardLost, match="no session"):
        session.stats()
    hello = session.hello()
    assert hello.last_fault == caught.value.fault and hello.reset_name == "fault" and hello.boots == 2


def test_a_fault_whose_frame_was_lost_is_told_by_the_next_hello(serial_board):
    session, port = open_session(serial_board)
    session.hello()
    session.upload(Target.MODEL, b"Fault")
    port.damage = lambda way, byte: b"" if way == "down" and port.now() < silence_ends else bytes([byte])
    silence_ends = port.now() + 1
    with pytest.raises(BoardFault, match="usage fault at pc 0x00001234"):
        session.run(direct=True, deadline_s=2)


def test_a_board_that_hangs_is_lost_when_its_time_is_over(serial_board):
    session, port = open_session(serial_board)
    session.hello()
    session.upload(Target.MODEL, b"Hang")
    began = port.now()
    with pytest.raises(BoardLost, match="no answer to RUN within its 30 s"):
        session.run(direct=True, deadline_s=30)
    assert 30 <= port.now() - began < 34
    serial_board.power_cycle()
    whole_cell(session, b"model", bytes(80))


class SignsOfWork:
    """A port behind which a board that does not answer says every five seconds that it works, until a moment."""

    def __init__(self, port: DamagingPort, until_s: float) -> None:
        self._port, self._until_s = port, until_s
        self.number = 0

    def __getattr__(self, name: str):
        return getattr(self._port, name)

    def read_some(self, deadline_s: float) -> bytes:
        data = self._port.read_some(min(deadline_s, 5.0))
        if data or not self.number or self._port.now() >= self._until_s or deadline_s < 5.0:
            return data
        return encode_frame(SerialFrame(Type.WORKING, self.number, 0, struct.pack("<I", 1)))


@pytest.mark.parametrize(("until_s", "least_s", "most_s"), [(100, 95, 145), (10**9, 2_900, 3_100)])
def test_signs_of_work_put_off_giving_a_board_up_but_not_for_ever(serial_board, until_s, least_s, most_s):
    _, line = open_session(serial_board)
    port = SignsOfWork(line, until_s)
    session = SerialSession(port, rng=random.Random(1))
    port.number = session.hello().session
    session.upload(Target.MODEL, b"Hang")
    began = port.now()
    with pytest.raises(BoardLost, match="no answer to RUN"):
        session.run(direct=True, deadline_s=30)
    assert least_s <= port.now() - began < most_s


def test_refusals_have_code_node_and_words_and_leave_the_session_open(serial_board):
    session, _ = open_session(serial_board)
    session.hello()
    with pytest.raises(BoardRefused, match=r"COMMIT: bad_model \(node 7\): the padding is negative") as caught:
        session.upload(Target.MODEL, b"Bad")
    assert (caught.value.code, caught.value.detail) == (Code.BAD_MODEL, 7)
    with pytest.raises(BoardRefused, match="RUN: no_model"):
        session.run(deadline_s=1)
    with pytest.raises(BoardRefused, match="BEGIN: too_large"):
        session.upload(Target.MODEL, bytes(256 * 1024 + 1))
    # Refused in the middle of a full window: all that was under way is answered first.
    with pytest.raises(BoardRefused, match="READ: too_large"):
        session.read(Target.RESULTS, 0, 300_000)
    assert session.stats().model_sha256 is None


def test_reset_ends_the_session_even_when_its_answer_is_lost(serial_board):
    for lose in (False, True):
        session, port = open_session(serial_board)
        session.hello()
        until = port.now() + 0.3
        port.damage = lambda way, byte, p=port, t=until: b"" if way == "down" and p.now() < t else bytes([byte])
        port.damage = port.damage if lose else None
        session.reset()
        assert session.hello().reset_name == "request"


def test_sequence_numbers_wrap(serial_board):
    rng = random.Random(7)
    for begin in (65_400, 65_500, 65_530):
        session, port = open_session(serial_board, begin)
        session.hello()
        # As after so many requests, the last one that acted too long ago to be remembered.
        serial_board.count_from(begin)
        session._window._next_sequence = begin
        port.damage = lambda way, byte: b"" if rng.random() < 3e-4 else bytes([byte])
        for _ in range(4):
            assert session.read(Target.RESULTS, 0, 40_000) == bytes(40_000)
        port.damage = None
        assert session.stats().frames_repeated
    assert serial_board.broken_rules == 0


class LosingPort(DamagingPort):
    """Loses one whole frame, delimiters and all: the `number`th of those that go `way`."""

    lost = ("up", -1)

    def _damaged(self, way: str, data: bytes) -> bytes:
        if way != self.lost[0]:
            return data
        kept = b""
        for piece in filter(None, data.split(b"\0")):
            kept += b"" if self.lost[1] == 0 else b"\0" + piece + b"\0"
            self.lost = (way, self.lost[1] - 1)
        return kept


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_lost_frame_is_noticed_by_the_next_one(serial_board, way):
    times = []
    for lost in (-1, 8):
        serial_board.power_cycle(announce=False)
        port = LosingPort(serial_board, random.Random(3))
        session = SerialSession(port, rng=random.Random(3))
        session.hello()
        began, port.lost = port.now(), (way, lost)
        session.upload(Target.SAMPLES, bytes(range(256)) * 80)
        times.append(port.now() - began)
    assert session.stats().frames_repeated or way == "up"
    # Of the line's own clock: less than the shortest patience.
    assert 0.01 < times[1] - times[0] < 0.4


def test_a_lost_lone_frame_is_sent_again(serial_board):
    for way in ("up", "down"):
        port = LosingPort(serial_board, random.Random(4))
        session = SerialSession(port, rng=random.Random(4))
        session.hello()
        port.lost = (way, 0)
        assert session.stats().stack_bytes == 2048


def test_what_an_older_session_left_on_the_line_is_not_an_answer(serial_board):
    session, port = open_session(serial_board, 5)
    old = SerialSession(port, rng=random.Random(99)).hello()
    stale = [
        SerialFrame(0x81, 0, 0, struct.pack("<HH", 1, old.session) + bytes(80)),
        SerialFrame(Type.STATS + 0x80, old.session, 1, bytes(96)),
        SerialFrame(Type.FAULT, old.session, 0, bytes(20)),
        SerialFrame(Type.ERROR, old.session, 1, b"\1\0\0\0"),
    ]
    port.prepend(b"".join(map(encode_frame, stale)))
    assert session.hello().session != old.session
    port.prepend(b"".join(map(encode_frame, stale)))
    assert session.stats().stack_bytes == 2048


class Scripted:
    """A board that is none: says something to every write."""

    description, baud = "test line", 115_200

    def __init__(self, says) -> None:
        self._says = says
        self._down = b""
        self._time = 0.0

    def now(self) -> float:
        return self._time

    def write(self, data: bytes, deadline_s: float) -> None:
        self._down += self._says(data)

    def read_some(self, deadline_s: float) -> bytes:
        data, self._down = self._down, b""
        self._time += 0.0 if data else deadline_s
        return data


def test_who_answers_hello_is_told():
    for says, kind, words in (
        (lambda data: b"", BoardLost, "no answer to HELLO within 5 s .*is 115200 its baud rate"),
        (lambda data: data, BoardLost, "only echoes"),
        (lambda data: b"login: ", NotOurFirmware, "something else speaks on the line.*login: "),
        (lambda data: b"m-ready\r\n", NotOurFirmware, "runtime: mlperf-tiny"),
        (lambda data: bytes(range(256)), NotOurFirmware, "baud rate"),
        (
            lambda data: encode_frame(SerialFrame(Type.ERROR, 0, 0, b"\x0c\0\x07\0")),
            ProtocolError,
            "version 7 .*version 1",
        ),
        (lambda data: encode_frame(SerialFrame(Type.FAULT, 0, 0, b"\1" + bytes(19))), BoardFault, "hard fault"),
        (lambda data: encode_frame(SerialFrame(Type.NAK, 1, 0, b"\1\0")), BoardLost, "though the board speaks"),
    ):
        with pytest.raises(kind, match=words):
            SerialSession(Scripted(says)).hello()


def test_a_second_host_is_noticed(serial_board):
    first, _ = open_session(serial_board, 1)
    second, _ = open_session(serial_board, 2)
    first.hello()
    second.hello()
    with pytest.raises(BoardRebooted, match="another program has spoken to it"):
        first.stats()
