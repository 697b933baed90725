"""The local link: the board is this machine, the program a subprocess in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import platform
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from harness.core.errors import StableDeviceError
from harness.core.paths import STORE_VARIABLE
from harness.core.pipes import piped
from harness.links.base import Buffer, Channel, ChannelClosed, ChannelTimeout, Link, LocalLink, Tail, chunks
from harness.links.profile import LinkPlace, ProgramLinkProfile

#: how long a program may take to end by itself once its stdin is closed, before its group is killed
_END_S = 3.0


class LocalLinkProfile(ProgramLinkProfile):
    """The board is this machine: the agent runs as a subprocess."""

    type: Literal["local"]

    def make_link(self, place: LinkPlace) -> Link:
        """The link, not yet open."""
        return LocalLink().link()

    def other_machine(self, environ: Mapping[str, str] | None = None) -> str | None:
        """None: it is this one."""
        return None

    def processor(self) -> str | None:
        """This machine's."""
        return platform.machine()


class LocalProcessLink(Link):
    """Starts programs on this machine."""

    def __init__(self, settings: LocalLink) -> None:
        self._settings = settings
        self._channels: list[ProcessChannel] = []
        self.description = "this machine"

    def open(self) -> None:
        """Nothing to do: this machine is always there."""

    def start(self, argv: Sequence[str]) -> ProcessChannel:
        """Starts a program.

        Raises:
            StableDeviceError: it does not exist or may not be run.
        """
        hint = "check `runtime.python` of the device"
        channel = start_process(argv, where=self.description, hint=hint, env=self._settings.env)
        self._channels.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self._channels.clear()


def start_process(
    argv: Sequence[str], *, where: str, hint: str | None = None, env: Mapping[str, str] | None = None
) -> ProcessChannel:
    """Starts a program on this machine in a process group of its own. Links that are programs themselves (`adb shell`) are made
    with it, too.

    Args:
        argv: the program and its arguments; no shell sees them.
        where, hint: for the error.
        env: added to this process's environment.

    Raises:
        StableDeviceError: it does not exist or may not be run.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**_inherited(), **(env or {})},
            start_new_session=True,
        )
    except OSError as error:
        what = f"{argv[0]} cannot be started: {error.strerror or error}"
        raise StableDeviceError(what, where=where, hint=hint) from error
    return ProcessChannel(process)


def _inherited() -> dict[str, str]:
    """This process's environment, without what may hold a password."""
    return {name: value for name, value in os.environ.items() if name != STORE_VARIABLE}


class ProcessChannel(Channel):
    """The pipes of a subprocess."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._tail = Tail()
        self._closed = False
        self._stdin, self._stdout, self._stderr = piped(process.stdin), piped(process.stdout), piped(process.stderr)
        for stream in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(stream.fileno(), False)
        self._incoming = selectors.DefaultSelector()
        self._incoming.register(self._stdout, selectors.EVENT_READ)
        self._incoming.register(self._stderr, selectors.EVENT_READ)
        self._outgoing = selectors.DefaultSelector()
        self._outgoing.register(self._stdin, selectors.EVENT_WRITE)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, pieces: Iterable[Buffer], deadline_s: float) -> None:
        self._check_open()
        ends = time.monotonic() + deadline_s
        for piece in pieces:
            for view in chunks(piece):
                while view:
                    try:
                        view = view[os.write(self._stdin.fileno(), view) :]
                    except BlockingIOError:
                        if not self._outgoing.select(max(ends - time.monotonic(), 0)) and time.monotonic() >= ends:
                            raise ChannelTimeout(f"the board took no data for {deadline_s:.3g} s") from None
                    except OSError as error:
                        raise ChannelClosed("the program on the board has ended") from error

    def recv_some(self, limit: int, deadline_s: float) -> bytes:
        self._check_open()
        ends = time.monotonic() + deadline_s
        while True:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._stdout.fileno(), limit)
                if not data:
                    raise ChannelClosed("the program on the board has ended")
                return data
            ready = self._incoming.select(max(ends - time.monotonic(), 0))
            self._drain_stderr()
            if not ready and time.monotonic() >= ends:
                raise ChannelTimeout(f"no answer from the board for {deadline_s:.3g} s")

    def exit_code(self, deadline_s: float) -> int | None:
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else None

    def stderr_tail(self) -> str:
        self._drain_stderr()
        return self._tail.text()

    def close(self) -> None:
        if self._closed:
            return
        self._drain_stderr()
        self._closed = True
        self._incoming.close()
        self._outgoing.close()
        for stream in (self._stdin, self._stdout, self._stderr):
            stream.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            # The group is the program's own: it was started as a session leader.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def interrupt(self) -> None:
        # Not close(): another thread may be waiting on these descriptors, and closing them does not wake it. The end of
        # the program does. Its workers follow it (PR_SET_PDEATHSIG).
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _check_open(self) -> None:
        if self._closed:
            raise ChannelClosed("the channel is closed")

    def _drain_stderr(self) -> None:
        if self._closed:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._stderr.fileno(), 1 << 16):
                self._tail.add(data)
            # End of file would make every select return at once.
            with contextlib.suppress(KeyError):
                self._incoming.unregister(self._stderr)
