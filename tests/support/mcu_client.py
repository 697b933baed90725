"""The plainest host there can be: one request, one answer, nothing repeated. So a test sees every byte that a firmware says."""

from __future__ import annotations

import hashlib
import socket
import struct
import time

from harness.links.serial.framing import FrameParser, SerialFrame, encode_frame
from harness.links.serial.messages import (
    ANSWER,
    Hello,
    LoadedModel,
    RunAnswer,
    Stats,
    Target,
    Type,
    parse_hello,
    parse_loaded,
    parse_run,
    parse_stats,
)


class Refused(Exception):
    """The board answered with an error."""

    def __init__(self, frame: SerialFrame) -> None:
        self.code, self.detail = struct.unpack_from("<HH", frame.payload)
        self.text = frame.payload[4:].decode()
        super().__init__(f"{self.code} {self.detail} {self.text}")


class McuClient:
    """A host on a connected socket, session open after `hello`. `heard` are the frames that nobody asked for."""

    def __init__(self, line: socket.socket, timeout_s: float = 30.0) -> None:
        self.line = line
        self.line.settimeout(timeout_s)
        self.session = 0
        self.sequence = 0
        self.heard: list[SerialFrame] = []
        self._parser = FrameParser()
        self._frames: list[SerialFrame] = []

    @classmethod
    def connect(cls, host: str, port: int) -> McuClient:
        return cls(socket.create_connection((host, port), 10))

    def __enter__(self) -> McuClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def send(self, kind: int, payload: bytes = b"", *, sequence: int | None = None) -> None:
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        self.line.sendall(encode_frame(SerialFrame(kind, self.session, sequence, payload)))

    def receive(self) -> SerialFrame:
        """The next frame, whatever it is."""
        while not self._frames:
            data = self.line.recv(65536)
            if not data:
                raise EOFError("the line is closed")
            self._frames += [frame for frame in self._parser.feed(data) if frame is not None]
        return self._frames.pop(0)

    def wait_for(self, kind: int) -> SerialFrame:
        """The next frame of this type; those before it are in `heard`."""
        while (frame := self.receive()).type != kind:
            self.heard.append(frame)
        return frame

    def request(self, kind: int, payload: bytes = b"") -> bytes:
        """The answer's payload.

        Raises:
            Refused: the board answered with an error.
        """
        self.send(kind, payload)
        while True:
            frame = self.receive()
            if frame.type == Type.ERROR and frame.sequence == self.sequence and frame.session == self.session:
                raise Refused(frame)
            if frame.type == kind + ANSWER and frame.sequence == self.sequence:
                return frame.payload
            self.heard.append(frame)

    def hello(self) -> Hello:
        self.session = int(time.monotonic_ns() % 0xFFFF) + 1
        self.sequence = 0
        self.line.sendall(encode_frame(SerialFrame(Type.HELLO, 0, 0, struct.pack("<HH", 1, self.session))))
        self.facts = parse_hello(self.wait_for(Type.HELLO + ANSWER).payload)
        return self.facts

    def begin(self, target: Target, data: bytes) -> bool:
        """True: the board has exactly this already."""
        payload = struct.pack("<B3xI", target, len(data)) + hashlib.sha256(data).digest()
        return self.request(Type.BEGIN, payload) == b"\1"

    def write(self, target: Target, offset: int, data: bytes) -> int:
        return struct.unpack("<I", self.request(Type.WRITE, struct.pack("<B3xI", target, offset) + data))[0]

    def commit(self, target: Target) -> bytes:
        return self.request(Type.COMMIT, struct.pack("<B3x", target))

    def upload(self, target: Target, data: bytes) -> bytes:
        """COMMIT's answer."""
        if not self.begin(target, data):
            step = self.facts.max_payload - 8
            for offset in range(0, len(data), step):
                self.write(target, offset, data[offset : offset + step])
        return self.commit(target)

    def load(self, model: bytes) -> LoadedModel:
        return parse_loaded(self.upload(Target.MODEL, model))

    def run(self, first: int = 0, count: int = 1, flags: int = 0, deadline_ms: int = 0) -> RunAnswer:
        return parse_run(self.request(Type.RUN, struct.pack("<IIII", first, count, flags, deadline_ms)))

    def read(self, target: Target, offset: int, count: int) -> bytes:
        return self.request(Type.READ, struct.pack("<B3xII", target, offset, count))

    def stats(self) -> Stats:
        return parse_stats(self.request(Type.STATS))
