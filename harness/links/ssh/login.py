"""Logging in over SSH: the profile's key files, else the SSH agent and the usual files; a password only on request."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.links.base import SshLink

if TYPE_CHECKING:
    import paramiko

_USUAL_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
#: sshd ends a connection after six refused keys (MaxAuthTries)
_MAX_KEYS = 5


class ConnectionDropped(TransientDeviceError):
    """The other side closed the connection before anybody was logged in, so nothing has run there."""


def log_in(transport: paramiko.Transport, user: str, settings: SshLink, *, where: str) -> None:
    """Authenticates with the first key that the server takes.

    Raises:
        StableDeviceError: all keys refused, a named key file cannot be used, or the password variable is not set.
        ConnectionDropped: the connection was lost before the server had refused any key.
        TransientDeviceError: the server did not answer in time.
    """
    import paramiko

    password = _password(settings, where)
    tried: list[str] = []
    try:
        for name, key in _keys(settings, where):
            if len(tried) == _MAX_KEYS:
                break
            tried.append(name)
            begun_s = time.monotonic()
            try:
                if not transport.auth_publickey(user, key):
                    return
                break  # the key was right, and the server wants a second factor
            except paramiko.BadAuthenticationType as error:
                if "publickey" not in error.allowed_types:
                    tried.append(f"(the server takes {', '.join(error.allowed_types)} only)")
                    break
            except paramiko.AuthenticationException as error:
                # paramiko's word for three things: a refusal, a connection that was lost, and an answer that never came.
                if time.monotonic() - begun_s >= transport.auth_timeout:
                    what = f"no answer to the login for {transport.auth_timeout:g} s"
                    raise TransientDeviceError(what, where=where) from error
                if not transport.is_active() and len(tried) == 1:
                    raise ConnectionDropped("the connection was lost during the login", where=where) from error
        if password is not None:
            tried.append(f"password from ${settings.password_env}")
            if not transport.auth_password(user, password):
                return
    except paramiko.AuthenticationException:
        pass  # the password was refused; told below
    except (paramiko.SSHException, OSError, EOFError) as error:
        # A server that has had enough of refused keys closes the connection.
        if transport.is_active() or len(tried) <= 1:
            raise ConnectionDropped(f"the login was cut off: {error or 'connection closed'}", where=where) from error
    if not transport.is_active() and not tried:
        raise ConnectionDropped("the connection was lost during the login", where=where)
    offered = ", ".join(tried) or "no key: none is named, no SSH agent runs, and there is none in ~/.ssh"
    raise StableDeviceError(
        f"the login of {user} was refused; offered: {offered}",
        where=where,
        hint="put the public key into ~/.ssh/authorized_keys of that user on the board, or name another with `key_files`",
    )


def _password(settings: SshLink, where: str) -> str | None:
    if settings.password_env is None:
        return None
    password = os.environ.get(settings.password_env)
    if password is None:
        hint = f"set {settings.password_env}, or use a key"
        raise StableDeviceError(f"the password variable {settings.password_env} is not set", where=where, hint=hint)
    return password


def _keys(settings: SshLink, where: str) -> Iterator[tuple[str, paramiko.PKey]]:
    """(what to call it, key) in the order of trying; a named file that cannot be used is an error, a usual one is not."""
    import paramiko

    for name in settings.key_files:
        yield name, _load(Path(name).expanduser(), where)
    if settings.use_agent:
        agent = paramiko.Agent()
        for key in agent.get_keys():
            yield f"{key.get_name()} {getattr(key, 'comment', '')} of the SSH agent".replace("  ", " "), key
    if not settings.key_files:
        for name in _USUAL_FILES:
            path = Path.home() / ".ssh" / name
            if path.is_file():
                try:
                    found = _load(path, where)
                except StableDeviceError:
                    continue  # encrypted: the agent is its way in
                yield f"~/.ssh/{name}", found


def _load(path: Path, where: str) -> paramiko.PKey:
    import paramiko

    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        what = f"the key file {path} cannot be read: {error.strerror}"
        raise StableDeviceError(what, where=where, hint="check `key_files` of the device") from error
    except (TypeError, paramiko.PasswordRequiredException) as error:
        what = f"the key file {path} is encrypted"
        raise StableDeviceError(what, where=where, hint=f"add it to the SSH agent: ssh-add {path}") from error
    except (ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        raise StableDeviceError(f"{path} is no usable private key: {error}", where=where) from error
