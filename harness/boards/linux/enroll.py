"""Trusting a board's host key: once, by its fingerprint, before anything else is sent to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import StableDeviceError, UserInputError
from harness.links.base import SshLink
from harness.links.ssh import hostkeys
from harness.links.ssh.hostkeys import HostKey

#: asked with the key that is to be trusted; True pins it
Confirm = Callable[[HostKey], bool]


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """What became of one host.

    Attributes:
        key: the key that the host shows.
        pinned_in: the file it was written to; None when it was known already.
    """

    key: HostKey
    pinned_in: Path | None


def enroll_link(
    settings: SshLink,
    *,
    fingerprint: str | None = None,
    jump_fingerprint: str | None = None,
    confirm: Confirm | None = None,
    replace_changed: bool = False,
) -> list[Enrollment]:
    """Pins the key of a board, and that of its jump host first where there is one.

    Args:
        settings: how to reach the board.
        fingerprint: what the board's key must have (`SHA256:...`); without one, `confirm` decides.
        jump_fingerprint: the same for the jump host.
        confirm: asks a person; None means that nobody can be asked.
        replace_changed: a key that differs from the pinned one may replace it.

    Raises:
        UserInputError: no fingerprint is given and nobody can be asked, or the person said no.
        StableDeviceError: another fingerprint than the given one; a changed key without `replace_changed`.
        TransientDeviceError: unreachable.
    """
    done = []
    jump = settings.jump
    if jump is not None:
        hop = replace(settings, host=jump.host, port=jump.port, user=jump.user or settings.user, jump=None)
        done.append(_enroll_host(hop, jump_fingerprint, "--jump-fingerprint", confirm, replace_changed))
    done.append(_enroll_host(settings, fingerprint, "--fingerprint", confirm, replace_changed))
    return done


def _enroll_host(
    settings: SshLink, fingerprint: str | None, option: str, confirm: Confirm | None, replace_changed: bool
) -> Enrollment:
    from harness.links.ssh.link import enroll

    key = enroll(settings.host, settings.port, settings.jump, via=settings)
    address = hostkeys.host_name(key.host, key.port)
    known = hostkeys.known_keys(settings.host, settings.port)
    wanted = _normal(fingerprint, option) if fingerprint else None
    if wanted and wanted != key.fingerprint:
        raise StableDeviceError(
            f"the host key of {address} is {key.key_type} {key.fingerprint}, not {wanted}; nothing was stored",
            hint="find out which of the two is the board's own: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on it",
        )
    if any(k.get_base64() == key.key_base64 for k in known):
        return Enrollment(key=key, pinned_in=None)
    changed = [hostkeys.fingerprint(k.asbytes()) for k in known if k.get_name() == key.key_type]
    if changed and not replace_changed:
        raise StableDeviceError(
            f"the host key of {address} has changed: pinned is {key.key_type} {', '.join(changed)}, it shows "
            f"{key.fingerprint}; nothing was stored",
            hint="find out why before you trust it; after a reinstallation of the board add --replace",
        )
    if not wanted:
        if confirm is None:
            raise UserInputError(
                f"{address} shows the unknown host key {key.key_type} {key.fingerprint}, and nobody can be asked whether "
                "it is the right one",
                hint=f"compare it on the board, then give {option} {key.fingerprint}",
            )
        if not confirm(key):
            raise UserInputError(f"the host key of {address} was not trusted; nothing was stored")
    return Enrollment(key=key, pinned_in=hostkeys.pin(key))


def _normal(fingerprint: str, option: str) -> str:
    """OpenSSH's form of a fingerprint; its prefix may be left out."""
    text = fingerprint.strip().removeprefix("SHA256:").rstrip("=")
    if len(text) != 43:
        what = f"'{fingerprint}' is no SHA-256 fingerprint of a key"
        raise UserInputError(
            what, where=option, hint="it looks like SHA256:mVPwvezndPv/ARoIadVY98vAC0g+P/5633yTC4d/wXE"
        )
    return f"SHA256:{text}"
