"""A firmware onto a microcontroller, and the proof that it runs there: the board itself is asked before and after.

A board that reports the build already is left alone. What the tool says counts for nothing: the build that the board reports
once it has started again does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.boards.mcu.profile import McuProfile
from harness.core.errors import (
    DeviceError,
    StableDeviceError,
    TransientDeviceError,
    UserInputError,
)
from harness.flash.base import FlashImage

if TYPE_CHECKING:
    from harness.emulation.mcu.board import McuBoard as Port
    from harness.emulation.mcu.firmware import Firmware
    from harness.emulation.mcu.tflite_micro import TfliteMicro
    from harness.links.serial.line import Line
    from harness.links.serial.messages import Hello

Say = Callable[[str], None]
#: how long a board that may hold no firmware of ours is asked what it is
_ASK_S = 3.0
_PAUSE_S = 0.5


def flash_mcu(profile: McuProfile, *, build: bool, say: Say) -> str:
    """Flashes the firmware that a profile names, unless the board runs it already.

    Args:
        profile: a device with a `flash:` block, or an emulated twin.
        build: compile the firmware where that was not done yet from the present sources.
        say: told what is done.

    Returns:
        What became of it, a sentence.

    Raises:
        UserInputError: nothing says what to flash, or with what; the firmware was not built.
        MissingPartError: a compiler or the tool is missing.
        StableDeviceError: the tool refused, or the board runs another program than the one that was flashed.
        TransientDeviceError: the port or the probe is in use, or the board does not come back.
    """
    if not profile.link.takes_programs and profile.flash is None:
        raise UserInputError(
            "the profile does not say how its board is flashed",
            where=profile.name,
            hint="add `flash: {tool: pyocd, target: ...}` or `flash: {command: [...]}` (docs/guides/cortex-m.md)",
        )
    elf, wanted = _program(profile, build, say)
    if profile.flash is not None:
        profile.flash.flasher(profile.name).require_parts()
    line = profile.link.make_line(profile.place(say=say))
    try:
        before = _ask(line)
        if before is not None and before.firmware == wanted:
            return f"{profile.name} runs build {wanted} already: nothing was flashed"
        say(f"flashing build {wanted}, over {f'build {before.firmware}' if before else 'whatever is there now'}")
        _write(profile, line, elf, wanted)
        after = _wait(profile, line)
        _require(profile, wanted, before, after)
    finally:
        line.close()
    return f"{profile.name} was flashed and runs build {wanted} now ({after.board}, {after.core})"


def _program(profile: McuProfile, build: bool, say: Say) -> tuple[Path, str]:
    """The ELF to flash, and the build that it reports."""
    from harness.emulation.mcu.elf import firmware_build
    from harness.emulation.mcu.firmware import build_firmware, built_firmware

    image = profile.flash.image if profile.flash else None
    if image is not None:
        path = _beside(profile, image)
        try:
            return path, firmware_build(path)
        except (OSError, ValueError) as error:
            raise UserInputError(
                f"flash.image: {path} is no firmware of the harness ({error})",
                where=profile.where,
                hint="make it by `harness devices firmware FOLDER --output my.elf`",
            ) from None
    port = _port(profile)
    library = _tflite_micro(profile)
    made: Firmware | None
    if build or profile.link.takes_programs:
        made = build_firmware(port, tflite_micro=library, progress=say)
    else:
        made = built_firmware(port, tflite_micro=library)
    if made is None:
        raise UserInputError(
            f"the firmware for {port.name} has not been built from the present sources",
            where=profile.name,
            hint="say --build",
        )
    return made.elf, made.build


def _port(profile: McuProfile) -> Port:
    """The port of the firmware: the twin's own, `flash.board`, or the one that is called like the board."""
    from harness.emulation.mcu.board import known_boards, load_board

    own = getattr(profile.link, "board", None)
    if own is not None:
        return own
    named = profile.flash.board if profile.flash else None
    if named is not None:
        found = load_board(_beside(profile, named)) if "/" in named else load_board(named)
    elif profile.board in known_boards():
        found = load_board(profile.board)
    else:
        raise UserInputError(
            "the profile does not say which firmware belongs on its board",
            where=profile.name,
            hint="write `board: ./my-board` (the folder with board.toml) or `image: my.elf` into its `flash:` block",
        )
    if found.core != profile.core:
        raise UserInputError(
            f"{found.name} is a port for a {found.core}, the profile's core is {profile.core}", where=profile.where
        )
    return found


def _beside(profile: McuProfile, text: str) -> Path:
    """A path of a profile, from its file on."""
    base = profile.origin.path.parent if profile.origin else Path()
    return base / Path(text).expanduser()


def _tflite_micro(profile: McuProfile) -> TfliteMicro | None:
    if profile.runtime.module != "tflite-micro":
        return None
    from harness.emulation.mcu.tflite_micro import tflite_micro

    said = profile.runtime.tflite_micro
    parts = (said.include, said.library, said.defines) if said else ()
    return tflite_micro(*parts, where=profile.name)


def _write(profile: McuProfile, line: Line, elf: Path, build: str) -> None:
    from harness.emulation.mcu.elf import flat_image

    if profile.link.takes_programs:
        line.load_program(elf)
        return
    assert profile.flash is not None
    address, data = flat_image(elf)
    with tempfile.TemporaryDirectory(prefix="harness-flash-") as folder:
        bare = Path(folder) / "firmware.bin"
        bare.write_bytes(data)
        profile.flash.flasher(profile.name).flash(FlashImage(elf=elf, bare=bare, address=address, build=build))


def _ask(line: Line) -> Hello | None:
    """What the board says of itself; None where nothing of ours answers, as on a chip that was never flashed.

    Raises:
        DeviceError: there is no such port, or it is in use.
    """
    from harness.links.serial.messages import BoardFault, BoardLost, NotOurFirmware, ProtocolError
    from harness.links.serial.port import SerialPort
    from harness.links.serial.session import SerialSession

    with SerialPort(line.open()) as port:
        try:
            return SerialSession(port).hello(deadline_s=_ASK_S)
        except (BoardFault, BoardLost, NotOurFirmware, ProtocolError):
            return None


def _wait(profile: McuProfile, line: Line) -> Hello:
    """The board once it has started again; its port may vanish meanwhile, with the probe's USB.

    Raises:
        TransientDeviceError: it does not come back.
    """
    patience_s = profile.connect.again_s
    ends_s = time.monotonic() + patience_s
    why = "nothing on its line answers as the harness's firmware does"
    while True:
        try:
            found = _ask(line)
            if found is not None:
                return found
        except DeviceError as error:
            why = str(error)
        if time.monotonic() >= ends_s:
            raise TransientDeviceError(
                f"the board does not come back within {patience_s:g} s of being flashed: {why}",
                where=profile.name,
                hint="reset it by hand, and check that the firmware's port is for this very board (clock, pins, baud rate); "
                "`connect.again_s` in the profile is the patience",
            )
        time.sleep(_PAUSE_S)


def _require(profile: McuProfile, wanted: str, before: Hello | None, after: Hello) -> None:
    """Raises StableDeviceError where the board runs something else than what was flashed."""
    if after.firmware == wanted:
        return
    hint = "is the probe connected to this very board, and is this the port of that board? Is its flash protected?"
    if before is not None and after.firmware == before.firmware:
        raise StableDeviceError(
            f"the tool said that it was done, and the board still runs the old program (build {after.firmware}, not {wanted})",
            where=profile.name,
            hint=hint,
        )
    raise StableDeviceError(
        f"the board runs build {after.firmware} after build {wanted} was flashed", where=profile.name, hint=hint
    )
