"""Devices on which nothing runs: an offline compiler's estimates for a board that is not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.boards.base import BackendSpec, Board
from harness.boards.estimate.profile import EstimateProfile
from harness.boards.estimate.twin import MACHINE, SUFFIX, estimate_twin
from harness.boards.kind import BoardKind, CheckStep
from harness.boards.profile.model import Profile
from harness.core.errors import MissingPartError

if TYPE_CHECKING:
    from harness.envs.hostenv import TextProgress
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph


class EstimateKind(BoardKind[EstimateProfile]):
    """`time_basis: estimate`; also the twins of boards whose `emulation.machine` is `vela-estimate`."""

    name = "estimate"
    profile_model = EstimateProfile
    twin_suffix = SUFFIX
    twin_machines = (MACHINE,)

    def takes(self, data: Mapping[str, Any]) -> bool:
        """Profiles that say so."""
        return data.get("time_basis") == "estimate"

    def require_parts(self, profile: EstimateProfile) -> None:
        """A Python for each compiler."""
        from harness.envs.hostenv import env_unavailable_reason

        for package in profile.compilers:
            if reason := env_unavailable_reason(package):
                raise MissingPartError(reason)

    def link_text(self, profile: EstimateProfile) -> str:
        """There is none."""
        return "estimated, nothing runs"

    def runtime_text(self, profile: EstimateProfile) -> str:
        """The board's, for which the compiler works."""
        return profile.runtime_text

    def connect(self, profile: EstimateProfile, *, progress: TextProgress | None = None) -> Board:
        """What stands where a board would be."""
        from harness.boards.estimate.board import EstimateBoard

        return EstimateBoard(profile)

    def backend_spec(self, profile: EstimateProfile, name: str) -> BackendSpec:
        """Threads and CPUs mean nothing where nothing runs."""
        return replace(super().backend_spec(profile, name), threads=0, affinity=())

    def check(self, profile: EstimateProfile, *, progress: TextProgress | None = None) -> Iterator[CheckStep]:
        """Its compilers, each with the tiny model. Nobody has to be kept away: there is no board."""
        from harness.boards.adapt import NotAdapted, adapt
        from harness.boards.check_model import checked_model

        with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
            model, _ = checked_model(Path(folder))
            for name in profile.backends:
                spec, board = self.backend_spec(profile, name), self.connect(profile)
                found = adapt(board, model, spec, say=progress or (lambda _text: None))
                if isinstance(found, NotAdapted):
                    yield CheckStep(name=f"backend {name}", ok=False, detail=found.reason)
                    continue
                figures = found.stages[0].facts["compiled"]
                yield CheckStep(
                    name=f"backend {name}",
                    ok=True,
                    detail=f"{figures['compiler']} compiles the check model: {figures['cycles_total']} cycles; "
                    "nothing runs, so nothing is measured",
                )

    def predict(
        self,
        profile: EstimateProfile,
        graph: Graph,
        artifact_size: int,
        backend: BackendSpec,
        *,
        runtime: str | None = None,
        machine: str | None = None,
        devices_option: str | os.PathLike[str] | None = None,
        board: object | None = None,
    ) -> Prediction:
        """By the delegate's table; no runtime sees the model."""
        from harness.predict.prediction import Target, predict

        target = Target(
            device=profile.name,
            backend=backend.name,
            runtime=None,
            kernels=backend.kernels,
            delegate_name=backend.delegate_name,
            delegate_path=backend.delegate_path,
            delegate_options=backend.delegate_options,
            file_limit_bytes=profile.limits.cache_bytes,
            memory_limit_bytes=profile.limits.ram_bytes,
        )
        return predict(graph, artifact_size, target, devices_option=devices_option)

    def twin(self, profile: Profile) -> EstimateProfile:
        """The twin of a board of any kind."""
        return estimate_twin(profile)


KIND = EstimateKind()
