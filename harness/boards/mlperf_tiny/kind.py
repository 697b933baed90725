"""Boards with MLPerf Tiny's reference firmware, which holds its model: text commands over a serial line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.boards.base import BackendSpec, Board
from harness.boards.kind import BoardKind, CheckStep
from harness.boards.mlperf_tiny.profile import MLPERF_TINY, MlperfTinyProfile

if TYPE_CHECKING:
    from harness.envs.hostenv import TextProgress
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph


class MlperfTinyKind(BoardKind[MlperfTinyProfile]):
    """`kind: mcu` with `runtime: mlperf-tiny`."""

    name = "mlperf_tiny"
    profile_model = MlperfTinyProfile

    def takes(self, data: Mapping[str, Any]) -> bool:
        """Profiles whose runtime is this firmware."""
        runtime = data.get("runtime")
        return (runtime.get("module") if isinstance(runtime, dict) else runtime) == MLPERF_TINY

    def require_address(self, profile: MlperfTinyProfile) -> None:
        """The line knows its port."""
        profile.link.require_address(profile.place())

    def require_parts(self, profile: MlperfTinyProfile) -> None:
        """What the line needs."""
        profile.link.require_parts(profile.place())

    def absence(self, profile: MlperfTinyProfile) -> str | None:
        """What the line knows."""
        return profile.link.absence(profile.place())

    def link_text(self, profile: MlperfTinyProfile) -> str:
        """The line's own words."""
        return profile.link.text(profile.place())

    def runtime_text(self, profile: MlperfTinyProfile) -> str:
        """The firmware's name."""
        return profile.runtime.module

    def environment_text(self, profile: MlperfTinyProfile) -> str:
        """Nothing of it stands here."""
        return f"{profile.runtime.module} of the firmware"

    def connect(self, profile: MlperfTinyProfile, *, progress: TextProgress | None = None) -> Board:
        """The board on its line."""
        from harness.boards.mlperf_tiny.board import MlperfTinyBoard

        return MlperfTinyBoard(profile, profile.link.make_line(profile.place(say=progress)))

    def backend_spec(self, profile: MlperfTinyProfile, name: str) -> BackendSpec:
        """There are no threads to set."""
        return replace(super().backend_spec(profile, name), threads=0)

    def check_board(self, profile: MlperfTinyProfile, board: Board) -> Iterator[CheckStep]:
        """What the firmware says of itself, a load and an inference."""
        from harness.boards.mlperf_tiny.check import check_mlperf_tiny

        yield from check_mlperf_tiny(profile, board)

    def predict(
        self,
        profile: MlperfTinyProfile,
        graph: Graph,
        artifact_size: int,
        backend: BackendSpec,
        *,
        runtime: str | None = None,
        machine: str | None = None,
        devices_option: str | os.PathLike[str] | None = None,
        board: object | None = None,
    ) -> Prediction:
        """The firmware was built with its model: nothing is loaded, and only the outputs can say whether it is this one."""
        from harness.predict.prediction import unknown_prediction

        return unknown_prediction(
            graph,
            artifact_size,
            device=profile.name,
            backend=backend.name,
            runtime=runtime or profile.runtime.module,
            runtime_assumed=runtime is None,
            reason="the firmware holds a model of its own; whether it is this one, `runtime.models` says and the outputs show",
        )


KIND = MlperfTinyKind()
