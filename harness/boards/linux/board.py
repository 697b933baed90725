"""A Linux board: the agent over a link, as the `Board` and `Worker` of `harness.boards.base`.

Not for use by two threads at once: host and agent take turns. Any error of the link ends the session; `connect` starts
a new one, with the board's cache as it was.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness import __version__
from harness.boards.base import BackendSpec, Board, Deadlines, ProgramRun, Progress, WorkerFailure
from harness.boards.linux import answers
from harness.boards.linux.worker import GRACE_S, LinuxWorker
from harness.boards.surroundings import Reading
from harness.core.errors import DeviceError, StableDeviceError, TransientDeviceError, UserInputError
from harness.core.fingerprint import Fingerprint
from harness.links.base import CHUNK_BYTES, ChannelTimeout, Link
from harness.links.bootstrap import refusal, start_agent
from harness.links.framing import Frame, FrameStream

#: types of frames that may come before an answer
_BEFORE_THE_ANSWER = ("alive", "progress", "rows", "outputs")
RUNTIME_MODULES = ("ai_edge_litert", "tflite_runtime")
#: a slow board hashes and stores at least this many bytes a second
_SLOWEST_BYTES_PER_S = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """How the agent is kept and watched.

    Attributes:
        directory: its folder on the board; None lets the board choose ($HARNESS_AGENT_DIR, else the login's cache).
        cache_limit_bytes: what model and sample files may take there; those unused for longest go first.
        operation_timeout_s: seconds for a short request, and for every step of the start.
        silence_timeout_s: the board sends signs of life; this long without one means that the link is dead.
        graph_cache_limit_bytes: what a delegate's compiled graphs may take there during a cell.
        vendor_benchmark: TensorFlow Lite's own benchmark on the board; None: where vendors keep it; `none`: not used.
        fork_server: workers are forked from a process that has imported the runtime; False: each imports it itself.
        sysfs: the root of the sensors' files on the board; None: its own.
        simulated_sensors: the files that there would be, by their paths below that root; None: there is such a root.
    """

    directory: str | None = None
    cache_limit_bytes: int = 1 << 30
    operation_timeout_s: float = 30.0
    silence_timeout_s: float = 20.0
    graph_cache_limit_bytes: int = 256 << 20
    vendor_benchmark: str | None = None
    fork_server: bool = True
    sysfs: str | None = None
    simulated_sensors: Mapping[str, str] | None = None


class LinuxBoard(Board):
    """A board that runs models in the agent's workers."""

    fresh_starts = True

    def __init__(
        self,
        *,
        name: str,
        link: Link,
        runtime_module: str,
        python: str = "python3",
        options: AgentOptions | None = None,
    ) -> None:
        if runtime_module not in RUNTIME_MODULES:
            raise UserInputError(
                f"unknown runtime module {runtime_module!r}", hint=f"known: {', '.join(RUNTIME_MODULES)}"
            )
        self.name = name
        self._link = link
        self._module = runtime_module
        self._python = python
        self._options = options or AgentOptions()
        self._frames: FrameStream | None = None
        self._present: set[str] = set()
        self._libraries: dict[str, str] = {}
        self.vendor_benchmark = None

    def connect(self) -> Fingerprint:
        """Opens the link, starts the agent, and asks what the board is. After a lost connection, call it again.

        Raises:
            StableDeviceError: key refused or changed, no Python, runtime or numpy missing, no space for the agent.
            TransientDeviceError: unreachable, or nothing heard in time.
        """
        self.close()
        options = self._options
        try:
            self._link.open()
            self._frames = start_agent(
                self._link,
                self._python,
                agent_dir=options.directory,
                deadline_s=options.operation_timeout_s,
                where=self.name,
            )
            request = {
                "verb": "hello",
                "module": self._module,
                "cache_limit_bytes": options.cache_limit_bytes,
                "heartbeat_s": options.silence_timeout_s / 4,
                "graph_cache_limit_bytes": options.graph_cache_limit_bytes,
                "fork_server": options.fork_server,
                "sensors": _sensors(options),
            }
            hello, _ = self.ask(answers.Hello, request)
            wanted = options.vendor_benchmark
            self.vendor_benchmark = None if wanted == "none" else wanted or hello.vendor_benchmark
            return Fingerprint(**hello.facts.model_dump(), harness_version=__version__)
        except BaseException:
            self.close()
            raise

    def ensure_file(self, source: Path, sha256: str, *, progress: Progress | None = None) -> bool:
        """Makes a file of this hash present on the board; returns False when it was there already.

        Raises:
            UserInputError: the file cannot be read, or changed since it was hashed.
            StableDeviceError: no space left on the board.
            TransientDeviceError: the connection was lost; nothing half-written stays.
        """
        if sha256 in self._present:
            return False
        try:
            size = source.stat().st_size
        except OSError as error:
            raise UserInputError(f"cannot be read: {error.strerror}", where=str(source)) from error
        deadline_s = self._options.operation_timeout_s + size / _SLOWEST_BYTES_PER_S
        if not self.ask(answers.Have, {"verb": "have", "sha256": sha256}, deadline_s=deadline_s)[0].have:
            self.request({"verb": "put", "sha256": sha256, "size": size})
            self._send_file(source, size, progress)
            self.request(None, deadline_s=deadline_s)
            self._present.add(sha256)
            return True
        self._present.add(sha256)
        return False

    def open_worker(self, backend: BackendSpec, deadlines: Deadlines) -> LinuxWorker:
        """Starts the process of one cell.

        Raises:
            WorkerFailure: it crashed or hung while it imported the runtime.
            StableDeviceError: the runtime does not import, or the board lacks a CPU that the backend names.
        """
        request = {"verb": "open", "backend": backend.on_board(), "deadline_s": deadlines.load_s}
        opened, _ = self.ask(answers.Opened, request, deadline_s=deadlines.load_s + GRACE_S)
        return LinuxWorker(board=self, opened=opened, backend=backend, deadlines=deadlines)

    def run_vendor_benchmark(
        self, model_sha256: str, backend: BackendSpec, arguments: Sequence[str], deadline_s: float
    ) -> ProgramRun:
        """Runs the vendor's benchmark program on a model that is on the board, with a backend's CPUs and environment.

        Raises:
            DeviceError: the link is gone.
        """
        request = {
            "verb": "vendor_benchmark",
            "program": self.vendor_benchmark,
            "model": model_sha256,
            "backend": backend.on_board(),
            "arguments": list(arguments),
            "deadline_s": deadline_s,
        }
        ended, printed = self.ask(answers.Benchmark, request, deadline_s=deadline_s + GRACE_S)
        return ProgramRun(code=ended.code, output=answers.log_text(printed))

    def delegate_text(self, path: str) -> str:
        """A delegate's identity: path, start of the file's SHA-256, and the file's own name where the path is a link.

        The path alone when the board cannot read it; loading it says why. The file is hashed once per connection.

        Raises:
            DeviceError: the link is gone.
        """
        if path not in self._libraries:
            deadline_s = self._options.operation_timeout_s * 4
            answer, _ = self.ask(answers.Library, {"verb": "library", "path": path}, deadline_s=deadline_s)
            self._libraries[path] = path
            if library := answer.library:
                own_name = "" if library.file == PurePosixPath(path).name else f", file {library.file}"
                self._libraries[path] = f"{path} (sha256 {library.sha256[:12]}{own_name})"
        return self._libraries[path]

    def sense(self) -> Reading:
        """What the board's sensors say now.

        Raises:
            DeviceError: the link is gone.
        """
        return self.ask(answers.Sensed, {"verb": "sensors"})[0].reading.reading()

    def close(self) -> None:
        """Ends the session. The agent ends with its stdin, and kills its workers."""
        frames, self._frames = self._frames, None
        self._present.clear()
        self._libraries.clear()
        if frames is not None:
            frames.channel.close()
        self._link.close()

    def interrupt(self) -> None:
        """Ends, from another thread, what the board is asked for now; that request raises TransientDeviceError."""
        frames = self._frames
        if frames is not None:
            frames.channel.interrupt()
        else:
            self._link.close()  # it is connecting

    def ask(
        self,
        kind: type[answers.Known],
        request: dict[str, Any],
        *,
        deadline_s: float | None = None,
        on_frame: Callable[[Frame], None] | None = None,
    ) -> tuple[answers.Known, bytes | bytearray]:
        """Sends a request; returns its answer, checked, and what came with it.

        Args:
            kind: what the answer must be.
            request, deadline_s, on_frame: as in `request`.

        Raises:
            WorkerFailure, DeviceError: as `request` does; of a malformed answer too.
        """
        frame = self.request(request, deadline_s=deadline_s, on_frame=on_frame)
        with self.whole_answers():
            return answers.read(kind, frame.header, request["verb"]), frame.payload

    def request(
        self,
        request: dict[str, Any] | None,
        *,
        deadline_s: float | None = None,
        on_frame: Callable[[Frame], None] | None = None,
    ) -> Frame:
        """Sends a request and returns its answer; None waits for another answer to the last one.

        Args:
            request: the header.
            deadline_s: seconds for all of it; silence ends it sooner.
            on_frame: given each frame that comes before the answer, but signs of life. May raise MalformedAnswer.

        Raises:
            WorkerFailure: the worker ended badly.
            DeviceError: the board said no, or makes no sense, or the link is gone; the session is closed then.
        """
        frames, verb = self._session(), str(request["verb"]) if request else "put"
        silence_s = self._options.silence_timeout_s
        limit_s = self._options.operation_timeout_s if deadline_s is None else deadline_s
        ends = time.monotonic() + limit_s
        with self.whole_answers():
            try:
                if request is not None:
                    frames.send(request, deadline_s=min(silence_s, self._options.operation_timeout_s))
                while True:
                    left_s = ends - time.monotonic()
                    frame = frames.receive(max(min(silence_s, left_s), 0.0))
                    kind = frame.header.get("type")
                    if kind not in _BEFORE_THE_ANSWER:
                        break
                    if left_s < 0:  # a board that talks without an end is not waited for longer than a silent one
                        raise ChannelTimeout(f"no end of {verb} within {limit_s:.3g} s, though the board speaks")
                    if on_frame and kind != "alive":
                        on_frame(frame)
            except answers.MalformedAnswer:
                raise
            except DeviceError as error:
                raise self._lost(frames, error) from error
            except BaseException:
                self.close()  # interrupted between request and answer: the next answer would be that of the last request
                raise
            if kind == "ok":
                return frame
            if kind == "failure":
                raise self._failure(frame, verb)
            refused = answers.read(answers.Refusal, frame.header, verb)
        raise refusal(refused.code, refused.message, self.name)

    @contextlib.contextmanager
    def whole_answers(self) -> Iterator[None]:
        """Ends the session when an answer makes no sense: the one after it could not be believed either."""
        try:
            yield
        except answers.MalformedAnswer as error:
            self.close()
            error.where = self.name
            raise

    def _session(self) -> FrameStream:
        if self._frames is None:
            raise TransientDeviceError("not connected", where=self.name, hint="the connection was lost or closed")
        return self._frames

    def _send_file(self, source: Path, size: int, progress: Progress | None) -> None:
        frames, sent = self._session(), 0
        try:
            with open(source, "rb") as file:
                while sent < size:
                    piece = file.read(min(CHUNK_BYTES, size - sent))
                    if not piece:
                        raise UserInputError("the file became shorter while it was sent", where=str(source))
                    frames.send({"verb": "data"}, piece, deadline_s=self._options.operation_timeout_s)
                    sent += len(piece)
                    if progress:
                        progress(sent, size)
        except DeviceError as error:
            raise self._lost(frames, error) from error
        except OSError as error:
            self.close()
            raise UserInputError(f"cannot be read: {error.strerror}", where=str(source)) from error
        except BaseException:
            self.close()
            raise

    def _lost(self, frames: FrameStream, error: DeviceError) -> DeviceError:
        """Closes the session and returns the error to raise, with the agent's last words when it has any."""
        words = [line for line in frames.channel.stderr_tail().splitlines() if line.strip()]
        self.close()
        what = f"connection lost: {error.what}" + (f"; the agent's last words: {words[-1][:300]}" if words else "")
        kind = StableDeviceError if isinstance(error, StableDeviceError) else TransientDeviceError
        return kind(what, where=self.name, hint=error.hint or "check the board and its link, then try again")

    def _failure(self, frame: Frame, verb: str) -> WorkerFailure:
        said = answers.read(answers.Failure, frame.header, verb)
        return WorkerFailure(
            said.message,
            kind=said.kind,
            phase=said.phase,
            signal=said.signal,
            board_log=answers.log_text(frame.payload),
            where=self.name,
        )


def _sensors(options: AgentOptions) -> dict[str, Any] | None:
    """Where the agent is to look for sensors; None: where a board has them."""
    if options.simulated_sensors is not None:
        return {"simulated": dict(options.simulated_sensors)}
    return None if options.sysfs is None else {"sysfs": options.sysfs}
