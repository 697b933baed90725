"""A conversation with a microcontroller's firmware: hello, upload, run, read, statistics (docs/internals/serial-protocol.md).

Nothing here gives a wrong result: what the line destroys is sent again, and what cannot be repaired is an error that says
whether the board fell over, vanished, or was never the right one.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from harness.links.base import Buffer
from harness.links.serial import messages
from harness.links.serial.framing import FrameParser, SerialFrame, encode_frame, encoded_bytes
from harness.links.serial.messages import (
    ANSWER,
    VERSION,
    BoardFault,
    BoardLost,
    BoardRebooted,
    Code,
    Feature,
    Hello,
    LoadedModel,
    NodeTicks,
    NotOurFirmware,
    ProtocolError,
    RunAnswer,
    RunFlag,
    Stats,
    Target,
    Type,
)
from harness.links.serial.port import BytePort
from harness.links.serial.window import Request, RequestWindow, SessionLost, Timing

Progress = Callable[[int, int], None]
#: how slowly a board may hash (COMMIT) and erase its flash (BEGIN), bytes a second
_HASH_RATE, _ERASE_RATE = 100_000, 20_000
#: pieces of a transfer are multiples of this, so that flash can be programmed by words
_PIECE_UNIT = 16
_TOO_OLD = "flash the firmware of this version of the harness"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What an upload did. `skipped`: the board had it already. `loaded`: of a model."""

    skipped: bool
    loaded: LoadedModel | None


class SerialSession:
    """Speaks to one board over an open port. For one thread; another may end it by the port's `interrupt`.

    After any `BoardFault`, `BoardRebooted`, `BoardLost` or a port that is gone, `hello` (after the port's `open`, if it was
    the port) starts afresh; the board then holds nothing.
    """

    def __init__(self, port: BytePort, *, timing: Timing | None = None, rng: random.Random | None = None) -> None:
        self._port = port
        self._timing = timing or Timing()
        self._random = rng or random.SystemRandom()
        self._parser = FrameParser()
        self._window: RequestWindow | None = None
        self._hello: Hello | None = None
        #: what a new session must not be called
        self._last_number = 0

    @property
    def board(self) -> Hello:
        """What the board said of itself in the open session."""
        if self._window is None or self._hello is None:
            raise BoardLost("there is no session with the board", where=self._port.description, hint="say hello first")
        return self._hello

    def hello(self, deadline_s: float = 5.0) -> Hello:
        """Opens a session; what the board was told before is forgotten.

        Args:
            deadline_s: how long to keep asking. A board may still be starting.

        Raises:
            BoardLost: nothing came.
            NotOurFirmware: what came was not this protocol; the error shows it.
            ProtocolError: the board speaks another version of it.
            BoardFault: instead of answering the board reported a fault.
            ChannelClosed, ChannelTimeout: of the port.
        """
        self._window = self._hello = None
        self._parser = FrameParser()
        port, began = self._port, self._port.now()
        interval_s, asked, number, echo, fault = self._timing.latency_s, 0, 0, False, None
        while asked == 0 or port.now() < began + deadline_s:
            # The same number twice, so that a late answer still counts. Not for ever: the board may be in such a session.
            if asked % 2 == 0:
                number = self._new_number()
            asked += 1
            payload = struct.pack("<HH", VERSION, number)
            port.write(encode_frame(SerialFrame(Type.HELLO, 0, 0, payload)), 5.0)
            line_s = 10 * (encoded_bytes(4) + encoded_bytes(256)) / port.baud
            ends = min(port.now() + interval_s + line_s, max(began + deadline_s, began + interval_s))
            interval_s = min(interval_s * 1.5, 2.0)
            while (left_s := ends - port.now()) > 0:
                for frame in self._parser.feed(port.read_some(left_s)):
                    if frame is None:
                        continue
                    hello = self._answer_to_hello(frame, number)
                    if hello is not None:
                        return hello
                    echo = echo or frame.type == Type.HELLO
                    fault = messages.parse_fault(frame.payload) if frame.type == Type.FAULT else fault
        if fault is not None:
            raise BoardFault(fault, request="start", where=port.description)
        raise self._nobody(deadline_s, echo)

    def upload(self, target: Target, data: Buffer, *, progress: Progress | None = None) -> Upload:
        """Brings a model or samples onto the board, unless it has exactly these, and commits them.

        Args:
            target: `MODEL` or `SAMPLES`.
            data: all of it.
            progress: called with (done, total) bytes.

        Raises:
            BoardRefused: too large, storage failed, or the model is not one that the board can run.
            BoardLost, BoardFault, BoardRebooted, ProtocolError, ChannelClosed.
        """
        view = memoryview(data).cast("B")
        total = len(view)
        begin = struct.pack("<B3xI32s", target, total, hashlib.sha256(view).digest())
        answer = self._ask(Request(type=Type.BEGIN, payload=begin, work_s=2.0 + total / _ERASE_RATE))
        skipped = messages.parse_number(answer, "BEGIN", 8) == 1
        if not skipped:
            self._write(target, view, progress)
        elif progress is not None:
            progress(total, total)
        commit = Request(
            type=Type.COMMIT, payload=struct.pack("<B3x", target), answer_bytes=256, work_s=2.0 + total / _HASH_RATE
        )
        answer = self._ask(commit)
        return Upload(skipped=skipped, loaded=messages.parse_loaded(answer) if target == Target.MODEL else None)

    def write_inputs(self, data: Buffer) -> None:
        """Sets all inputs of the loaded model, one after the other in `data`, for a `run(direct=True)`."""
        self._write(Target.INPUTS, memoryview(data).cast("B"), None)

    def run(
        self,
        *,
        first: int = 0,
        count: int = 1,
        repeat: bool = False,
        direct: bool = False,
        carry: bool = False,
        inference_limit_ms: int = 0,
        while_working: bool = False,
        deadline_s: float,
    ) -> RunAnswer:
        """Runs inferences, timed on the board.

        Args:
            first: the sample to begin with.
            count: how many inferences.
            repeat: sample `first` again and again, instead of the samples that follow it.
            direct: the inputs were written by `write_inputs`; `count` must be 1.
            carry: what the model remembers of the inference before stays; else each begins from the model's initial state.
            inference_limit_ms: the board's own watchdog for each inference; 0: none.
            while_working: an inference may take longer as long as the board sees it work (a hundred times as long at most); where
                its firmware cannot tell work from a hang, the limit is what it was.
            deadline_s: how long the host waits for all of them.

        Raises:
            BoardFault: with `fault.is_watchdog` where an inference took too long.
            BoardLost: no answer within `deadline_s`.
            BoardRefused, BoardRebooted, ChannelClosed.
        """
        flags = (RunFlag.REPEAT if repeat else 0) | (RunFlag.DIRECT if direct else 0)
        flags |= RunFlag.CARRY if carry else 0
        flags |= RunFlag.WHILE_WORKING if while_working and self.board.features & Feature.TELLS_WORK else 0
        payload = struct.pack("<IIII", first, count, flags, inference_limit_ms)
        answer = self._ask(Request(type=Type.RUN, payload=payload, answer_bytes=16, work_s=deadline_s, once=True))
        return messages.parse_run(answer)

    def profile(
        self, *, sample: int = 0, node: int = 0, direct: bool = False, inference_limit_ms: int = 0, deadline_s: float
    ) -> NodeTicks:
        """Runs one inference from the model's initial state and tells what nodes of it took, from `node` on as many as an
        answer holds. No RUN has anything of it.

        Args:
            sample: of the committed ones; with `direct` the inputs were written by `write_inputs`.
            inference_limit_ms: how long the board may show no sign of work; 0: no limit.
            deadline_s: how long the host waits.

        Raises:
            BoardRefused: fewer nodes, no such sample, or a runtime that does not tell its nodes apart.
            BoardLost, BoardFault, BoardRebooted, ProtocolError, ChannelClosed.
        """
        payload = struct.pack("<IIII", sample, node, RunFlag.DIRECT if direct else 0, inference_limit_ms)
        answer = self._ask(Request(type=Type.PROFILE, payload=payload, answer_bytes=256, work_s=deadline_s, once=True))
        return messages.parse_profile(answer)

    def read(self, target: Target, offset: int, count: int) -> bytes:
        """`count` bytes of the model's outputs (`OUTPUTS`) or of the results of a run (`RESULTS`).

        Raises:
            BoardRefused: there are not so many. BoardLost, BoardFault, BoardRebooted, ProtocolError, ChannelClosed.
        """
        size = self.board.max_payload // _PIECE_UNIT * _PIECE_UNIT
        starts = range(offset, offset + count, size)
        lengths = [min(size, offset + count - start) for start in starts]
        requests = [
            Request(type=Type.READ, payload=struct.pack("<B3xII", target, start, length), answer_bytes=length)
            for start, length in zip(starts, lengths, strict=True)
        ]
        pieces: list[bytes] = []
        self._exchange(requests, lambda _request, answer: pieces.append(answer))
        for piece, length in zip(pieces, lengths, strict=True):
            if len(piece) != length:
                raise ProtocolError(
                    f"READ of {length} bytes gave {len(piece)}", where=self._port.description, hint=_TOO_OLD
                )
        return b"".join(pieces)

    def stats(self) -> Stats:
        """Memory, frame counts and hashes, as the board has them now."""
        return messages.parse_stats(self._ask(Request(type=Type.STATS, answer_bytes=96)))

    def reset(self) -> None:
        """Resets the board. Nothing is left of the session; `hello` opens another."""
        try:
            self._exchange([Request(type=Type.RESET)], lambda _request, _answer: None, explain=False)
        except SessionLost:
            pass  # the answer was lost, and the board is up again
        finally:
            self._window = self._hello = None

    def _write(self, target: Target, view: memoryview, progress: Progress | None) -> None:
        total, done = len(view), 0
        size = max((self.board.max_payload - 8) // _PIECE_UNIT, 1) * _PIECE_UNIT
        requests = (
            Request(
                type=Type.WRITE, payload=struct.pack("<B3xI", target, start) + view[start : start + size], work_s=0.1
            )
            for start in range(0, total, size)
        )

        def take(request: Request, answer: bytes) -> None:
            nonlocal done
            received = messages.parse_number(answer, "WRITE", 32)
            done += len(request.payload) - 8
            if target != Target.INPUTS and not done <= received <= total:
                what = f"the board has {received} bytes after {done} of {total} were sent"
                raise ProtocolError(what, where=self._port.description, hint=_TOO_OLD)
            if progress is not None:
                progress(done, total)

        self._exchange(requests, take)

    def _ask(self, request: Request) -> bytes:
        answers: list[bytes] = []
        self._exchange([request], lambda _request, answer: answers.append(answer))
        return answers[0]

    def _exchange(self, requests, take: Callable[[Request, bytes], None], *, explain: bool = True) -> None:
        self.board  # noqa: B018 - raises where there is no session
        window = self._window
        assert window is not None
        try:
            window.exchange(requests, take)
        except messages.BoardRefused:
            raise
        except SessionLost:
            self._window = None
            if not explain:
                raise
            raise self._why_lost() from None
        except BaseException:
            # Numbers that were given away and not answered cannot be taken back.
            self._window = None
            raise

    def _why_lost(self) -> BoardFault | BoardRebooted:
        """The board does not know this session: asks why. The new session stays open only as long as that takes."""
        hello = self.hello()
        self._window = None
        if hello.last_fault is not None and hello.reset_name in ("fault", "watchdog"):
            return BoardFault(hello.last_fault, request="this session", where=self._port.description)
        what = f"the board has started anew (reason: {hello.reset_name}), or another program has spoken to it"
        hint = "check its power supply, and that nothing else uses the port"
        return BoardRebooted(what, where=self._port.description, hint=hint)

    def _new_number(self) -> int:
        number = self._last_number
        while number == self._last_number:
            number = self._random.randrange(1, 0x10000)
        self._last_number = number
        return number

    def _answer_to_hello(self, frame: SerialFrame, number: int) -> Hello | None:
        """The board's introduction when this frame is it; the session is open then."""
        where = self._port.description
        if frame.type == Type.ERROR and frame.session == 0:
            code, detail, _ = messages.parse_error(frame.payload)
            if code == Code.VERSION:
                what = f"the board speaks version {detail} of the serial protocol, the harness version {VERSION}"
                raise ProtocolError(what, where=where, hint=_TOO_OLD)
        if frame.type != Type.HELLO + ANSWER or len(frame.payload) < 4:
            return None
        version, session = struct.unpack_from("<HH", frame.payload)
        if session != number:
            return None
        if version != VERSION:
            what = f"the board speaks version {version} of the serial protocol, the harness version {VERSION}"
            raise ProtocolError(what, where=where, hint=_TOO_OLD)
        self._hello = messages.parse_hello(frame.payload)
        self._window = RequestWindow(
            self._port, self._parser, session=session, window=self._hello.window, timing=self._timing
        )
        return self._hello

    def _nobody(self, deadline_s: float, echo: bool) -> BoardLost | NotOurFirmware:
        """The error of a HELLO that nobody answered, by what came instead."""
        where, parser = self._port.description, self._parser
        if echo:
            hint = "are transmit and receive connected to each other, or is the board held in reset?"
            return BoardLost("the line only echoes what is sent", where=where, hint=hint)
        if parser.received_bytes == 0:
            hint = f"is the board on, is this its port, is {self._port.baud} its baud rate, and is the harness's firmware on it?"
            return BoardLost(f"no answer to HELLO within {deadline_s:.3g} s", where=where, hint=hint)
        said = parser.noise + parser.unfinished()
        if parser.good == 0:
            shown = "".join(chr(c) if 32 <= c < 127 else "." for c in said[-60:])
            hint = f"flash the harness's firmware, or correct the baud rate ({self._port.baud})"
            if b"m-ready" in said or b"m-timestamp" in said:
                hint = "this is MLPerf Tiny's firmware: say `runtime: mlperf-tiny` in the device's profile"
            return NotOurFirmware(
                f"something else speaks on the line; the last of it: {shown!r}", where=where, hint=hint
            )
        what = f"no answer to HELLO within {deadline_s:.3g} s, though the board speaks"
        return BoardLost(what, where=where, hint="reset the board")
