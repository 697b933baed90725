"""Which key does this host have? Pinned keys only: nothing is ever accepted because it is new.

Pins of the harness live in `known_hosts` in the user's configuration folder, in OpenSSH's format. The user's own
~/.ssh/known_hosts is read too, never written; for a host in both, the pin of the harness counts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import paths
from harness.core.errors import StableDeviceError, UserInputError
from harness.core.files import read_regular, write_bytes_atomic

if TYPE_CHECKING:
    import paramiko

_LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A host's public key as it presented it. `fingerprint` is OpenSSH's, such as `SHA256:mVPw...`."""

    host: str
    port: int
    key_type: str
    key_base64: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(base64.b64decode(self.key_base64))

    @property
    def line(self) -> str:
        """The key as a line of known_hosts."""
        return f"{host_name(self.host, self.port)} {self.key_type} {self.key_base64}"


def fingerprint(blob: bytes) -> str:
    """OpenSSH's fingerprint of a public key's bytes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def host_name(host: str, port: int) -> str:
    """A host's name in known_hosts; the port stands there when it is not 22."""
    return host if port == 22 else f"[{host}]:{port}"


def pins_file() -> Path:
    """The known_hosts of the harness."""
    return paths.user_config_dir() / "known_hosts"


def pin(key: HostKey) -> Path:
    """Writes a key to the known_hosts of the harness, in place of any other of that host; returns the file.

    Raises:
        UserInputError: the file cannot be written.
    """
    import filelock

    path = pins_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock", timeout=_LOCK_TIMEOUT_S):
            lines = path.read_text().splitlines() if path.exists() else []
            name = host_name(key.host, key.port)
            kept = [line for line in lines if line.split(maxsplit=1)[:1] != [name]]
            write_bytes_atomic(path, "".join(f"{line}\n" for line in [*kept, key.line]).encode())
    except (OSError, filelock.Timeout) as error:
        raise UserInputError(f"the host key cannot be stored: {error}", where=str(path)) from error
    return path


def known_keys(host: str, port: int, file: str | None = None) -> list[paramiko.PKey]:
    """The pinned keys of a host, or those that the user's own known_hosts has; none means that it is unknown.

    With `file`, only that known_hosts file counts: an emulated board's port was another board's a minute ago.
    """
    name = host_name(host, port)
    if file is not None:
        return _lookup(Path(file), name)
    pinned = _lookup(pins_file(), name)
    return pinned or _lookup(Path.home() / ".ssh" / "known_hosts", name)


def _lookup(path: Path, name: str) -> list[paramiko.PKey]:
    from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

    found = HostKeys()
    try:
        lines = read_regular(path).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entry = HostKeyEntry.from_line(line.strip(), number)
        except (InvalidHostKey, ValueError):
            continue  # a damaged line pins nothing
        if entry is not None:
            for entry_name in entry.hostnames:
                found.add(entry_name, entry.key.get_name(), entry.key)
    return list((found.lookup(name) or {}).values())


def algorithms(keys: Iterable[paramiko.PKey], offered: Iterable[str]) -> tuple[str, ...]:
    """`offered` host key algorithms, those of pinned keys first: a host has several keys, and must show a pinned one."""
    names = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
    wanted = [name for key in keys for name in names.get(key.get_name(), (key.get_name(),))]
    return tuple(sorted(offered, key=lambda name: wanted.index(name) if name in wanted else len(wanted)))


def check(
    shown: paramiko.PKey, known: Iterable[paramiko.PKey], *, host: str, port: int, where: str, device: str | None
) -> None:
    """Compares the key that a host shows with the pinned ones.

    Raises:
        StableDeviceError: unknown host, or another key than the pinned one (both fingerprints are told).
    """
    known = list(known)
    enroll = f"harness devices enroll {device or 'NAME'}"
    seen = f"{shown.get_name()} {fingerprint(shown.asbytes())}"
    address = host_name(host, port)
    if not known:
        raise StableDeviceError(
            f"the host key of {address} is unknown: it shows {seen}",
            where=where,
            hint=f"compare it with the board's own (ssh-keygen -lf on the board), then run: {enroll}",
        )
    if shown not in known:
        pinned = ", ".join(f"{key.get_name()} {fingerprint(key.asbytes())}" for key in known)
        raise StableDeviceError(
            f"the host key of {address} has changed: pinned is {pinned}, it shows {seen}",
            where=where,
            hint=f"find out why before you trust it; after a reinstallation of the board run: {enroll} --replace",
        )
