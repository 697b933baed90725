"""Where a microcontroller's serial line comes from: a port of this machine, or a QEMU machine that runs the firmware."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.boards.mcu.profile import PORT_WORDS, McuProfile, SerialProfile, is_port
from harness.core.errors import HarnessError, UserInputError
from harness.envs.hostenv import TextProgress

if TYPE_CHECKING:
    from harness.boards.mcu.board import Line
    from harness.emulation.mcu.machine import McuMachine
    from harness.emulation.mcu.tflite_micro import TfliteMicro

_QEMU, _QEMU_PACKAGE = "qemu-system-arm", "qemu-system-arm"
_COMPILER, _COMPILER_PACKAGES = "arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"


@dataclass(frozen=True, kw_only=True)
class SerialAddress:
    """How to reach a board over a serial line: the port in pyserial's words, and its rate in bits per second."""

    port: str
    baud: int


def serial_address(profile: SerialProfile, environ: Mapping[str, str] | None = None) -> SerialAddress:
    """The profile's port, the environment's value in place.

    Args:
        profile: the device.
        environ: instead of this process's environment.

    Raises:
        UserInputError: no port is known, or the environment's value is none.
    """
    link = profile.link
    named = (os.environ if environ is None else environ).get(link.port_env, "") if link.port_env else ""
    if named and not is_port(named):
        what = f"${link.port_env} holds {named!r}, which is no serial port"
        raise UserInputError(what, where=profile.name, hint=f"{PORT_WORDS}; correct or unset {link.port_env}")
    port = named or link.port
    if port is None:
        local = profile.origin.local_path if profile.origin else Path("devices/local.yaml")
        entry = f"`{profile.name}: {{link: {{port: /dev/serial/by-id/...}}}}`"
        set_it = f"set {link.port_env}, or " if link.port_env else ""
        twin = "; --emulated runs on its emulated twin, which needs none" if profile.emulation else ""
        raise UserInputError(
            f"no serial port is known{f': {link.port_env} is not set' if link.port_env else ''}",
            where=profile.name,
            hint=f"{set_it}write the line {entry} into {local}{twin}",
        )
    return SerialAddress(port=port, baud=link.baud)


def mcu_unavailable_reason(profile: SerialProfile) -> str | None:
    """Why a board cannot even be tried; None when it can. Nothing is opened or built."""
    if profile.emulated:
        for program, packages in ((_QEMU, _QEMU_PACKAGE), (_COMPILER, _COMPILER_PACKAGES)):
            if shutil.which(program) is None:
                return f"{program} is not installed (apt-get install --no-install-recommends {packages})"
    try:
        if profile.emulated:
            tflite_micro_of(profile)
            return None
        serial_address(profile)
    except HarnessError as error:
        return str(error)
    return None


def tflite_micro_of(profile: McuProfile) -> TfliteMicro | None:
    """The TFLite Micro that the profile's firmware is built with; None: the plan runtime.

    Raises:
        UserInputError: none is named, or a part of it is not there.
    """
    if profile.runtime.module != "tflite-micro":
        return None
    from harness.emulation.mcu.tflite_micro import tflite_micro

    said = profile.runtime.tflite_micro
    parts = (said.include, said.library, said.defines) if said else ()
    return tflite_micro(*parts, where=profile.name)


def line_of(profile: McuProfile, *, progress: TextProgress | None = None) -> Line:
    """The line to a board, not yet open.

    Raises:
        UserInputError: no port; a wrong `emulation:` block; a TFLite Micro that is not there.
    """
    if profile.emulated:
        return EmulatedLine(profile, progress)
    return PortLine(serial_address(profile))


class PortLine:
    """A port of this machine, or of another one behind a URL."""

    icount_shift: int | None = None
    compiler: str | None = None

    def __init__(self, address: SerialAddress) -> None:
        self.description = address.port
        self._address = address

    def open(self) -> SerialAddress:
        """The port, which the session opens."""
        return self._address

    def alive(self) -> bool:
        """Only the session can tell."""
        return True

    def close(self) -> None:
        """The port belongs to the session."""


class EmulatedLine:
    """A machine that exists as long as the line is open: `open` builds the firmware if need be and starts a pristine board."""

    def __init__(self, profile: McuProfile, progress: TextProgress | None) -> None:
        from harness.boards.mcu.twin import emulated_board

        self.description = f"the emulated board {profile.name}"
        self._board = emulated_board(profile)
        self._tflite_micro = tflite_micro_of(profile)
        self._baud = profile.link.baud
        self._progress = progress
        self._machine: McuMachine | None = None
        self.compiler: str | None = None

    @property
    def icount_shift(self) -> int | None:
        """QEMU's shift, of the board's own description."""
        return self._board.emulation.icount_shift if self._board.emulation else None

    def open(self) -> SerialAddress:
        """Starts the machine.

        Raises:
            MissingPartError: QEMU or the cross compiler is missing; the hint names the packages.
            TransientDeviceError: the machine did not come up.
        """
        from harness.emulation.mcu.firmware import build_firmware
        from harness.emulation.mcu.machine import McuMachine

        self.close()
        firmware = build_firmware(self._board, tflite_micro=self._tflite_micro, progress=self._progress)
        self.compiler = firmware.compiler
        self._machine = McuMachine(firmware)
        return SerialAddress(port=self._machine.url, baud=self._baud)

    def alive(self) -> bool:
        """Whether QEMU still runs."""
        return self._machine is not None and self._machine.alive

    def close(self) -> None:
        """Ends the machine. Safe to call twice."""
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.stop()
