"""Flashing by a debug probe with pyOCD, as a program of its own: what it prints, imports and leaks stays there."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from harness.core.errors import DeviceError, MissingPartError, StableDeviceError, TransientDeviceError
from harness.core.programs import Ended, run_program
from harness.flash.base import Flasher, FlashImage
from harness.flash.command import raise_unless_done
from harness.flash.profile import PyocdProfile


@dataclass(frozen=True, kw_only=True)
class _Said:
    """Something that pyOCD 0.46, or a library below it, says when it fails; `{probe}`, `{target}` and `{end}` are filled in.

    Attributes:
        any_of: lower-case words, of which one tells it.
        remote: only where the probe is at a `pyocd server`.
        well: also where pyOCD ended with exit status 0.
    """

    any_of: tuple[str, ...]
    error: type[DeviceError]
    what: str
    hint: str
    remote: bool = False
    well: bool = False


_WHICH = (
    "`pyocd list` shows what is there; `flash.probe` in the profile is its unique id, or enough of it to mean this one"
)
_FAULTS = (
    # What its target has no memory for is left out with a warning.
    _Said(
        any_of=("failed to add data chunk", "no memory region defined"),
        error=StableDeviceError,
        what="the firmware lies where pyOCD's target '{target}' has no memory, and was not written: {end}",
        hint="`flash.target` is the chip, and the firmware's memory.ld says where it belongs: one of them is of another board",
        well=True,
    ),
    _Said(
        any_of=("no connected debug probe", "no available debug probe"),
        error=StableDeviceError,
        what="{probe} is not connected",
        hint=f"plug it in; {_WHICH}",
    ),
    _Said(
        any_of=("more than one debug probe", "enter the number of the debug probe"),
        error=StableDeviceError,
        what="there are several probes, and {probe} may be more than one of them",
        hint=_WHICH,
    ),
    _Said(
        any_of=("connection refused", "name or service not known", "no route to host", "timed out"),
        error=TransientDeviceError,
        what="{probe} cannot be reached: {end}",
        hint="is `pyocd server` running on that machine, and is its port open?",
        remote=True,
    ),
    # By libusb, hidapi and pyOCD's drivers.
    _Said(
        any_of=(
            "resource busy",
            "access denied",
            "already in use",
            "unable to claim interface",
            "unable to open device",
            "probe is in use",
            "could not be opened",
        ),
        error=TransientDeviceError,
        what="{probe} is there, and cannot be opened: {end}",
        hint="close the debugger or the other program that uses it, and see that your user may use it (udev rules)",
    ),
    _Said(
        any_of=("not recognized. use 'pyocd list --targets'",),
        error=StableDeviceError,
        what="pyOCD does not know the target '{target}'",
        hint="pyocd pack install {target}; `pyocd list --targets` shows those that it knows",
    ),
    _Said(
        any_of=("target not detected",),
        error=TransientDeviceError,
        what="{probe} is there, and no chip answers it: {end}",
        hint="is the board powered, and its cable the right way round? A lower `flash.frequency_hz` helps a long one",
    ),
)


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
        """Raises DeviceError in the words of this harness."""
        said = ended.output.lower()
        probe, target = self._profile.probe, self._profile.target
        named = {
            "probe": f"the probe {probe}" if probe else "the debug probe",
            "target": target,
            "end": ended.last_lines(2),
        }
        for fault in _FAULTS:
            if fault.remote and not (probe or "").startswith("remote:") or ended.code == 0 and not fault.well:
                continue
            if any(words in said for words in fault.any_of):
                raise fault.error(fault.what.format_map(named), where=self._device, hint=fault.hint.format_map(named))
        raise_unless_done(ended, "pyocd", self._device, self._profile.timeout_s)
