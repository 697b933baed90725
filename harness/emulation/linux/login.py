"""Logging in to an emulated board: its key is pinned, nothing is accepted on sight, nothing of the user's ~/.ssh is read."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import StableDeviceError, TransientDeviceError

if TYPE_CHECKING:
    import paramiko

HOST = "127.0.0.1"
USER = "root"
_POLL_S = 0.02
_FIRST_PATIENCE_S, _MOST_PATIENCE_S = 0.3, 5.0
#: a board that has just resumed may drop a connection before the login; nothing has been run by then
_LOGIN_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach one running board.

    Attributes:
        key_file: private key of the login, unencrypted, readable by its owner only.
        host_key_line: the board's public key, `ssh-ed25519 BASE64`; any other key is refused.
    """

    port: int
    key_file: Path
    host_key_line: str
    host: str = HOST
    user: str = USER

    @property
    def known_hosts_line(self) -> str:
        """The line that pins the board in a known_hosts file."""
        return f"[{self.host}]:{self.port} {self.host_key_line}"


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command on the board printed, and its exit status."""

    stdout: str
    stderr: str
    status: int


def wait_for_banner(port: int, timeout_s: float, alive: Callable[[], bool]) -> None:
    """Waits until the board's SSH server answers.

    QEMU accepts a connection while the board still boots, and then asks the board for it in intervals of seconds. So only
    the banner counts, and the first attempts are short.

    Raises:
        TransientDeviceError: no answer in time, or the board has ended.
    """
    deadline = time.monotonic() + timeout_s
    patience_s = _FIRST_PATIENCE_S
    while time.monotonic() < deadline and alive():
        with contextlib.suppress(OSError):
            with socket.create_connection((HOST, port), timeout=2.0) as connection:
                connection.settimeout(patience_s)
                if connection.recv(4) == b"SSH-":
                    return
        patience_s = min(_MOST_PATIENCE_S, patience_s * 1.2)
        time.sleep(_POLL_S)
    raise TransientDeviceError("the emulated board's SSH server does not answer", where=f"{HOST}:{port}")


def run_on_board(access: Access, command: str, timeout_s: float) -> CommandResult:
    """Logs in and runs one command of the harness's own. For making and checking images; cells go over harness.links.

    A connection that is dropped before the login is tried again; a command is never run twice.

    Raises:
        StableDeviceError: the board has another host key, or refuses the login.
        TransientDeviceError: the connection failed, or the command did not end in time.
    """
    import paramiko

    name = f"[{access.host}]:{access.port}"
    client = None
    try:
        client = _log_in(access, name, timeout_s)
        _, stdout, stderr = client.exec_command(command, timeout=timeout_s)
        out, err = stdout.read(), stderr.read()
        return CommandResult(
            stdout=out.decode(errors="replace"),
            stderr=err.decode(errors="replace"),
            status=stdout.channel.recv_exit_status(),
        )
    except (paramiko.BadHostKeyException, paramiko.AuthenticationException) as error:
        raise StableDeviceError(f"the emulated board is not the one that was built: {error}", where=name) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        what = f"the emulated board could not be used: {error or 'connection closed'}"
        raise TransientDeviceError(what, where=name) from error
    finally:
        if client is not None:
            client.close()


def _log_in(access: Access, name: str, timeout_s: float) -> paramiko.SSHClient:
    import paramiko

    kind, encoded = access.host_key_line.split()
    for tries_left in reversed(range(_LOGIN_TRIES)):
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, _decode(encoded)))
        try:
            client.connect(
                access.host,
                port=access.port,
                username=access.user,
                key_filename=str(access.key_file),
                allow_agent=False,
                look_for_keys=False,
                timeout=timeout_s,
                banner_timeout=timeout_s,
                auth_timeout=timeout_s,
            )
            transport = client.get_transport()
            if transport is not None and isinstance(transport.sock, socket.socket):
                transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client
        except (paramiko.SSHException, OSError, EOFError) as error:
            transport = client.get_transport()
            # paramiko calls a connection that was lost during the login a failed login, too; a server that refuses keeps it.
            refused = (
                isinstance(error, paramiko.AuthenticationException) and transport is not None and transport.is_active()
            )
            client.close()
            if refused or isinstance(error, paramiko.BadHostKeyException):
                raise
            if not tries_left:
                raise TransientDeviceError(
                    f"the login was cut off: {error or 'connection closed'}", where=name
                ) from error
            time.sleep(_FIRST_PATIENCE_S)
    raise AssertionError("unreachable")


def _decode(encoded: str) -> bytes:
    import base64

    return base64.b64decode(encoded, validate=True)
