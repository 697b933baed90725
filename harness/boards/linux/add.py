"""From an address to a profile: `harness devices add`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.boards.linux.probe import (
    BoardFacts,
    probe_board,
    profile_text,
    require_usable,
    suggested_name,
    write_profile,
)
from harness.boards.resolve import LOCAL_FILE, get_profile
from harness.core import paths
from harness.core.errors import HarnessError, UserInputError
from harness.links.base import Jump, SshLink, make_link
from harness.links.ssh.profile import SshLinkProfile


@dataclass(frozen=True, kw_only=True)
class AddedBoard:
    """A board with a new profile. `notes` are things its user should know."""

    name: str
    path: Path
    facts: BoardFacts
    notes: tuple[str, ...] = ()


def ssh_link(
    address: str, *, user: str | None = None, port: int = 22, keys: Sequence[str] = (), jump: str | None = None
) -> SshLink:
    """The link that command-line options describe.

    Args:
        address: `HOST` or `USER@HOST`.
        user, port, keys: as in a profile.
        jump: `[USER@]HOST[:PORT]`.

    Raises:
        UserInputError: an option that no profile could hold; a key file that is not there.
    """
    login, at, host = address.rpartition("@")
    if at and not login:
        raise UserInputError(f"'{address}' is no address", hint="write HOST or USER@HOST")
    if login and user and login != user:
        raise UserInputError(f"two users are named: {login} and {user}", hint="give one of USER@ADDRESS and --user")
    key_files = [str(Path(key).expanduser().absolute()) for key in keys]
    for path in key_files:
        if not Path(path).is_file():
            raise UserInputError("the key file does not exist", where=path)
    fields: dict[str, object] = {"type": "ssh", "host": host, "port": port, "key_files": key_files}
    if login or user:
        fields["user"] = login or user
    if jump:
        fields["jump"] = _jump_fields(jump)
    try:
        profile = SshLinkProfile.model_validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(str(part) for part in first['loc'])}: found {first['input']!r}; allowed: {first['msg']}"
        raise UserInputError(what, hint="the address is HOST or USER@HOST; the port has an option of its own") from None
    hop = profile.jump
    return SshLink(
        host=str(profile.host),
        port=port,
        user=profile.user,
        key_files=profile.key_files,
        jump=Jump(host=hop.host, port=hop.port, user=hop.user) if hop else None,
    )


def _jump_fields(text: str) -> dict[str, object]:
    """`[USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets."""
    user, _, rest = text.rpartition("@")
    match = re.fullmatch(r"\[(?P<six>[^\]]+)\](?::(?P<six_port>\d{1,5}))?|(?P<host>[^:]+)(?::(?P<port>\d{1,5}))?", rest)
    if not match:
        raise UserInputError(f"'{text}' is no jump host", where="--jump", hint="write [USER@]HOST[:PORT]")
    fields: dict[str, object] = {"host": match["six"] or match["host"]}
    port = match["six_port"] or match["port"]
    return {**fields, **({"port": int(port)} if port else {}), **({"user": user} if user else {})}


def add_board(
    link: SshLink, *, name: str | None = None, python: str = "python3", folder: str | None = None, force: bool = False
) -> AddedBoard:
    """Looks at a board whose host key is pinned, and writes its profile.

    Args:
        link: how to reach it.
        name: the device's name; None makes one of the board's model.
        python: the interpreter on the board.
        folder: where the profile goes; None means `./devices` where there is one, else the user's settings.
        force: replace an existing profile of that name.

    Raises:
        UserInputError: the profile exists already, cannot be written, or would not be valid.
        StableDeviceError: the login is refused, or the board has no Python, numpy or runtime that works.
        TransientDeviceError: the connection was lost.
    """
    target = Path(folder).expanduser().absolute() if folder else _default_folder()
    if name is not None:
        _check_free(target, name, force)
    connection = make_link(link)
    try:
        connection.open()
        facts = probe_board(connection, python)
    finally:
        connection.close()
    require_usable(facts, connection.description)
    name = name or suggested_name(facts)
    path = _check_free(target, name, force)
    write_profile(profile_text(facts, name, link), path)
    return AddedBoard(name=name, path=path, facts=facts, notes=(*_notes(name, path, target), *_core_notes(facts)))


def _check_free(folder: Path, name: str, force: bool) -> Path:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name) or f"{name}.yaml" == LOCAL_FILE:
        raise UserInputError(
            f"'{name}' cannot be a device's name",
            hint="small letters, digits, '.', '_' and '-', such as --name bench-board-2",
        )
    path = folder / f"{name}.yaml"
    if path.exists() and not force:
        hint = "choose another --name, or --force to replace it"
        raise UserInputError("this profile exists already", where=str(path), hint=hint)
    return path


def _default_folder() -> Path:
    here = Path("devices").absolute()
    return here if here.is_dir() else paths.user_config_dir() / "devices"


def _core_notes(facts: BoardFacts) -> list[str]:
    """The number of threads is a guess where a board may have cores of two kinds, which nothing on it says reliably."""
    if (facts.cpu_count or 1) < 3:
        return []
    return [
        f"`threads` is made of the board's {facts.cpu_count} cores; where some are little ones, the number of the big ones is "
        "often faster (with `affinity` for them)"
    ]


def _notes(name: str, path: Path, folder: Path) -> list[str]:
    """What keeps the new profile from being the one that its name finds."""
    try:
        found = get_profile(name).origin
    except HarnessError:
        found = None
    if found is None:
        return [f"{folder} is not searched by default; use --devices-dir {folder} or set HARNESS_DEVICES"]
    if found.path.resolve() != path.resolve():
        return [f"{name} still finds {found.path}, which comes first in the search order"]
    return []
