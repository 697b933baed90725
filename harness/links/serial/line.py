"""Where a microcontroller's serial line comes from: a port of this machine, or something that is started for it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from harness.core.errors import UnsupportedError
from harness.links.serial.port import SerialSettings


class Line(Protocol):
    """A serial line. Classes that derive from it get the answers of a port of this machine.

    Attributes:
        description: what stands in errors.
        compiler: what the board's firmware was compiled with; None where nobody knows but the board.
    """

    description: str
    compiler: str | None = None

    @property
    def icount_shift(self) -> int | None:
        """Instructions are counted with this QEMU shift; None on a real board."""
        return None

    def open(self) -> SerialSettings:
        """Makes the line ready; returns the port to open. May be called again after `close`."""
        ...

    def alive(self) -> bool:
        """False when what stands behind the port has ended; True where only the session can tell."""
        return True

    def close(self) -> None:
        """Ends what `open` started. Safe to call twice."""
        return None

    def load_program(self, elf: Path) -> None:
        """Puts a program into the board behind the line, which starts with it when the line is opened next; only where the link's
        profile says `takes_programs`.
        """
        raise UnsupportedError(
            "takes no programs", where=self.description, hint="give the board a `flash:` block in its profile"
        )


class PortLine(Line):
    """A port of this machine, or of another one behind a URL. It belongs to the session that opens it."""

    def __init__(self, settings: SerialSettings) -> None:
        self.description = settings.port
        self._settings = settings

    def open(self) -> SerialSettings:
        """The port, which the session opens."""
        return self._settings
