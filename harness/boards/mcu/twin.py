"""The emulated twin of a microcontroller: the same firmware, protocol and tables, on a QEMU machine that counts instructions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.boards.mcu.profile import McuLimitsProfile, McuProfile, SerialLinkProfile
from harness.boards.profile.model import TWIN_SUFFIX, DeadlinesProfile, Samples
from harness.core.errors import UserInputError, unknown_name
from harness.emulation.mcu.board import McuBoard, known_boards, load_board

#: the lock that emulated boards share with the host devices: they compute with the same cores
_HOST_LOCK = "host-cpu"
_OVERRIDES: dict[str, Any] = {"samples": Samples, "deadlines": DeadlinesProfile, "limits": McuLimitsProfile}


def mcu_twin(profile: McuProfile) -> McuProfile:
    """The twin's profile; nothing is built or started.

    Raises:
        UserInputError: the `emulation:` block is wrong, with the field.
    """
    where = f"{profile.origin.path if profile.origin else profile.name}, emulation"
    block = profile.emulation or {}
    laid_over = {key: _checked(key, block[key], where) for key in _OVERRIDES if key in block}
    twin = profile.model_copy(
        update={
            "name": f"{profile.name}{TWIN_SUFFIX}",
            "title": f"{profile.title}, emulated by QEMU",
            "link": SerialLinkProfile(type="serial"),
            "time_basis": "guest-instructions",
            "exclusive": _HOST_LOCK,
            # The firmware of the twin is the harness's own build and names itself after the machine.
            "board": emulated_board(profile).name,
            **laid_over,
        }
    )
    return twin.from_file(profile.origin) if profile.origin else twin


def emulated_board(profile: McuProfile) -> McuBoard:
    """The board that `emulation.machine` names, the block checked: a port of the firmware that QEMU has a machine for. A name is
    a port that came with the harness; a path (with a `/`, from the profile's file on) is the folder of the user's own.

    Raises:
        UserInputError: an unknown key, no machine or an unknown one, or one with another core than the profile's.
    """
    where = f"{profile.origin.path if profile.origin else profile.name}, emulation"
    block = profile.emulation or {}
    try:
        for key in block:
            if key not in ("machine", *_OVERRIDES):
                raise unknown_name("key in `emulation:` of a microcontroller", str(key), ["machine", *_OVERRIDES])
        machine = block.get("machine")
        if machine is None:
            raise UserInputError("`emulation:` names no `machine`", hint="add `machine: mps2-an386`")
        boards = {name: board for name in known_boards() if (board := load_board(name)).emulation is not None}
        if "/" in str(machine):
            boards = {machine: _own_board(profile, str(machine))}
        if machine not in boards:
            raise unknown_name("emulated machine", str(machine), boards)
        found = boards[machine]
        if found.core != profile.core:
            suitable = ", ".join(name for name, board in boards.items() if board.core == profile.core)
            raise UserInputError(
                f"{machine} has a {found.core}, the profile's core is {profile.core}",
                hint=f"machines with it: {suitable or 'none'}",
            )
    except UserInputError as error:
        raise UserInputError(error.what, where=where, hint=error.hint) from None
    return found


def _own_board(profile: McuProfile, folder: str) -> McuBoard:
    """The port in a folder of the user's.

    Raises:
        UserInputError: no such folder, a wrong board.toml, or one without `[emulation]`.
    """
    base = profile.origin.path.parent if profile.origin else Path()
    found = load_board(base / Path(folder).expanduser())
    if found.emulation is None:
        raise UserInputError(
            f"the board.toml of {folder} has no [emulation]", hint="add it with QEMU's `machine` and `icount_shift`"
        )
    return found


def _checked(key: str, value: Any, where: str) -> Any:
    """An override in the form that the profile's own field has."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(_OVERRIDES[key]).validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (key, *first["loc"]))
        raise UserInputError(
            f"{field}: {first['msg']}", where=where, hint="docs/reference/devices.md has the fields"
        ) from None
