"""What stands where a board would be: its cells say what an offline compiler says, and nothing is ever pushed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.boards.adapt import Adapted, NotAdapted
from harness.boards.base import BackendSpec, Board, Deadlines, Progress, Worker
from harness.core.errors import StableDeviceError
from harness.core.fingerprint import Fingerprint

if TYPE_CHECKING:
    from harness.boards.estimate.profile import EstimateProfile
    from harness.prepare.prepared import PreparedModel


class EstimateBoard(Board):
    """Stands where a board would be, so that a run has one path for all devices. Nothing can be run on it."""

    def __init__(self, profile: EstimateProfile) -> None:
        self.name = profile.name
        self._compilers = profile.compilers

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
