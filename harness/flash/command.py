"""Flashing with a program of the user's, such as openocd, st-flash, nrfjprog or JLinkExe."""

from __future__ import annotations

from harness.core.errors import StableDeviceError, TransientDeviceError
from harness.core.programs import Ended, find_program, run_program
from harness.flash.base import Flasher, FlashImage
from harness.flash.profile import CommandProfile


class CommandFlasher(Flasher):
    """Runs `flash.command` of a profile."""

    def __init__(self, profile: CommandProfile, device: str) -> None:
        self._profile = profile
        self._device = device

    def require_parts(self) -> None:
        """The program is there."""
        self._program()

    def flash(self, image: FlashImage) -> None:
        """Runs the program with the image's names in its arguments; it must end with exit status 0."""
        names = {"{elf}": str(image.elf), "{bin}": str(image.bare), "{address}": f"{image.address:#010x}"}
        arguments = [_filled(argument, names) for argument in self._profile.command[1:]]
        ended = run_program([self._program(), *arguments], timeout_s=self._profile.timeout_s)
        raise_unless_done(ended, self._profile.command[0], self._device, self._profile.timeout_s)

    def _program(self) -> str:
        return find_program(self._profile.command[0], hint="install it, or correct `flash.command` in the profile")


def _filled(argument: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        argument = argument.replace(name, value)
    return argument


def raise_unless_done(ended: Ended, program: str, device: str, timeout_s: float) -> None:
    """Raises DeviceError for a tool that did not end well, with the end of what it printed."""
    if ended.code == 0:
        return
    if ended.code is None:
        raise TransientDeviceError(
            f"{program} did not end within {timeout_s:g} s and was ended; the last of it: {ended.last_lines()}",
            where=device,
            hint="look at probe and cable; `flash.timeout_s` in the profile is its deadline",
        )
    how = f"exit status {ended.code}" if ended.code > 0 else f"signal {-ended.code}"
    raise StableDeviceError(
        f"{program} did not flash the board ({how}): {ended.last_lines()}",
        where=device,
        hint="is the probe connected, and no other program using it?",
    )
