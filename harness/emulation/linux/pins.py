"""Which exact packages an image is made of: resolved once, kept, and part of the image's address.

Without this file an image's key would need the network. `harness emulator build --refresh` resolves anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core.files import sha256_json, write_json_atomic
from harness.emulation.linux.debs import RELEASE, Deb, PrivateApt
from harness.emulation.linux.rootfs import KERNEL_META_PACKAGE, PACKAGES
from harness.emulation.linux.wheels import Wheel, resolve_wheels
from harness.envs.hostenv import TextProgress


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Packages by exact version and digest. `kernel` is unpacked on its own."""

    debs: tuple[Deb, ...]
    kernel: Deb
    wheels: tuple[Wheel, ...]

    @property
    def digest(self) -> str:
        """One value for all of them."""
        return sha256_json(asdict(self))


@dataclass(frozen=True, kw_only=True)
class PackageStore:
    """Where packages and their lists are kept.

    Attributes:
        folder: `apt/`, `wheels/` and `pins/` below it.
    """

    folder: Path

    @property
    def apt(self) -> PrivateApt:
        return PrivateApt(self.folder / "apt")

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    def read(self, runtime: str) -> Pins | None:
        """What was resolved before; None when nothing was, or for another selection of packages."""
        try:
            found = json.loads(self._path(runtime).read_text())
            return Pins(
                debs=tuple(Deb(**deb) for deb in found["debs"]),
                kernel=Deb(**found["kernel"]),
                wheels=tuple(Wheel(**wheel) for wheel in found["wheels"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def resolve(self, runtime: str, say: TextProgress) -> Pins:
        """Asks apt and pip what is current; the wheels are downloaded by that.

        Raises:
            MissingPartError: apt or pip failed.
        """
        say("reading the package lists")
        self.apt.update()
        say("resolving packages")
        kernel = self.apt.dependency(KERNEL_META_PACKAGE)
        debs = {deb.name: deb for deb in self.apt.resolve(PACKAGES, alone=[kernel])}
        say(f"downloading aarch64 wheels of {runtime}")
        pins = Pins(kernel=debs.pop(kernel), debs=tuple(debs.values()), wheels=resolve_wheels(runtime, self.wheels))
        write_json_atomic(self._path(runtime), asdict(pins))
        return pins

    def _path(self, runtime: str) -> Path:
        selection = {
            "packages": PACKAGES,
            "kernel": KERNEL_META_PACKAGE,
            "release": RELEASE,
            "runtime": runtime,
            "layout": 1,
        }
        return self.folder / "pins" / f"{runtime.replace('==', '-')}-{sha256_json(selection)[:8]}.json"
