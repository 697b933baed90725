"""A board with MLPerf Tiny's firmware, simulated on a real pty: the protocol's commands and words, a real int8 model behind them.

The model runs on the firmware's own plan runtime, compiled for this machine (tests/support/plan_runtime.py). The board's timer is
simulated: an inference takes as long as it is told to, and printing a line of laps its time on the line. Written from the
published protocol; run by hand: `python -m tests.support.mlperf_simulator MODEL.tflite ic01`.
"""

from __future__ import annotations

import os
import pty
import select
import sys
import tempfile
import threading
import time
import tty
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from harness.tflite.plan import make_plan
from tests.support.plan_runtime import HostRuntime, build_runtime

#: characters of a command that the firmware keeps
_COMMAND_CHARS = 80
_BUFFER_BYTES = 96 * 96 * 3
_LAP_NS_AT_115200 = 1_822_917

Action = Literal["silent", "slow", "garble", "garble-ready", "error", "reboot", "invoke-failed", "misheard"]


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with commands that start with `on`: `times` of them, after the first `skip`."""

    on: str
    action: Action
    skip: int = 0
    times: int = 1
    delay_s: float = 0.6


@dataclass(kw_only=True)
class MlperfSimulator:
    """One board; use as a context manager. `port` is its serial port; `commands` is what it was asked.

    Attributes:
        infer_us: what an inference takes on the board's timer, microseconds.
        truncate: results are cut off after three decimals, as the kws firmware does; else rounded.
        trailing_comma: the list of results ends with one, as the vww firmware does.
        laps: False: built for measuring energy.
        overwrites: after the first inference since the input was set, the input's memory holds something else.
        start_us: the timer when the board starts.
    """

    tflite: Path
    library: Path
    model: str = "ic01"
    vendor: str = "simulated"
    infer_us: int = 2_000
    truncate: bool = False
    trailing_comma: bool = False
    laps: bool = True
    overwrites: bool = True
    start_us: int = 1_000_000
    faults: list[Fault] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = make_plan(self.tflite)
        self._runtime = HostRuntime(self.library)
        self._runtime.load(plan.data)
        self._input, self._output = plan.inputs[0], plan.outputs[0]
        self._size = int(np.prod(self._input.shape))
        self._buffer = bytearray()
        self._expected = 0
        self._clock_ns = self.start_us * 1000
        self._real = np.zeros(self._size, np.float32)
        self._tensor = np.zeros(self._size, np.int8)
        self._answer = np.zeros(int(np.prod(self._output.shape)), np.int8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> MlperfSimulator:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    # ------------------------------------------------------------------------------------------------ the line

    def _serve(self) -> None:
        pending = bytearray()
        self._boot()
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            pending += os.read(self._master, 4096)
            while b"%" in pending:
                command, _, rest = bytes(pending).partition(b"%")
                pending = bytearray(rest)
                self._handle(command[:_COMMAND_CHARS].decode("ascii", "replace"))

    def _handle(self, command: str) -> None:
        self.commands.append(command)
        fault = self._fault(command)
        if fault is None:
            return self._send(*self._reply(command), "m-ready")
        if fault.action == "silent":
            return None
        if fault.action == "reboot":
            self._send(*(["m-infer-start-1"] if command.startswith("infer") else []))
            self._buffer.clear()
            self._expected = 0
            return self._boot()
        if fault.action == "misheard":  # another number of inferences; a chunk without its last byte
            return self._send(
                *self._reply(command.replace("1 0", "1 4") if "infer" in command else command[:-2]), "m-ready"
            )
        if fault.action == "error":
            return self._send(f"e-[Unknown command: {command[:5]}#]", "m-ready")
        lines = [*self._reply(command), "m-ready"]
        if fault.action == "slow":
            time.sleep(fault.delay_s)
        if fault.action == "garble":
            lines = [line if line == "m-ready" else line[:4] + "\x00\xf3" + line[7:] for line in lines]
        if fault.action == "garble-ready":
            lines[-1] = "m-re\xe1dy"
        if fault.action == "invoke-failed":
            lines = ["m-warmup-start-0", "m-warmup-done", "m-infer-start-1", "Invoke failed", "m-infer-done", "m-ready"]
        return self._send(*lines)

    def _fault(self, command: str) -> Fault | None:
        for fault in self.faults:
            if command.startswith(fault.on):
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault
        return None

    def _boot(self) -> None:
        mode = "performance" if self.laps else "energy"
        self._send(f"m-timestamp-mode-{mode}", *self._lap(), "m-init-done", "m-ready")

    def _send(self, *lines: str) -> None:
        data = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        while data:
            data = data[os.write(self._master, data[:1024]) :]

    # ------------------------------------------------------------------------------------------------ the firmware

    def _reply(self, command: str) -> list[str]:
        words = command.split()
        if words[:1] == ["name"]:
            return [f"m-name-dut-[{self.vendor}]"]
        if words[:1] == ["profile"]:
            return ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", f"m-model-[{self.model}]"]
        if words[:2] == ["db", "load"]:
            return self._expect(int(words[2]))
        if words[:2] == ["db", "print"]:
            shown = [f"{byte:02x}" for byte in self._buffer[: self._expected]]
            return ["m-buffer-" + "-".join(shown[at : at + 8]) for at in range(0, len(shown), 8)]
        if words[:1] == ["db"]:
            return self._take(words[1])
        if words[:1] == ["infer"]:
            return self._infer(int(words[1]) if len(words) > 1 else 1, int(words[2]) if len(words) > 2 else 10)
        if words[:1] == ["results"]:
            return [self._results()]
        return [f"e-[Unknown command: {words[0] if words else ''}]"]

    def _expect(self, size: int) -> list[str]:
        self._buffer.clear()
        self._expected = size
        if size > _BUFFER_BYTES:
            return [f"Supplied buffer size {size} exceeds maximum of {_BUFFER_BYTES}"]
        return [f"m-[Expecting {size} bytes]"]

    def _take(self, digits: str) -> list[str]:
        if len(digits) % 2:
            return ["e-[Insufficent number of hex digits]"]
        try:
            self._buffer += bytes.fromhex(digits)
        except ValueError:
            return [f"e-[Invalid hex digit '{digits[:2]}']"]
        return ["m-load-done"] if len(self._buffer) >= self._expected else []

    def _infer(self, count: int, warmups: int) -> list[str]:
        wrong = self._set_input()
        lines = [wrong] if wrong else []
        lines.append(f"m-warmup-start-{warmups}")
        self._run(warmups)
        lines += ["m-warmup-done", f"m-infer-start-{count}", *self._lap()]
        self._run(count)
        return [*lines, *self._lap(), "m-infer-done", self._results()]

    def _set_input(self) -> str | None:
        """What the board copies from its buffer into the model's input before each `infer`; what is too much is left out."""
        width = 4 if self.model == "ad01" else 1
        data = bytes(self._buffer[: self._size * width])
        if len(data) != self._size * width:
            return f"Input db has {len(data) // width} elemented, expected {self._size}"
        if self.model in ("ic01", "vww01"):
            self._tensor = (np.frombuffer(data, np.uint8).astype(np.int16) - 128).astype(np.int8)
        elif self.model == "ad01":
            self._real = np.frombuffer(data, "<f4")
            steps = np.round(self._real / np.float32(self._input.scale)) + self._input.zero_point
            self._tensor = np.clip(steps, -128, 127).astype(np.int8)
        else:
            self._tensor = np.frombuffer(data, np.int8)
        return None

    def _run(self, count: int) -> None:
        # The result of the second inference is that of what the first one left behind, and so is every later one's.
        for _ in range(min(count, 2)):
            self._answer = self._runtime.run([self._tensor])[0]
            if self.overwrites:
                self._tensor = np.resize(self._answer, self._size).astype(np.int8)
        self._clock_ns += count * self.infer_us * 1000

    def _lap(self) -> list[str]:
        if not self.laps:
            return []
        line = f"m-lap-us-{self._clock_ns // 1000 % (1 << 32)}"
        self._clock_ns += _LAP_NS_AT_115200
        return [line]

    def _results(self) -> str:
        real = (self._answer.astype(np.float32) - self._output.zero_point) * np.float32(self._output.scale)
        if self.model == "ad01":
            real = np.array([np.mean((real - self._real) ** 2)])
        cut = [int(value * 1000) / 1000 if self.truncate else value for value in real]
        return "m-results-[" + ",".join(f"{value:.3f}" for value in cut) + ("," if self.trailing_comma else "") + "]"


_PROFILE = """\
# A simulated board with MLPerf Tiny's firmware; its port is gone when the simulator ends.
name: {name}
title: simulated board with {model}
kind: mcu
link: {{type: serial, port: {port}}}
runtime: {{module: mlperf-tiny, models: {{{held}: {model}}}}}
"""


def main() -> None:
    """Serves one board until interrupted; its port is the first line printed. With a third argument, such as
    `devices/simulated.yaml`, the port is in a profile of that name already.
    """
    tflite, model = Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        with MlperfSimulator(tflite=tflite, library=build_runtime(Path(folder)), model=model) as board:
            for name in sys.argv[3:]:
                path = Path(name)
                text = _PROFILE.format(name=path.stem, model=model, port=board.port, held=tflite.stem)
                path.write_text(text)
            print(board.port, flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()
