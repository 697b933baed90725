"""A lab in a folder: two models, their samples, overrides of device profiles, and the nights that are run in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.nights import models

#: what every night runs on; the last two are emulated, and one of them has an NPU
DEVICES = ("host-litert", "host-tflite", "imx8mp@qemu", "cortex-m4@qemu")
BACKENDS = ("cpu", "npu")
SAMPLES = 100
SERIES = "demonstration"
_NIGHT_S = 300


@dataclass(frozen=True, kw_only=True)
class Done:
    """A night as it ended: its exit code, its verdicts (verdict.json), how long it took, and what it printed."""

    code: int
    verdict: dict[str, Any]
    seconds: float
    text: str

    @property
    def open(self) -> list[dict[str, Any]]:
        """The open regressions."""
        return [v for v in self.verdict.get("verdicts", ()) if v["open"]]

    @property
    def suspects(self) -> list[dict[str, Any]]:
        """Times that the night suspected: left open, confirmed or refuted."""
        asked = [v for v in self.verdict.get("verdicts", ()) if v["quantity"] == "latency"]
        return [v for v in asked if v["status"] == "suspect" or v["numbers"].get("confirmed_new_ns")]


@dataclass(kw_only=True)
class Lab:
    """The folder. `night` runs a night in it by the command line, in a process of its own."""

    folder: Path
    overrides: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("models", "devices"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        models.write_samples(self.folder / "samples.npz", 500)
        self.put("conv", models.conv())
        self.put("dense", models.dense())

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def put(self, name: str, data: bytes) -> None:
        """Replaces a model under its name."""
        (self.folder / "models" / f"{name}.tflite").write_bytes(data)

    def profile(self, **overrides: Any) -> None:
        """Lays overrides over device profiles, by device; none: the profiles as they come."""
        path = self.folder / "devices" / "local.yaml"
        path.unlink(missing_ok=True)
        if overrides:
            path.write_text(json.dumps({name.replace("_", "-"): value for name, value in overrides.items()}))

    def slow_clock(self) -> Path:
        """The library that makes a board run slower, compiled."""
        library = self.folder / "slow_clock.so"
        source = Path(__file__).with_name("slow_clock.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", str(source), "-o", str(library), "-ldl"], check=True)
        return library

    def harness(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the product."""
        return subprocess.run(
            self._command(*words), capture_output=True, text=True, env=self._environment(), timeout=_NIGHT_S
        )

    def night(self, *, devices: Sequence[str] = DEVICES, killed: bool = False, words: Sequence[str] = ()) -> Done:
        """A night.

        Args:
            killed: every emulated Linux board is killed as soon as it runs.
            words: more for the command line.
        """
        begun_s = time.monotonic()
        process = self._start(*self._night(devices), *words)
        with _killer(process.pid) if killed else _nothing():
            text, _ = process.communicate(timeout=_NIGHT_S)
        return self._done(process.returncode, text, begun_s)

    def interrupted_night(self, *, devices: Sequence[str] = DEVICES, after: int = 3) -> tuple[int, Done]:
        """A night that Ctrl-C ends when some cells are done, and its end by `harness run --resume`.

        Returns:
            The exit code of the first part, and the night.
        """
        begun_s = time.monotonic()
        process = self._start(*self._night(devices))
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if f"[{after}/" in line:
                process.send_signal(signal.SIGINT)
                break
        rest, _ = process.communicate(timeout=_NIGHT_S)
        resumed = self._start("run", "--resume", "--results", str(self.results))
        text, _ = resumed.communicate(timeout=_NIGHT_S)
        return process.returncode, self._done(resumed.returncode, "".join(lines) + rest + text, begun_s)

    def _night(self, devices: Sequence[str]) -> list[str]:
        words = ["nightly", "--series", SERIES, "--results", str(self.results), "--samples", str(SAMPLES)]
        words += ["--devices-dir", str(self.folder / "devices"), "--data", str(self.folder / "samples.npz")]
        words += ["--budget", "20s", "--confirm-budget", "40s"]
        for name in ("conv", "dense"):
            words += ["--workload", str(self.folder / "models" / f"{name}.tflite")]
        words += [word for device in devices for word in ("--device", device)]
        backends = BACKENDS if "imx8mp@qemu" in devices else BACKENDS[:1]
        return words + [word for backend in backends for word in ("--backend", backend)]

    def _start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment(),
            # What a background job starts ignores Ctrl-C, unless it is told otherwise.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def _done(self, code: int, text: str, begun_s: float) -> Done:
        path = self.results / "latest" / "verdict.json"
        verdict = json.loads(path.read_text()) if path.is_file() else {}
        return Done(code=code, verdict=verdict, seconds=time.monotonic() - begun_s, text=text)

    @staticmethod
    def _command(*words: str) -> list[str]:
        return [sys.executable, "-m", "harness.cli.main", *words]

    @staticmethod
    def _environment() -> dict[str, str]:
        root = str(Path(__file__).resolve().parent.parent.parent)
        return {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": "1"}

    def remove(self) -> None:
        """Takes the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def busy_machine(loops: int = 2) -> Iterator[None]:
    """Processes that keep the machine's cores busy, for as long as the block lasts."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _killer(root: int) -> Iterator[None]:
    """Kills each QEMU below a process soon after it has appeared."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(1.5):
            for pid in _below(root):
                if "qemu-system-aarch64" in _name(pid):
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _below(root: int) -> list[int]:
    """The process ids of all descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
