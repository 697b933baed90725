"""What is flashed, and what flashes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class FlashImage:
    """A firmware as the tools take it.

    Attributes:
        elf: the linked program.
        bare: its bare bytes, in a file.
        address: where these belong.
        build: what the firmware calls itself once it runs.
    """

    elf: Path
    bare: Path
    address: int
    build: str


class Flasher(Protocol):
    """Writes an image into a board's flash and starts it."""

    def require_parts(self) -> None:
        """What it flashes with is on this machine.

        Raises:
            MissingPartError: the hint says how to get it.
        """
        ...

    def flash(self, image: FlashImage) -> None:
        """Returns when the tool says that it is done, which proves nothing: the board is asked afterwards.

        Raises:
            MissingPartError: as `require_parts`.
            StableDeviceError: the tool refused, with the end of what it said.
            TransientDeviceError: the probe is in use, or the tool did not end in time.
        """
        ...
