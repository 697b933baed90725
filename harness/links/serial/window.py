"""Requests under way on a serial line: numbers, repetition, patience.

The host's half of the rules of docs/internals/serial-protocol.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.links.serial import messages
from harness.links.serial.framing import FrameParser, SerialFrame, encode_frame, encoded_bytes
from harness.links.serial.messages import ANSWER, BoardFault, BoardLost, BoardRefused, Code, ProtocolError, Type
from harness.links.serial.port import BytePort

#: start bit, 8 bits, stop bit
_BITS_PER_BYTE = 10
#: signs of work put off giving a board up for so many times the time that its request was given
_MOST_EXTENSIONS = 100


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a host waits before it sends again, and how often.

    Attributes:
        latency_s: for the way through adapters and operating systems, and a board's loop; doubled with each try.
        attempts: how often in a row nothing came in time before the board counts as lost.
        resends: how often in a row a frame is sent again because noise destroyed it before the line counts as unusable.
    """

    latency_s: float = 0.4
    attempts: int = 6
    resends: int = 40


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        answer_bytes: what its answer's payload may have, for the patience.
        work_s: how long the board may work for it.
        once: `work_s` is a deadline: when it has passed the answer is asked for once more, and not waited for as long again. Each
            sign of work begins it anew.
    """

    type: Type
    payload: bytes = b""
    answer_bytes: int = 4
    work_s: float = 0.05
    once: bool = False


class SessionLost(Exception):
    """The board does not know this session (any more)."""


@dataclass(eq=False)
class _UnderWay:
    request: Request
    sequence: int
    encoded: bytes
    #: must be sent (again)
    due: bool = True
    first_sent: float | None = None
    #: when it was last known to be worked at
    at_work: float = 0.0
    answer: bytes | None = None
    refusal: BoardRefused | None = None

    @property
    def answered(self) -> bool:
        return self.answer is not None or self.refusal is not None


class RequestWindow:
    """Carries requests to a board and their answers back, for one session."""

    def __init__(self, port: BytePort, parser: FrameParser, *, session: int, window: int, timing: Timing) -> None:
        self._port = port
        self._parser = parser
        self._session = session
        self._window = window
        self._timing = timing
        self._next_sequence = 1
        self._under_way: deque[_UnderWay] = deque()
        #: waits without an answer, and repetitions because of noise, since the last answer
        self._tries = self._resends = 0
        self._quiet_until = self._last_event = port.now()
        #: frames that were sent a second time, for reports
        self.frames_repeated = 0

    def exchange(self, requests: Iterable[Request], take: Callable[[Request, bytes], None]) -> None:
        """Sends all requests, as many at a time as the board takes, and gives each answer to `take`, in order.

        Requests of one call must not hang on each other's effects: only `WRITE`s to different places or `READ`s may be together.

        Raises:
            BoardRefused: the first error that the board answered; the answers to all that was under way have been awaited.
            BoardLost, BoardFault, SessionLost, ProtocolError, ChannelClosed: the session is over.
        """
        source = iter(requests)
        refusal: BoardRefused | None = None
        more = True
        self._tries = self._resends = 0
        while True:
            entry = next((e for e in self._under_way if e.due), None)
            if entry is None and more and refusal is None and len(self._under_way) < self._window:
                request = next(source, None)
                more = request is not None
                entry = self._add(request) if request else None
            if entry is not None:
                self._send(entry)
            elif not self._under_way:
                break
            self._listen(wait=entry is None)
            while self._under_way and self._under_way[0].answered:
                first = self._under_way.popleft()
                refusal = refusal or first.refusal
                if first.answer is not None:
                    take(first.request, first.answer)
        if refusal is not None:
            raise refusal

    def _add(self, request: Request) -> _UnderWay:
        sequence = self._next_sequence
        self._next_sequence = (sequence + 1) & 0xFFFF
        encoded = encode_frame(SerialFrame(request.type, self._session, sequence, request.payload))
        self._under_way.append(_UnderWay(request, sequence, encoded))
        return self._under_way[-1]

    def _send(self, entry: _UnderWay) -> None:
        entry.due = False
        # A board that works takes nothing from a line with flow control, and what is under way may all lie in front of it.
        patience_s = 5.0 + sum(e.request.work_s for e in self._under_way) + 4 * self._line_s(len(entry.encoded))
        self._port.write(entry.encoded, patience_s)
        self._last_event = self._port.now()
        if entry.first_sent is None:
            entry.first_sent = entry.at_work = self._last_event

    def _listen(self, *, wait: bool) -> None:
        """Takes what has come; with `wait`, waits for something until it is time to send again."""
        data = self._port.read_some(max(self._patience_ends() - self._port.now(), 0.0) if wait else 0.0)
        for frame in self._parser.feed(data):
            if frame is None:
                # Most likely the answer to the oldest request.
                self._noise([e for e in self._under_way if not e.answered][:1])
            else:
                self._take_frame(frame)
        if wait and self._open() and self._port.now() >= self._patience_ends():
            self._out_of_patience()

    def _open(self) -> list[_UnderWay]:
        return [e for e in self._under_way if not e.answered]

    def _patience_ends(self) -> float:
        """When to send again what has no answer."""
        entries = self._open()
        line_bytes = sum(len(e.encoded) + encoded_bytes(e.request.answer_bytes) for e in entries)
        slack_s = self._timing.latency_s * 2 ** min(self._tries, 3) + 2 * self._line_s(line_bytes)
        first = entries[0]
        if first.request.once:
            began = first.at_work if self._tries == 0 and first.first_sent is not None else self._last_event
            return began + slack_s + (0.0 if self._tries else first.request.work_s)
        return self._last_event + slack_s + sum(e.request.work_s for e in entries)

    def _line_s(self, count: int) -> float:
        return count * _BITS_PER_BYTE / self._port.baud

    def _out_of_patience(self) -> None:
        first = self._open()[0]
        self._tries += 1
        if self._tries >= (2 if first.request.once else self._timing.attempts):
            within = (
                f" within its {first.request.work_s:.3g} s" if first.request.once else f", asked {self._tries} times"
            )
            hint = "check cable and power, and reset the board if it stays so"
            raise BoardLost(f"no answer to {first.request.type.name}{within}", where=self._port.description, hint=hint)
        self._again(self._open())

    def _noise(self, entries: list[_UnderWay]) -> None:
        """Something was destroyed on the line: sends these again, unless that was just done."""
        if not entries or self._port.now() < self._quiet_until:
            return
        self._resends += 1
        if self._resends > self._timing.resends:
            what = (
                f"the line is too noisy: {entries[0].request.type.name} did not come through in {self._resends} tries"
            )
            raise BoardLost(what, where=self._port.description, hint="check the cable, or lower the baud rate")
        self._again(entries)

    def _again(self, entries: list[_UnderWay]) -> None:
        for entry in entries:
            entry.due = True
        self.frames_repeated += len(entries)
        now = self._port.now()
        # Until what lies on the line has been answered, more complaints are about the same loss.
        self._quiet_until = now + self._line_s(sum(len(e.encoded) for e in self._under_way)) + 0.01
        self._last_event = now

    def _take_frame(self, frame: SerialFrame) -> None:
        where = self._port.description
        if frame.type == Type.FAULT and frame.session in (self._session, 0):
            request = self._open()[0].request.type.name if self._open() else "nothing"
            raise BoardFault(messages.parse_fault(frame.payload), request=request, where=where)
        if frame.type == Type.ERROR and frame.session in (self._session, 0):
            code, detail, text = messages.parse_error(frame.payload)
            if code == Code.BAD_SESSION:
                raise SessionLost
        if frame.session == self._session and frame.type == Type.WORKING:
            self._take_sign_of_work()
        if frame.session != self._session or frame.type < Type.FAULT:
            return  # an older session's, or the line echoes
        if frame.type == Type.NAK:
            self._take_nak(messages.parse_number(frame.payload, "NAK", 16))
            return
        entry = next((e for e in self._under_way if e.sequence == frame.sequence), None)
        if entry is None or entry.answered:
            return  # the answer to a repetition
        if frame.type == Type.ERROR:
            entry.refusal = BoardRefused(code, detail, text, request=entry.request.type.name, where=where)
        elif frame.type == entry.request.type + ANSWER:
            entry.answer = frame.payload
        else:
            raise ProtocolError(f"an answer of type {frame.type:#04x} to {entry.request.type.name}", where=where)
        entry.due = False
        self._tries = self._resends = 0
        self._last_event = self._port.now()
        # Answers come in order: those before this one were destroyed.
        self._noise([e for e in list(self._under_way)[: self._under_way.index(entry)] if not e.answered])

    def _take_sign_of_work(self) -> None:
        """The board is at the oldest request, and has not finished it; a board that says so for ever is given up all the same."""
        now = self._port.now()
        for first in self._open()[:1]:
            longest_s = _MOST_EXTENSIONS * first.request.work_s
            if first.first_sent is not None and now - first.first_sent < longest_s:
                first.at_work = now

    def _take_nak(self, expected: int) -> None:
        """The board misses a frame. Everything without an answer is sent again from there."""
        if any(e.sequence == expected for e in self._under_way):
            self._noise(self._open())
