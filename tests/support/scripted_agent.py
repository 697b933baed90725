"""An agent that answers whatever a test wants, over a link in memory: for answers that no real agent gives."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.links.base import ChannelClosed
from harness.links.framing import encode

Header = dict[str, Any]
Said = Header | tuple[Header, bytes] | bytes
Script = Callable[[Header], Iterable[Said]]
"""Gives for each request what is sent: headers, headers with a payload, or raw bytes that may be no frame."""

OUTPUTS = [{"dtype": "<f4", "shape": [10]}]
TENSOR = {"name": "x", "dtype": "float32", "shape": [1, 10], "scale": 0.0, "zero_point": 0}
#: what went on around a timing
SURROUNDINGS: Header = {
    "before": {"cpu": 0, "governor": "performance", "frequency_hz": 1_800_000_000, "temperature_c": 48.0},
    "during": [{"cpu": 0, "frequency_hz": 1_800_000_000, "throttle_events": 2}],
    "after": {"cpu": 0, "frequency_hz": 1_800_000_000, "cooling_state": 0, "under_voltage": False},
    "simulated": False,
    "wall_ns": 333_000_000,
    "own_cpu_ns": 330_000_000,
    "busy_cpu_ns": 340_000_000,
    "steal_ns": 0,
    "waited_ns": 100_000,
    "yielded": 2,
    "preempted": 3,
    "cpus": 4,
}
#: good answers by their verb; `{count}` rows come before that to evaluate
GOOD: dict[str, Header] = {
    "hello": {
        "facts": {"runtime": "tflite-runtime 2.14.0", "python": "3.11.2", "cpu_count": 4, "agent_sha256": "ab" * 32},
        "vendor_benchmark": None,
    },
    "have": {"have": True},
    "library": {"library": {"sha256": "cd" * 32, "file": "libvx_delegate.so.1"}},
    "open": {"worker": 1, "started": "fresh", "started_why": None},
    "load": {"load_ns": 1_000_000, "inputs": [TENSOR], "outputs": [TENSOR], "started": "fresh", "started_why": None},
    "first_invoke": {"first_invoke_ns": 90_000},
    "evaluate": {"elapsed_ns": 5_000_000, "count": 1},
    "bench": {"warmup": 30, "samples": 300, "stable": True, "surroundings": SURROUNDINGS},
    "sensors": {"reading": {"temperature_c": 47.0}, "simulated": False},
    "placement": {
        "nodes": [{"node": 0, "op": "CONV_2D", "on": "cpu", "partition": None, "inputs": [0, 1], "outputs": [2]}],
        "external_partitions": 0,
    },
    "stats": {
        "memory_peak_bytes": 1 << 20,
        "memory_baseline_bytes": 50 << 20,
        "governor": "performance",
        "frequency_hz": 1_800_000_000,
        "temperature_c": 48.5,
    },
    "close": {},
    "vendor_benchmark": {"code": 0},
}


def good_answer(request: Header) -> Iterator[Said]:
    """What an agent says to a request, in full."""
    verb = request["verb"]
    answer: Header = {"type": "ok", **GOOD.get(verb, {})}
    if verb == "evaluate":
        count = answer["count"] = request["count"]
        yield {"type": "outputs", "outputs": OUTPUTS}
        yield {"type": "rows", "output": 0}, np.eye(10, dtype="<f4")[np.arange(count) % 10].tobytes()
        yield {"type": "rows", "output": -1}, np.full(count, 1_000, "<i8").tobytes()
    if verb == "bench":
        yield {"type": "rows", "output": -2}, np.full(answer["warmup"], 1_100, "<i8").tobytes()
        yield {"type": "rows", "output": -1}, np.full(answer["samples"], 1_000, "<i8").tobytes()
    yield answer


@dataclass
class ScriptedChannel:
    """The streams of the agent. `first` is the line after the nonce."""

    script: Script
    first: bytes
    to_host: bytearray = field(default_factory=bytearray)
    rest: Iterator[Said] = field(default_factory=lambda: iter(()))
    from_host: bytearray = field(default_factory=bytearray)
    booted: bool = False
    closed: bool = False

    def send(self, pieces, deadline_s: float) -> None:
        for piece in pieces:
            self.from_host += piece
        if not self.booted:
            line, _, after = bytes(self.from_host).partition(b"\n")
            self.from_host = bytearray(after)
            self.to_host += json.loads(line)["nonce"].encode() + b"\n" + self.first + b"\n"
            self.booted = True
        self._answer()

    def _answer(self) -> None:
        while len(self.from_host) >= 8:
            head, payload = struct.unpack_from(">II", self.from_host)
            if len(self.from_host) < 8 + head + payload:
                return
            request = json.loads(bytes(self.from_host[8 : 8 + head]))
            del self.from_host[: 8 + head + payload]
            self.rest = iter(self.script(request))

    def recv_some(self, limit: int, deadline_s: float) -> bytes:
        while not self.to_host:  # as it is asked for: a script may be endless
            said = next(self.rest, None)
            if self.closed or said is None:
                raise ChannelClosed("the script is over")
            if isinstance(said, bytes):
                self.to_host += said
            else:
                header, payload = said if isinstance(said, tuple) else (said, b"")
                self.to_host += b"".join(bytes(piece) for piece in encode_anyhow(header, payload))
        piece = bytes(self.to_host[:limit])
        del self.to_host[:limit]
        return piece

    def exit_code(self, deadline_s: float) -> int | None:
        return None

    def stderr_tail(self) -> str:
        return ""

    def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.closed = True


def encode_anyhow(header: Header, payload: bytes) -> list[bytes]:
    """A frame whose header may hold what JSON has no word for: NaN goes out as Python writes it."""
    try:
        return [bytes(piece) for piece in encode(header, payload)]
    except ValueError:
        text = json.dumps(header).encode()
        return [struct.pack(">II", len(text), len(payload)), text, payload]


@dataclass
class ScriptedLink:
    """A link to such an agent; each start is a new one."""

    script: Script
    first: bytes = b'{"have": true}'
    description: str = "a script"
    starts: int = 0

    def open(self) -> None: ...

    def start(self, argv) -> ScriptedChannel:
        self.starts += 1
        return ScriptedChannel(self.script, self.first)

    def close(self) -> None: ...


def scripted_board(script: Script = good_answer, *, first: bytes = b'{"have": true}', **options: float) -> LinuxBoard:
    """A board behind it, not connected yet."""
    return LinuxBoard(
        name="scripted",
        link=ScriptedLink(script, first),
        runtime_module="tflite_runtime",
        options=AgentOptions(**options),  # type: ignore[arg-type]
    )


def instead(verb: str, *said: Said) -> Script:
    """Answers one verb with what is given, and every other well."""
    return lambda request: said if request["verb"] == verb else good_answer(request)


def changed(verb: str, **fields: Any) -> Script:
    """Answers one verb well but for these fields; `...` leaves a field out."""

    def script(request: Header) -> Iterator[Said]:
        for said in good_answer(request):
            if isinstance(said, dict) and request["verb"] == verb and said["type"] == "ok":
                said = {name: value for name, value in {**said, **fields}.items() if value is not ...}
            yield said

    return script
