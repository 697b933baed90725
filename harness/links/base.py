"""How bytes reach a board: the seam between a transport and what speaks over it.

A link starts one program on the board and gives a channel to its standard streams. `local` does it with a subprocess,
`ssh` over an SSH connection; nothing above this file knows which. Every operation has a deadline.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.core.errors import TransientDeviceError, UserInputError

#: send and read in pieces of this size: one big piece scales worse than linearly over SSH
CHUNK_BYTES = 1 << 20
#: how much of what the remote program wrote on stderr is kept
STDERR_TAIL_BYTES = 64 << 10

_PROGRAM = re.compile(r"[A-Za-z0-9_./+@-]+")

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, kw_only=True)
class LocalLink:
    """The board is this machine. `env` is added to the environment of the program that is started."""

    env: Mapping[str, str] = field(default_factory=dict)

    def link(self) -> Link:
        """The link, not yet open."""
        from harness.links.local import LocalProcessLink

        return LocalProcessLink(self)


@dataclass(frozen=True, kw_only=True)
class Jump:
    """An SSH host on the way to the board; its key must be pinned like the board's own. Keys are those of the link."""

    host: str
    port: int = 22
    user: str | None = None


@dataclass(frozen=True, kw_only=True)
class SshLink:
    """How to reach a board over SSH.

    Attributes:
        user: None means this machine's login name.
        key_files: private keys to try; empty means the SSH agent and the usual files in ~/.ssh.
        password_env: name of an environment variable that holds a password; passwords themselves are never stored.
        keepalive_s: how often an idle connection is kept open; noticing a dead one is the deadlines' work.
        device: the device's name, for hints in errors.
    """

    host: str
    port: int = 22
    user: str | None = None
    key_files: tuple[str, ...] = ()
    use_agent: bool = True
    password_env: str | None = None
    jump: Jump | None = None
    connect_timeout_s: float = 10.0
    keepalive_s: int = 15
    device: str | None = None
    #: a known_hosts file for this host alone, in place of the harness's and the user's
    known_hosts_file: str | None = None

    def link(self) -> Link:
        """The connection, not yet open."""
        from harness.links.ssh.link import SshConnection

        return SshConnection(self)


class LinkSettings(Protocol):
    """What describes a link, such as an address and a login."""

    def link(self) -> Link:
        """The link, not yet open."""
        ...


class ChannelClosed(TransientDeviceError):
    """The other side closed the channel: the program ended, or the connection is gone."""


class ChannelTimeout(TransientDeviceError):
    """Nothing could be sent or received before the deadline."""


class Channel(Protocol):
    """The standard streams of one program on a board. Not for use by two threads at once."""

    def send(self, pieces: Iterable[Buffer], deadline_s: float) -> None:
        """Sends all pieces in order.

        Raises:
            ChannelClosed, ChannelTimeout.
        """
        ...

    def recv_some(self, limit: int, deadline_s: float) -> bytes:
        """At least one byte and at most `limit`.

        Raises:
            ChannelClosed, ChannelTimeout.
        """
        ...

    def exit_code(self, deadline_s: float) -> int | None:
        """The program's exit status once it has ended; None when it has not, or was killed, or nobody knows."""
        ...

    def stderr_tail(self) -> str:
        """The last of what the program wrote on stderr so far."""
        ...

    def close(self) -> None:
        """Closes the streams, which ends the program. Safe to call twice."""
        ...

    def interrupt(self) -> None:
        """Ends the program from another thread: what this channel waits for raises ChannelClosed at once."""
        ...


class Link(Protocol):
    """A way to a board. `open` may be called again after `close`."""

    #: what stands in errors, such as `ssh root@board:22`
    description: str

    def open(self) -> None: ...
    def start(self, argv: Sequence[str]) -> Channel: ...
    def close(self) -> None: ...


def make_link(settings: LinkSettings) -> Link:
    """The link that the settings describe, not yet open."""
    return settings.link()


def check_program(path: str) -> str:
    """A program's path as it may stand in a command line on a board.

    Raises:
        UserInputError: it holds anything but letters, digits and ``_./+@-``, or starts with a dash.
    """
    if not _PROGRAM.fullmatch(path) or path.startswith("-"):
        raise UserInputError(
            f"{path!r} is no path of a program on a board", hint="only letters, digits and the characters _ . / + @ -"
        )
    return path


def command_line(argv: Sequence[str]) -> str:
    """argv as one line for a remote login shell, every word quoted."""
    return shlex.join(argv)


def recv_exact(channel: Channel, count: int, deadline_s: float) -> bytearray:
    """Exactly `count` bytes.

    Args:
        channel: where from.
        count: how many.
        deadline_s: seconds for all of them together.

    Raises:
        ChannelClosed: the stream ended before; the message tells how much was missing.
        ChannelTimeout: they did not arrive in time.
    """
    ends = time.monotonic() + deadline_s
    data = bytearray()
    while len(data) < count:
        data += channel.recv_some(min(count - len(data), CHUNK_BYTES), max(ends - time.monotonic(), 0.0))
    return data


def chunks(piece: Buffer) -> Iterable[memoryview]:
    """A buffer in pieces of `CHUNK_BYTES`, without a copy."""
    view = memoryview(piece).cast("B")
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]


class Tail:
    """The last bytes of a stream, in bounded memory."""

    def __init__(self, limit: int = STDERR_TAIL_BYTES) -> None:
        self._limit = limit
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit:
            del self._data[: len(self._data) - self._limit]

    def text(self) -> str:
        return self._data.decode("utf-8", "replace")
