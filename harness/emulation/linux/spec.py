"""What an emulated board is: the `emulation:` block of a device profile, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError, unknown_name
from harness.core.files import sha256_file
from harness.core.fingerprint import TimeBasis
from harness.envs.hostenv import DISTRIBUTIONS, parse_package

#: the only machine of this module; `cortexm` boards are of another kind
MACHINE = "qemu-aarch64"
#: the processor family of these machines, as `uname -m` says it
FAMILY = "aarch64"
#: 64-bit Cortex-A cores that both QEMU's `virt` machine and the runtimes' wheels run on
CPUS = ("cortex-a35", "cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a76")
#: runtimes that have wheels for the board's Python (Debian 12: 3.11)
BOARD_PYTHON = (3, 11)

#: keys of the block that are laid over the profile itself rather than describing the machine
OVERRIDE_KEYS = ("backends", "samples", "deadlines", "limits", "sensors", "wait")

_BOARD_PATH = re.compile(r"(?!.*/\.\.?(/|$))(/[A-Za-z0-9._+@-]+)+")
_ONE_LINE = re.compile(r"[\x20-\x7e]{1,100}")


@dataclass(frozen=True, kw_only=True)
class BoardFile:
    """A file that is part of the board's image, as a vendor's BSP would bring it (a delegate's library).

    Attributes:
        source: the file on this machine.
        path: where it stands on the board, absolute.
    """

    source: Path
    path: str

    def __post_init__(self) -> None:
        if not _BOARD_PATH.fullmatch(self.path):
            raise UserInputError(f"'{self.path}' is no absolute path of letters, digits and ._+@- without '..'")


@dataclass(frozen=True, kw_only=True)
class EmulationSpec:
    """An emulated aarch64 board. Two equal specs share one image.

    Attributes:
        runtime: pinned runtime package, such as `tflite-runtime==2.14.0`.
        cpu: core that QEMU emulates.
        cpus: emulated cores. More than one is slower on most hosts, and impossible with `icount`.
        memory_mib: RAM of the board.
        disk_mib: size of its disk, of which about 200 MiB are used.
        icount: deterministic time: the guest's clock counts instructions, two nanoseconds each.
        model: device-tree model, as in /proc/device-tree/model of the real board; None keeps QEMU's own.
        files: files baked into the image.
    """

    runtime: str = "tflite-runtime==2.14.0"
    cpu: str = "cortex-a53"
    cpus: int = 1
    memory_mib: int = 512
    disk_mib: int = 1024
    icount: bool = False
    model: str | None = None
    files: tuple[BoardFile, ...] = field(default=())

    def __post_init__(self) -> None:
        name = parse_package(self.runtime).name
        if BOARD_PYTHON not in DISTRIBUTIONS[name].pythons:
            raise UserInputError(f"{name} has no wheel for Python {BOARD_PYTHON[0]}.{BOARD_PYTHON[1]}, the board's")
        if self.cpu not in CPUS:
            raise unknown_name("emulated CPU", self.cpu, CPUS)
        for name, low, high in (("cpus", 1, 8), ("memory_mib", 192, 8192), ("disk_mib", 384, 65536)):
            if not low <= getattr(self, name) <= high:
                raise UserInputError(f"{name}: {getattr(self, name)} is not between {low} and {high}")
        if self.icount and self.cpus != 1:
            hint = "set `cpus: 1`, or leave `icount` out"
            raise UserInputError("deterministic time (icount) needs a board with one CPU", hint=hint)
        if self.model is not None and not _ONE_LINE.fullmatch(self.model):
            raise UserInputError("model: expected one line of 1 to 100 printable ASCII characters")

    @property
    def time_basis(self) -> TimeBasis:
        """What times measured on this board are."""
        return "guest-instructions" if self.icount else "host-emulated"

    def identity(self) -> dict[str, Any]:
        """Everything that makes two specs different, as JSON; files count by content.

        Raises:
            UserInputError: a file to bake in cannot be read.
        """
        try:
            files = {file.path: sha256_file(file.source) for file in self.files}
        except OSError as error:
            what = f"a file of the emulated board cannot be read: {error.strerror}"
            raise UserInputError(what, where=str(error.filename)) from error
        return {
            "runtime": self.runtime,
            "cpu": self.cpu,
            "cpus": self.cpus,
            "memory_mib": self.memory_mib,
            "disk_mib": self.disk_mib,
            "icount": self.icount,
            "model": self.model,
            "files": files,
        }


@dataclass(frozen=True, kw_only=True)
class EmulationBlock:
    """The `emulation:` block taken apart: the machine, and what is laid over the profile of the real board."""

    spec: EmulationSpec
    overrides: Mapping[str, Any]


def parse_block(block: Mapping[str, Any], *, where: str, files: tuple[BoardFile, ...] = ()) -> EmulationBlock:
    """Reads a profile's `emulation:` mapping.

    Args:
        block: keys `machine` (`qemu-aarch64`), `runtime`, `cpu`, `cpus`, `memory_mib`, `disk_mib`, `icount`, `model`, and
            the overrides `backends`, `samples`, `deadlines`, `limits`, `sensors`, `wait`, which keep the form they have in the
            profile.
        where: the profile's file, for errors.
        files: files to bake into the image, such as the delegate that stands in for the vendor's.

    Raises:
        UserInputError: an unknown key or machine, a wrong type or value.
    """
    types: dict[str, type] = {
        "runtime": str,
        "cpu": str,
        "cpus": int,
        "memory_mib": int,
        "disk_mib": int,
        "icount": bool,
        "model": str,
    }
    try:
        for key in block:
            if key not in (*types, "machine", *OVERRIDE_KEYS):
                raise unknown_name("key in `emulation:`", str(key), [*types, "machine", *OVERRIDE_KEYS])
        if block.get("machine") != MACHINE:
            if "machine" in block:
                raise unknown_name("emulated machine", str(block["machine"]), [MACHINE])
            raise UserInputError("`emulation:` names no `machine`", hint=f"add `machine: {MACHINE}`")
        settings = {key: block[key] for key in types if key in block}
        for key, value in settings.items():
            if type(value) is not types[key]:
                words = {str: "text", int: "a whole number", bool: "true or false"}[types[key]]
                raise UserInputError(f"{key}: expected {words}, found {value!r}")
        spec = EmulationSpec(**settings, files=files)
    except UserInputError as error:
        raise UserInputError(error.what, where=f"{where}, emulation", hint=error.hint) from None
    return EmulationBlock(spec=spec, overrides={key: block[key] for key in OVERRIDE_KEYS if key in block})
