"""Devices on which nothing runs: an offline compiler's estimates for a board that is not there.

`emulation: {machine: vela-estimate}` in a profile makes the twin `NAME@vela`. It has the backends that have a `compile:`
block, and its cells say what the compiler says: placement, cycles, memory, and a time for the NPU's part.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.boards.adapt import Adapted, NotAdapted
from harness.boards.base import BackendSpec, Board, Deadlines, Progress, Worker
from harness.boards.profile.model import ESTIMATE_SUFFIX, LocalLinkProfile, Profile
from harness.core.errors import StableDeviceError, UserInputError
from harness.core.fingerprint import Fingerprint

if TYPE_CHECKING:
    from harness.prepare.prepared import PreparedModel

#: `emulation.machine` of such a twin
ESTIMATE_MACHINE = "vela-estimate"


def estimate_twin(profile: Profile) -> Profile:
    """The twin of a board whose `emulation:` block names the machine `vela-estimate`.

    Raises:
        UserInputError: other keys in the block, or no backend with a `compile:` block.
    """
    where = str(profile.origin.path) if profile.origin else profile.name
    others = sorted(set(profile.emulation or {}) - {"machine"})
    if others:
        what = f"emulation: {', '.join(others)} means nothing to an estimate, which has no machine"
        raise UserInputError(what, where=where, hint=f"keep only `machine: {ESTIMATE_MACHINE}`")
    backends = {name: backend for name, backend in profile.backends.items() if backend.compile is not None}
    if not backends:
        what = f"{profile.name} has no backend with a `compile:` block, so there is nothing to estimate"
        raise UserInputError(what, where=where, hint="add the block, or remove `emulation:`")
    return profile.model_copy(
        update={
            "name": f"{profile.name}{ESTIMATE_SUFFIX}",
            "title": f"{profile.title}: estimates of Vela, nothing runs",
            "link": LocalLinkProfile(type="local"),
            "backends": backends,
            "time_basis": "estimate",
            "exclusive": None,
            "emulation": None,
        }
    )


def compiler_packages(profile: Profile) -> list[str]:
    """The pinned packages of the offline compilers that a device's backends name, each once."""
    found = [b.compile.package for b in profile.backends.values() if b.compile is not None]
    return list(dict.fromkeys(found))


class EstimateBoard(Board):
    """Stands where a board would be, so that a run has one path for all devices. Nothing can be run on it."""

    def __init__(self, profile: Profile) -> None:
        self.name = profile.name
        self._compilers = compiler_packages(profile)

    def connect(self) -> Fingerprint:
        """What the figures depend on: the compiler, and nothing of this machine."""
        compilers = ", ".join(p.replace("==", " ") for p in self._compilers)
        return Fingerprint(runtime=f"none (estimates of {compilers})", harness_version=__version__)

    def adapt(self, model: PreparedModel, backend: BackendSpec, *, say: Callable[[str], None]) -> Adapted | NotAdapted:
        """Nothing more than the compiler did."""
        return Adapted(model=model, artifact=model.artifact, runs=False)

    def ensure_file(self, source: Path, sha256: str, *, progress: Progress | None = None) -> bool:
        raise self._nothing_runs()

    def open_worker(self, backend: BackendSpec, deadlines: Deadlines) -> Worker:
        raise self._nothing_runs()

    def close(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing is under way on a board; a compiler ends by itself within seconds."""

    def _nothing_runs(self) -> StableDeviceError:
        return StableDeviceError("nothing runs on a compiler's estimates", where=self.name, hint="use the real board")
