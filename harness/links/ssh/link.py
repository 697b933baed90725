"""The SSH link. Pinned host keys only, keys or an agent to log in, and a deadline for every operation.

Measured on paramiko (docs/guides/ssh.md): TCP_NODELAY is off unless set; a keep-alive alone notices no dead link, so every read
has a time limit; a send can block in the transport, and exec has no time limit at all, so a timer aborts both.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.errors import DeviceError, StableDeviceError, TransientDeviceError
from harness.links.base import (
    Buffer,
    ChannelClosed,
    ChannelTimeout,
    Jump,
    SshLink,
    Tail,
    check_program,
    chunks,
    command_line,
)
from harness.links.ssh import hostkeys
from harness.links.ssh.login import ConnectionDropped, log_in

if TYPE_CHECKING:
    import paramiko

#: the kernel gives up a connection whose data nobody has acknowledged for this long
_TCP_USER_TIMEOUT_MS = 20_000
#: paramiko sends packets of at most 32 KiB; larger slices would only be copied again
_SLICE_BYTES = 32 << 10
#: a server that has just started, or has too many logins under way, drops connections before the login: tried again after these
_DROPPED_PAUSES_S = (0.3, 1.0)
_QUIET = logging.NullHandler()


def enroll(
    host: str, port: int = 22, jump: Jump | None = None, *, timeout_s: float = 10.0, via: SshLink | None = None
) -> hostkeys.HostKey:
    """Asks a host for its key, without trusting it or logging in. Show its fingerprint, then `hostkeys.pin` it.

    Args:
        host: name or address.
        port: its port.
        jump: a host on the way, whose own key must be pinned already.
        timeout_s: seconds for the connection.
        via: user and keys for the jump host.

    Raises:
        TransientDeviceError: unreachable, or no SSH server answers.
        StableDeviceError: the jump host's key is not pinned, or it refuses the login.
    """
    settings = via or SshLink(host=host, port=port, jump=jump, connect_timeout_s=timeout_s)
    connection = SshConnection(replace(settings, host=host, port=port, jump=jump))
    try:
        key = connection.shown_key()
    finally:
        connection.close()
    return hostkeys.HostKey(host=host, port=port, key_type=key.get_name(), key_base64=key.get_base64())


class SshConnection:
    """An SSH connection to a board, through a jump host where there is one."""

    def __init__(self, settings: SshLink) -> None:
        self._settings = settings
        self._user = settings.user or getpass.getuser()
        #: the jump host's first, where there is one
        self._transports: list[paramiko.Transport] = []
        self._ready = False
        #: False once somebody has called `close`, also from another thread: then nothing is tried again
        self._wanted = False
        self.description = f"ssh {self._user}@{settings.host}:{settings.port}"

    def open(self) -> None:
        """Connects, checks the host's key, logs in. A connection that is dropped before the login is tried again, twice.

        Raises:
            StableDeviceError: unknown or changed host key; key refused; a key file cannot be used.
            TransientDeviceError: unreachable, no SSH server, or nothing heard in time.
        """
        self._wanted = True
        for pause_s in _DROPPED_PAUSES_S:
            try:
                return self._open_once()
            except ConnectionDropped:
                if not self._wanted:
                    raise
                time.sleep(pause_s)
        self._open_once()

    def _open_once(self) -> None:
        self._drop()
        try:
            with self._abort_after(self._settings.connect_timeout_s * 3):
                self._connect_jump()
                self._connect(self._settings.host, self._settings.port, self._user)
            self._ready = True
        except BaseException:
            self._drop()
            raise

    def start(self, argv: Sequence[str]) -> SshChannel:
        """Runs a command; its words are quoted for the login shell, and the program must be a plain path besides."""
        import paramiko

        timeout_s = self._settings.connect_timeout_s
        if not self._ready:
            raise TransientDeviceError("not connected", where=self.description)
        check_program(argv[0])
        try:
            with self._abort_after(timeout_s):
                channel = self._transports[-1].open_session(timeout=timeout_s)
                channel.exec_command(command_line(argv))
        except paramiko.ChannelException as error:
            what = f"the SSH server refuses a session: {error.text}"
            raise StableDeviceError(what, where=self.description, hint="check MaxSessions of its sshd") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            what = f"the command could not be started: {error or 'connection lost'}"
            raise TransientDeviceError(what, where=self.description) from error
        return SshChannel(channel, self)

    def shown_key(self) -> paramiko.PKey:
        """The key that the host shows. The connection is good for nothing else afterwards."""
        with self._abort_after(self._settings.connect_timeout_s * 3):
            self._connect_jump()
            return self._handshake(self._settings.host, self._settings.port, ()).get_remote_server_key()

    def close(self) -> None:
        """Drops the connection; the server ends what ran in it. Never blocks: no message is sent."""
        self._wanted = False
        self._drop()

    def _drop(self) -> None:
        self._ready = False
        # The jump host first: the inner connection's last words would wait for it.
        for transport in list(self._transports):
            with contextlib.suppress(Exception):
                transport.close()
        self._transports.clear()

    def _connect_jump(self) -> None:
        jump = self._settings.jump
        if jump is not None:
            self._connect(jump.host, jump.port, jump.user or self._user)

    def _connect(self, host: str, port: int, user: str) -> None:
        own = self._settings.known_hosts_file if (host, port) == (self._settings.host, self._settings.port) else None
        known = hostkeys.known_keys(host, port, own)
        transport = self._handshake(host, port, known)
        hostkeys.check(
            transport.get_remote_server_key(),
            known,
            host=host,
            port=port,
            where=self.description,
            device=self._settings.device,
        )
        log_in(transport, user, self._settings, where=self.description)
        transport.set_keepalive(self._settings.keepalive_s)

    def _handshake(self, host: str, port: int, known: Sequence[paramiko.PKey]) -> paramiko.Transport:
        """A connection with keys exchanged, the host's identity not yet checked and nobody logged in."""
        import paramiko

        # Without a handler of its own, paramiko prints tracebacks of failed connections on stderr.
        logging.getLogger("paramiko").addHandler(_QUIET)
        timeout_s = self._settings.connect_timeout_s
        transport = paramiko.Transport(self._dial(host, port))
        transport.banner_timeout = transport.auth_timeout = timeout_s
        options = transport.get_security_options()
        options.key_types = hostkeys.algorithms(known, options.key_types)
        self._transports.append(transport)
        begun_s = time.monotonic()
        try:
            transport.start_client(timeout=timeout_s)
            transport.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError) as error:
            what = f"no SSH connection to {hostkeys.host_name(host, port)}: {error or 'connection closed'}"
            hint = "is an SSH server listening there, and is it alive?"
            kind = ConnectionDropped if time.monotonic() - begun_s < timeout_s else TransientDeviceError
            raise kind(what, where=self.description, hint=hint) from error
        return transport

    def _dial(self, host: str, port: int) -> socket.socket | paramiko.Channel:
        """A byte stream to the host: a channel through the jump host once that is connected, else a TCP connection."""
        import paramiko

        timeout_s = self._settings.connect_timeout_s
        address = hostkeys.host_name(host, port)
        try:
            if self._transports:
                way = self._transports[-1]
                return way.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout_s)
            stream = socket.create_connection((host, port), timeout=timeout_s)
        except paramiko.SSHException as error:
            what = f"{address} cannot be reached through the jump host: {error}"
            raise TransientDeviceError(what, where=self.description) from error
        except socket.gaierror as error:
            what, hint = f"the name {host} cannot be resolved: {error.strerror}", "check the address of the device"
            raise TransientDeviceError(what, where=self.description, hint=hint) from error
        except OSError as error:
            said = (
                f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
            )
            hint = "is the board on, and is its address right?"
            raise TransientDeviceError(
                f"{address} cannot be reached: {said}", where=self.description, hint=hint
            ) from error
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
        return stream

    @contextlib.contextmanager
    def _abort_after(self, seconds: float) -> Iterator[None]:
        """Drops the connection when the block takes longer; what blocks in it then ends with an error.

        Raises:
            ChannelTimeout: it took longer.
        """
        fired = threading.Event()

        def fire() -> None:
            fired.set()
            self._drop()

        timer = threading.Timer(seconds, fire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (DeviceError, OSError, EOFError) as error:
            if fired.is_set():
                raise ChannelTimeout(f"no answer from the board for {seconds:.3g} s", where=self.description) from error
            raise
        finally:
            timer.cancel()


class SshChannel:
    """The streams of one remote command."""

    def __init__(self, channel: paramiko.Channel, connection: SshConnection) -> None:
        self._channel = channel
        self._connection = connection
        self._tail = Tail()

    def send(self, pieces: Iterable[Buffer], deadline_s: float) -> None:
        ends = time.monotonic() + deadline_s
        # settimeout covers the wait for the window, the timer a transport that blocks because TCP takes nothing.
        with self._connection._abort_after(deadline_s + 1.0):
            for piece in pieces:
                for view in chunks(piece):
                    while view:
                        self._channel.settimeout(max(ends - time.monotonic(), 0.001))
                        try:
                            view = view[self._channel.send(view[:_SLICE_BYTES].tobytes()) :]
                        except TimeoutError as error:
                            raise ChannelTimeout(f"the board took no data for {deadline_s:.3g} s") from error
                        except (OSError, EOFError) as error:
                            raise ChannelClosed("the connection was closed") from error

    def recv_some(self, limit: int, deadline_s: float) -> bytes:
        self._channel.settimeout(max(deadline_s, 0.001))
        try:
            data = self._channel.recv(limit)
        except TimeoutError as error:
            raise ChannelTimeout(f"no answer from the board for {deadline_s:.3g} s") from error
        except (OSError, EOFError) as error:
            raise ChannelClosed("the connection was closed") from error
        # Unread stderr would use up the window that stdout shares with it.
        self._drain_stderr()
        if not data:
            raise ChannelClosed("the program on the board has ended or the connection was closed")
        return data

    def exit_code(self, deadline_s: float) -> int | None:
        ends = time.monotonic() + deadline_s
        while not self._channel.exit_status_ready():
            if time.monotonic() >= ends:
                return None
            time.sleep(0.005)
        code = self._channel.recv_exit_status()
        return code if code >= 0 else None

    def stderr_tail(self) -> str:
        self._drain_stderr()
        return self._tail.text()

    def close(self) -> None:
        """Drops the connection with it: one agent is all that runs over one, and no message can block."""
        self._drain_stderr()
        self._connection.close()

    def interrupt(self) -> None:
        self._connection.close()

    def _drain_stderr(self) -> None:
        while self._channel.recv_stderr_ready():
            data = self._channel.recv_stderr(1 << 16)
            if not data:
                return
            self._tail.add(data)
