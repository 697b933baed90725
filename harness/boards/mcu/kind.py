"""Microcontrollers with the harness's firmware, real or in QEMU: frames over a serial line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.boards.base import BackendSpec, Board
from harness.boards.kind import BoardKind, CheckStep
from harness.boards.mcu.profile import McuProfile

if TYPE_CHECKING:
    from harness.envs.hostenv import TextProgress
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph


class McuKind(BoardKind[McuProfile]):
    """`kind: mcu`."""

    name = "mcu"
    profile_model = McuProfile

    def require_address(self, profile: McuProfile) -> None:
        """The line knows its port."""
        profile.link.require_address(profile.place())

    def require_parts(self, profile: McuProfile) -> None:
        """What the line needs."""
        profile.link.require_parts(profile.place())

    def absence(self, profile: McuProfile) -> str | None:
        """What the line knows."""
        return profile.link.absence(profile.place())

    def link_text(self, profile: McuProfile) -> str:
        """The line's own words."""
        return profile.link.text(profile.place())

    def runtime_text(self, profile: McuProfile) -> str:
        """What the firmware is expected to have."""
        return profile.runtime.module

    def environment_text(self, profile: McuProfile) -> str:
        """Nothing of it stands here."""
        return f"{profile.runtime.module} of the firmware"

    def connect(self, profile: McuProfile, *, progress: TextProgress | None = None) -> Board:
        """The board on its line."""
        from harness.boards.mcu.board import McuBoard

        return McuBoard(profile, profile.link.make_line(profile.place(say=progress)))

    def backend_spec(self, profile: McuProfile, name: str) -> BackendSpec:
        """There are no threads to set."""
        return replace(super().backend_spec(profile, name), threads=0)

    def can_flash(self, profile: McuProfile) -> bool:
        """With a `flash:` block, or behind a line that takes programs."""
        return profile.flash is not None or profile.link.takes_programs

    def flash(self, profile: McuProfile, *, build: bool, say: TextProgress) -> str:
        """With a debug probe, the user's own tool, or QEMU's loader."""
        from harness.boards.mcu.flashing import flash_mcu

        return flash_mcu(profile, build=build, say=say)

    def check_board(self, profile: McuProfile, board: Board) -> Iterator[CheckStep]:
        """What the board says of itself, and the tiny model."""
        from harness.boards.mcu.check import check_mcu

        yield from check_mcu(profile, board)

    def predict(
        self,
        profile: McuProfile,
        graph: Graph,
        artifact_size: int,
        backend: BackendSpec,
        *,
        runtime: str | None = None,
        machine: str | None = None,
        devices_option: str | os.PathLike[str] | None = None,
        board: object | None = None,
    ) -> Prediction:
        """By the planner, and the memory that the board or its profile says."""
        from harness.boards.mcu.model import McuFacts
        from harness.boards.mcu.predict import predict_mcu

        assert board is None or isinstance(board, McuFacts)
        return predict_mcu(graph, artifact_size, profile, backend, runtime=runtime, board=board)

    def twin(self, profile: McuProfile) -> McuProfile:
        """The same firmware on a QEMU machine."""
        from harness.boards.mcu.twin import mcu_twin

        return mcu_twin(profile)


KIND = McuKind()
