"""The emulated twin of a microcontroller: the same firmware, protocol and tables, on a QEMU machine that counts instructions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harness.boards.kind import HOST_LOCK, QEMU_SUFFIX
from harness.boards.mcu.profile import McuLimitsProfile, McuProfile, McuRuntimeProfile
from harness.boards.profile.fields import Samples
from harness.boards.profile.model import DeadlinesProfile
from harness.boards.profile.overrides import checked_override
from harness.core.errors import UserInputError, unknown_name
from harness.emulation.mcu.board import McuBoard, known_boards, load_board
from harness.emulation.mcu.line import EmulatedLine, require_programs
from harness.links.profile import LineLinkProfile, LinkPlace
from harness.links.serial.line import Line

if TYPE_CHECKING:
    from harness.emulation.mcu.tflite_micro import TfliteMicro

_OVERRIDES: dict[str, Any] = {"samples": Samples, "deadlines": DeadlinesProfile, "limits": McuLimitsProfile}


class EmulatedLineProfile(LineLinkProfile):
    """The link of a twin. No file can name it: a twin's profile is made of the real board's."""

    takes_programs: ClassVar[bool] = True

    type: Literal["emulated"] = "emulated"
    board: McuBoard = Field(exclude=True)
    runtime: McuRuntimeProfile = Field(exclude=True)

    def require_parts(self, place: LinkPlace) -> None:
        """QEMU, the cross compiler, and the user's TFLite Micro where the firmware is built with it."""
        require_programs()
        self.tflite_micro(place)

    def make_line(self, place: LinkPlace) -> Line:
        """A line that builds its firmware and starts its machine when it is opened.

        Raises:
            UserInputError: a TFLite Micro that is not named or not there.
        """
        return EmulatedLine(place.device, self.board, tflite_micro=self.tflite_micro(place), progress=place.say)

    def tflite_micro(self, place: LinkPlace) -> TfliteMicro | None:
        """The TFLite Micro that the firmware is built with; None: the plan runtime.

        Raises:
            UserInputError: none is named, or a part of it is not there.
        """
        if self.runtime.module != "tflite-micro":
            return None
        from harness.emulation.mcu.tflite_micro import tflite_micro

        said = self.runtime.tflite_micro
        parts = (said.include, said.library, said.defines) if said else ()
        return tflite_micro(*parts, where=place.device, environ=place.environ)


def mcu_twin(profile: McuProfile) -> McuProfile:
    """The twin's profile; nothing is built or started.

    Raises:
        UserInputError: the `emulation:` block is wrong, with the field.
    """
    where = f"{profile.where}, emulation"
    block = profile.emulation or {}
    laid_over = {
        key: checked_override(key, block[key], field, where=where) for key, field in _OVERRIDES.items() if key in block
    }
    board = emulated_board(profile)
    twin = profile.model_copy(
        update={
            "name": f"{profile.name}{QEMU_SUFFIX}",
            "title": f"{profile.title}, emulated by QEMU",
            "link": EmulatedLineProfile(board=board, runtime=profile.runtime),
            "time_basis": "guest-instructions",
            "exclusive": HOST_LOCK,
            # The firmware of the twin is the harness's own build and names itself after the machine.
            "board": board.name,
            "flash": None,
            **laid_over,
        }
    )
    return twin.from_file(profile.origin)


def emulated_board(profile: McuProfile) -> McuBoard:
    """The board that `emulation.machine` names, the block checked: a port of the firmware that QEMU has a machine for. A name is
    a port that came with the harness; a path (with a `/`, from the profile's file on) is the folder of the user's own.

    Raises:
        UserInputError: an unknown key, no machine or an unknown one, or one with another core than the profile's.
    """
    where = f"{profile.where}, emulation"
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
