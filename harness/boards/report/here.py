"""What of this machine names somebody: the login, the host, folders, and what looks like a secret in the environment."""

from __future__ import annotations

import getpass
import os
import platform
import pwd
import re
from collections.abc import Iterator, Mapping

#: variables that hold a login, a host or an address of whoever sits here
_IDENTITIES = {
    "USER": "user",
    "LOGNAME": "user",
    "SUDO_USER": "user",
    "USERNAME": "user",
    "HOSTNAME": "host",
    "SSH_AUTH_SOCK": "path",
    "HOME": "path",
}
_SECRET_NAME = re.compile(r"(?i)password|passwd|passphrase|secret|token|api_?key|credential|private")
#: shorter values stand in every other word
_SECRET_CHARACTERS = 4


def private_values(environ: Mapping[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """(kind, value) of what texts made on this machine may hold and a report must not.

    Args:
        environ: instead of this process's environment.
    """
    environ = os.environ if environ is None else environ
    yield from (("user", name) for name in _names())
    host = platform.node()
    yield from (("host", name) for name in {host, host.partition(".")[0]} if len(name) >= _SECRET_CHARACTERS)
    for variable, value in environ.items():
        if variable in _IDENTITIES and _tells(value):
            yield _IDENTITIES[variable], value
        elif _SECRET_NAME.search(variable) and len(value) >= _SECRET_CHARACTERS:
            yield "secret", value


def _names() -> Iterator[str]:
    """The login and the full name behind it."""
    try:
        yield getpass.getuser()
        full = pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0]
    except (KeyError, OSError):  # a container's user may have no entry
        return
    if " " in full:
        yield full


def _tells(value: str) -> bool:
    return value not in ("/", "/root")
