"""Worker processes of a build: starting them, giving them jobs, and telling how one ended."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import harness
from harness.core.errors import HarnessError
from harness.core.pipes import piped
from harness.core.reasons import plain_reason, telling_line
from harness.variants.build.worker import ENVIRONMENT
from harness.workloads.keras.env import worker_environment

#: signals that a process sends itself by crashing; every other one came from outside
CRASH_SIGNALS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"})
_LOG_TAIL_BYTES = 4000
_END_GRACE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class WorkerEnd:
    """How a worker process ended by itself.

    Attributes:
        signal: the signal's name, or None when it left with `exit_code`.
        log_tail: the last lines of its stderr.
    """

    exit_code: int
    signal: str | None
    log_tail: str

    @property
    def crashed(self) -> bool:
        """It ended by its own doing: a crash signal, or leaving in the middle of a job."""
        return self.signal is None or self.signal in CRASH_SIGNALS

    @property
    def text(self) -> str:
        """Such as `SIGABRT: Check failed: ...`; the signal alone where the log holds nothing but noise."""
        how = self.signal or f"exit code {self.exit_code}"
        last = telling_line(self.log_tail, ("heck failed", "rror"))
        return f"{how}: {plain_reason(last, limit=200)}" if last else how


class BuildWorker:
    """One worker process with Keras 2 or 3. Its answers arrive through `WorkerPool.wait`."""

    def __init__(self, command: Sequence[str], keras: int = 2) -> None:
        self.keras = keras
        #: when it was started, monotonic seconds
        self.started = time.monotonic()
        # The package's own folder goes first, so that the worker runs this harness from whatever folder.
        package = str(Path(harness.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="harness-worker-")  # noqa: SIM115 - lives with the worker
        self.process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**worker_environment(keras), **ENVIRONMENT, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._jobs, self.answers = piped(self.process.stdin), piped(self.process.stdout)
        os.set_blocking(self.answers.fileno(), False)
        self._partial = b""
        self.ready = False
        #: what it works on; None while idle
        self.task: Any = None

    def send(self, job: dict[str, Any]) -> None:
        """Gives the worker a job. A worker that is gone is noticed by its end of file."""
        with contextlib.suppress(BrokenPipeError):
            self._jobs.write(json.dumps(job).encode() + b"\n")
            self._jobs.flush()

    def read(self) -> list[dict[str, Any]] | None:
        """The messages that have arrived; None at the end of file."""
        try:
            data = os.read(self.answers.fileno(), 1 << 20)
        except BlockingIOError:
            return []
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> WorkerEnd:
        """Waits for a worker whose answers ended, and tells how it ended."""
        try:
            code = self.process.wait(_END_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        tail = self._log.read().decode(errors="replace")
        self.close()
        name = signal.Signals(-code).name if code < 0 else None
        return WorkerEnd(exit_code=code, signal=name, log_tail=tail)

    def close(self) -> None:
        """Ends the process at once, with whatever it started, and lets go of its pipes."""
        if self.process.poll() is None:
            # It leads a process group of its own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self._jobs, self.answers, self._log):
            with contextlib.suppress(OSError):
                stream.close()


@dataclass(frozen=True, kw_only=True)
class Event:
    """A message of a worker, or (`end` set, the message empty) that it is gone."""

    worker: BuildWorker
    message: dict[str, Any] = field(default_factory=dict)
    end: WorkerEnd | None = None


class WorkerPool:
    """Up to `size` workers, started when they are needed. A context manager: leaving it ends every worker at once."""

    def __init__(self, size: int, command: Sequence[str] | None = None) -> None:
        self.size = size
        self._command = command or (sys.executable, "-P", "-m", "harness.variants.build.worker")
        self._selector = selectors.DefaultSelector()
        self.workers: list[BuildWorker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self._selector.close()

    def stop(self) -> None:
        """Ends every worker at once, whatever it is doing."""
        for worker in list(self.workers):
            self.discard(worker)

    def discard(self, worker: BuildWorker) -> None:
        """Ends one worker at once, whatever it is doing."""
        self._forget(worker)
        worker.close()

    def start(self, keras: int = 2) -> None:
        """Starts a worker with Keras 2 or 3 where there is room, or in the place of an idle one with the other Keras."""
        if len(self.workers) >= self.size:
            other = next((worker for worker in self.workers if worker.task is None and worker.keras != keras), None)
            if other is None:
                return
            self.discard(other)
        try:
            worker = BuildWorker(self._command, keras)
        except OSError as error:
            raise HarnessError(
                f"a build worker cannot be started ({error.strerror})",
                where=self._command[0],
                hint="free memory or temporary space, or build with fewer --jobs",
            ) from error
        self.workers.append(worker)
        self._selector.register(worker.answers, selectors.EVENT_READ, worker)

    def idle(self, keras: int = 2) -> list[BuildWorker]:
        """Workers with this Keras that can take a job; those which have TensorFlow loaded come first."""
        free = (worker for worker in self.workers if worker.task is None and worker.keras == keras)
        return sorted(free, key=lambda worker: not worker.ready)

    def take(self, keras: int = 2) -> BuildWorker:
        """An idle worker with this Keras, started where there is none; there must be room for one."""
        if not self.idle(keras):
            self.start(keras)
        return self.idle(keras)[0]

    def wait(self, timeout_s: float) -> list[Event]:
        """The events that have arrived, after waiting for the first one up to `timeout_s`."""
        events: list[Event] = []
        deadline = time.monotonic() + timeout_s
        while not events:
            for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
                events += self._drain(key.data)
            if time.monotonic() >= deadline:
                break
        return events

    def _drain(self, worker: BuildWorker) -> list[Event]:
        messages = worker.read()
        if messages is not None:
            return [Event(worker=worker, message=message) for message in messages]
        self._forget(worker)
        return [Event(worker=worker, end=worker.end())]

    def _forget(self, worker: BuildWorker) -> None:
        if worker.answers in self._selector.get_map():
            self._selector.unregister(worker.answers)
        self.workers.remove(worker)
