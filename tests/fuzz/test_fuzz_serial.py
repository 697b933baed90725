"""Firmware that answers nonsense, in frames whose checksums are right, and text that is no protocol at all."""

from __future__ import annotations

import random
from collections import deque

import numpy as np

from harness.boards.mcu.clock import McuClock
from harness.boards.mlperf_tiny.lines import LineSplitter, Reply
from harness.boards.mlperf_tiny.session import MlperfSession
from harness.core.bounds import MOST_NS
from harness.core.errors import HarnessError
from harness.links.serial import messages
from harness.links.serial.framing import FrameParser, SerialFrame, encode_frame
from harness.links.serial.messages import ANSWER, Target, Type
from harness.links.serial.session import SerialSession
from tests.support.fuzzing import cases, mutated_bytes

HELLO = messages._HELLO.pack(
    1, 7, 1032, 4, 25_000_000, 25_000_000, 1, 1, 1, 65536, 65536, 65536, 52_000, 2, 2**20, 1, 0, 3, 0, 0, 0, 0, 0
)
HELLO += b"".join(bytes([len(word)]) + word for word in (b"mps2", b"cortex-m4", b"plan 1", b"build 1"))
GOOD = {
    Type.BEGIN: b"\0",
    Type.WRITE: (64).to_bytes(4, "little"),
    Type.COMMIT: messages._LOADED.pack(4096, 1, 1, 1000) + (16).to_bytes(4, "little") * 2,
    Type.RUN: messages._RUN.pack(4, 0, 4000),
    Type.PROFILE: messages._PROFILE.pack(3, 3, 4000, *range(15), *range(100, 115)),
    Type.READ: bytes(16),
    Type.STATS: messages._STATS.pack(500, 4096, 4096, 65536, 900, 10, 0, 0, bytes(32), bytes(32)),
}


class NonsensePort:
    """A port on a clock of its own, with firmware behind it that spoils a share of its answers."""

    description, baud = "serial nonsense", 921_600

    def __init__(self, rng: random.Random, share: float) -> None:
        self.rng, self.share, self.time = rng, share, 0.0
        self.parser, self.waiting = FrameParser(), deque[bytes]()

    def now(self) -> float:
        return self.time

    def read_some(self, deadline_s: float) -> bytes:
        if not self.waiting:
            self.time += max(deadline_s, 0.001)
            return b""
        self.time += 0.001
        return self.waiting.popleft()

    def write(self, data, deadline_s: float) -> None:
        self.time += 0.001
        for frame in self.parser.feed(bytes(data)):
            if frame is not None:
                self.answer(frame)

    def answer(self, frame: SerialFrame) -> None:
        session, sequence, kind = frame.session, frame.sequence, frame.type | ANSWER
        payload = GOOD.get(frame.type, b"")
        if frame.type == Type.HELLO:
            payload = HELLO[:2] + frame.payload[2:4] + HELLO[4:]
            session = int.from_bytes(frame.payload[2:4], "little")
        if frame.type == Type.READ and len(frame.payload) >= 12:
            payload = bytes(int.from_bytes(frame.payload[8:12], "little"))
        if self.rng.random() < self.share:
            what = self.rng.randrange(6)
            if what < 3:
                payload = mutated_bytes(self.rng, payload) or b"\xff"
            elif what == 3:
                kind = self.rng.randrange(256)
            elif what == 4:
                session, sequence = self.rng.randrange(1 << 16), self.rng.randrange(1 << 16)
            else:
                self.waiting.append(self.rng.randbytes(self.rng.randrange(1, 3000)))
        self.waiting.append(encode_frame(SerialFrame(kind, session, sequence, payload[:65_535])))


def test_every_conversation_is_good_or_an_error():
    ended = {True: 0, False: 0}
    for rng in cases("serial"):
        session = SerialSession(NonsensePort(rng, rng.choice((0.02, 0.1, 0.5))), rng=rng)
        try:
            hello = session.hello()
            assert hello.tick_hz >= 1 and hello.board.isprintable() and hello.window >= 1
            loaded = session.upload(Target.MODEL, bytes(64)).loaded
            assert loaded is not None and loaded.load_ticks <= messages.MOST_TICKS
            answer = session.run(count=4, deadline_s=5)
            found = McuClock(tick_hz=hello.tick_hz, tick_unit=hello.tick_unit).one_ns(answer.total_ticks)
            assert found is not None and 0 <= found <= MOST_NS
            told = session.profile(deadline_s=5)
            assert 0 < len(told.ticks) == len(told.own_ticks) <= told.nodes and max(told.ticks) <= messages.MOST_TICKS
            assert len(session.read(Target.RESULTS, 0, 16)) == 16
            stats = session.stats()
            assert stats.arena_used <= stats.arena_bytes and stats.stack_peak <= stats.stack_bytes
            ended[True] += 1
        except HarnessError as error:
            assert str(error).isprintable()
            ended[False] += 1
    assert all(ended.values()), ended


def test_payloads_of_every_kind_are_read_or_refused():
    readers = {
        messages.parse_hello: HELLO,
        messages.parse_loaded: GOOD[Type.COMMIT],
        messages.parse_run: GOOD[Type.RUN],
        messages.parse_profile: GOOD[Type.PROFILE],
        messages.parse_stats: GOOD[Type.STATS],
        messages.parse_fault: bytes(20),
        messages.parse_error: b"\x06\0\0\0too large",
    }
    for rng in cases("payloads"):
        read, good = rng.choice(list(readers.items()))
        try:
            read(mutated_bytes(rng, good))
        except messages.ProtocolError:
            continue


def test_noise_never_fills_a_parser():
    for rng in cases("noise"):
        parser = FrameParser()
        for _ in range(50):
            parser.feed(rng.randbytes(rng.randrange(4000)).replace(b"\0", b"\1" if rng.random() < 0.9 else b"\0"))
        assert len(parser.unfinished()) < 70_000 and len(parser.noise) <= 400


LINES = (
    b"m-name-dut-[vendor]",
    b"m-profile-[fw 1]",
    b"m-model-[ic01]",
    b"m-lap-us-1000",
    b"m-lap-us-99999999999999999999",
    b"m-results-[0.1,0.9]",
    b"m-results-[1e999,nan]",
    b"m-infer-start-1",
    b"m-warmup-start-0",
    b"m-buffer-00-ff",
    b"e-[Unknown]",
    b"m-ready",
)


def test_replies_of_text_firmware_are_read_or_refused():
    for rng in cases("mlperf-lines"):
        text = b"\r\n".join(rng.choice(LINES) for _ in range(rng.randrange(12))) + b"\r\n"
        lines = LineSplitter().feed(mutated_bytes(rng, text) if rng.random() < 0.7 else text)
        reply = Reply(lines=tuple(lines))
        values, elapsed_us = reply.results(), reply.elapsed_us()
        assert values is None or np.all(np.isfinite(values))
        assert elapsed_us is None or 0 <= elapsed_us * 1000 <= MOST_NS
        assert all(line.isprintable() for line in lines)
        assert (reply.error, reply.wrong_size, reply.gave_up, reply.buffer(), reply.ran(1, 0)) is not None


def test_text_firmware_that_talks_nonsense_is_an_error():
    for rng in cases("mlperf-session"):
        port = NonsensePort(rng, 0.0)
        port.answer = lambda frame: None  # type: ignore[method-assign]
        spoken = [b"\r\n".join(rng.choice(LINES) for _ in range(rng.randrange(1, 9))) + b"\r\n" for _ in range(30)]
        port.waiting.extend(mutated_bytes(rng, piece) if rng.random() < 0.3 else piece for piece in spoken)
        try:
            identity = MlperfSession(port).greet()
            assert identity.vendor.isprintable() and len(identity.firmware) <= 200
        except HarnessError as error:
            assert str(error).isprintable()
