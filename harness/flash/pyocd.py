"""Flashing by a debug probe with pyOCD, as a program of its own: what it prints, imports and leaks stays there."""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from harness.core.errors import MissingPartError, StableDeviceError, TransientDeviceError
from harness.core.programs import Ended, run_program
from harness.flash.base import Flasher, FlashImage
from harness.flash.command import raise_unless_done
from harness.flash.profile import PyocdProfile

#: what pyOCD and the USB libraries below it say
_NO_PROBE = ("no available debug probes", "no connected debug probes", "no debug probes", "no probe with unique id")
_BUSY = (
    "resource busy",
    "access denied",
    "already in use",
    "unable to claim",
    "probe is in use",
    "could not be opened",
)
_NO_TARGET = ("target type", "not recognized")


class PyocdFlasher(Flasher):
    """`pyocd load` with the target and the probe of a profile."""

    def __init__(self, profile: PyocdProfile, device: str) -> None:
        self._profile = profile
        self._device = device

    def require_parts(self) -> None:
        """pyOCD is installed."""
        if find_spec("pyocd") is None:
            raise MissingPartError(
                "pyOCD is not installed",
                where=self._device,
                hint="pip install 'tflite-hil-harness[pyocd]', or flash with `flash: {command: [...]}`",
            )

    def flash(self, image: FlashImage) -> None:
        """Erases the sectors that the image covers, writes it, and resets the board."""
        self.require_parts()
        profile = self._profile
        command = [sys.executable, "-m", "pyocd", "load", "--no-config", "--no-wait", "--format", "elf"]
        command += ["--target", profile.target]
        command += ["--probe", profile.probe] if profile.probe else []
        command += ["--frequency", str(profile.frequency_hz)] if profile.frequency_hz else []
        # A folder of its own: pyOCD runs scripts and reads settings that lie where it is started.
        with tempfile.TemporaryDirectory(prefix="harness-pyocd-") as folder:
            ended = run_program([*command, str(image.elf)], timeout_s=profile.timeout_s, folder=Path(folder))
        self._explain(ended)

    def _explain(self, ended: Ended) -> None:
        """Raises DeviceError in the words of this harness; pyOCD ends with 0 where it found no probe."""
        said = ended.output.lower()
        probe = f"the probe {self._profile.probe}" if self._profile.probe else "a debug probe"
        if any(words in said for words in _NO_PROBE):
            raise StableDeviceError(
                f"{probe} is not connected",
                where=self._device,
                hint="plug it in; `pyocd list` shows what is there; `flash.probe` in the profile is its unique id",
            )
        if ended.code != 0 and any(words in said for words in _BUSY):
            raise TransientDeviceError(
                f"{probe} is there, and cannot be opened: {ended.last_lines(2)}",
                where=self._device,
                hint="close the debugger or the other program that uses it, and see that your user may use it (udev rules)",
            )
        if ended.code != 0 and all(words in said for words in _NO_TARGET):
            raise StableDeviceError(
                f"pyOCD does not know the target '{self._profile.target}'",
                where=self._device,
                hint=f"pyocd pack install {self._profile.target}; `pyocd list --targets` shows those that it knows",
            )
        raise_unless_done(ended, "pyocd", self._device, self._profile.timeout_s)
