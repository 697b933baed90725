"""The serial line of a microcontroller made of QEMU: it exists as long as the line is open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import MissingPartError
from harness.links.serial.line import Line
from harness.links.serial.port import SerialSettings

if TYPE_CHECKING:
    from harness.emulation.mcu.board import McuBoard
    from harness.emulation.mcu.machine import McuMachine
    from harness.emulation.mcu.tflite_micro import TfliteMicro

_PROGRAMS = {
    "qemu-system-arm": "qemu-system-arm",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
}


def require_programs() -> None:
    """The emulator and the cross compiler are here.

    Raises:
        MissingPartError: the hint names the packages.
    """
    for program, packages in _PROGRAMS.items():
        if shutil.which(program) is None:
            hint = f"apt-get install --no-install-recommends {packages}"
            raise MissingPartError(f"{program} is not installed", hint=hint)


class EmulatedLine(Line):
    """`open` builds the firmware if need be and starts a pristine board; `close` ends it.

    Args:
        device: the emulated board's name.
        board: the port of the firmware.
        tflite_micro: what to build it with; None: the plan runtime.
        baud: of the line, which has no rate of its own.
        progress: told of long waits, such as the compiler's.
    """

    def __init__(
        self,
        device: str,
        board: McuBoard,
        *,
        tflite_micro: TfliteMicro | None = None,
        baud: int = 115_200,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.description = f"the emulated board {device}"
        self._board = board
        self._tflite_micro = tflite_micro
        self._baud = baud
        self._progress = progress
        self._machine: McuMachine | None = None
        #: in place of the firmware that belongs to the sources
        self._program: Path | None = None

    @property
    def icount_shift(self) -> int | None:
        """QEMU's shift, of the board's own description."""
        return self._board.emulation.icount_shift if self._board.emulation else None

    def open(self) -> SerialSettings:
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
        if self._program is not None:
            firmware = replace(firmware, elf=self._program)
        self._machine = McuMachine(firmware)
        return SerialSettings(port=self._machine.url, baud=self._baud)

    def alive(self) -> bool:
        """Whether QEMU still runs."""
        return self._machine is not None and self._machine.alive

    def load_program(self, elf: Path) -> None:
        """The machine ends; the next one is started with this program."""
        self.close()
        self._program = elf

    def close(self) -> None:
        """Ends the machine. Safe to call twice."""
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.stop()
