"""Profiles of devices on which nothing runs: `time_basis: estimate`, and the twins `NAME@vela` of boards."""

from __future__ import annotations

from typing import Self

from pydantic import Field, PrivateAttr, model_validator

from harness.boards.linux.profile import AgentProfile, RuntimeProfile
from harness.boards.profile.fields import VendorBenchmark
from harness.boards.profile.model import Profile
from harness.core.fields import inconsistent
from harness.core.fingerprint import TimeBasis
from harness.links.profile import ProgramLink


class EstimateProfile(Profile):
    """One device that an offline compiler stands in for. What boards with Linux have may stand there; nothing asks for it."""

    kind: str = "linux"
    link: ProgramLink | None = None
    runtime: RuntimeProfile | None = None
    agent: AgentProfile = Field(default_factory=AgentProfile)
    vendor_benchmark: VendorBenchmark | None = None
    time_basis: TimeBasis = "estimate"

    _board_runtime: str | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _has_a_source(self) -> EstimateProfile:
        if any(backend.compile is None for backend in self.backends.values()):
            raise inconsistent(
                "`time_basis: estimate` needs a `compile:` block in every backend: nothing else gives estimates"
            )
        return self

    @property
    def runtime_text(self) -> str:
        """The runtime of the board that the compiler works for; the compiler itself where nobody says."""
        own = self.runtime.text if self.runtime else None
        return self._board_runtime or own or ", ".join(self.compilers)

    def standing_for(self, runtime: str) -> Self:
        """The same profile, knowing which runtime the board has."""
        copy = self.model_copy()
        copy._board_runtime = runtime
        return copy

    @property
    def compilers(self) -> list[str]:
        """The pinned packages of the offline compilers that the backends name, each once."""
        found = [backend.compile.package for backend in self.backends.values() if backend.compile is not None]
        return list(dict.fromkeys(found))
