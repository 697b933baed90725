"""What will happen to a model on a device: `harness.predict`, with the facts that the device's kind knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.boards.registry import kind_of

if TYPE_CHECKING:
    from harness.boards.base import BackendSpec
    from harness.boards.profile.model import Profile
    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph


def predict(
    graph: Graph,
    artifact_size: int,
    profile: Profile,
    backend: BackendSpec,
    *,
    runtime: str | None = None,
    machine: str | None = None,
    devices_option: str | os.PathLike[str] | None = None,
    board: object | None = None,
) -> Prediction:
    """What is expected of a model on one backend of a device.

    Args:
        graph: the model.
        artifact_size: bytes of its file.
        profile: the device.
        backend: one of the profile's, from `harness.boards.connect.backend_spec`.
        runtime: `NAME VERSION` as a board's fingerprint says, or `NAME==VERSION`. Without it what the profile says, else the
            newest version of the profile's runtime that is known here, marked as assumed.
        machine: the board's processor family as its fingerprint says. Without it what the profile's link knows, else unknown:
            what is known of one family alone is then not predicted.
        devices_option: a folder to look for delegate tables in first.
        board: what a connected board says of itself (`Board.facts_for_prediction`), in place of what its profile says.

    Raises:
        UserInputError: an unknown runtime, a faulty delegate table.
    """
    return kind_of(profile).predict(
        profile,
        graph,
        artifact_size,
        backend,
        runtime=runtime,
        machine=machine,
        devices_option=devices_option,
        board=board,
    )
