"""What is expected of a cell, said before its model is pushed."""

from __future__ import annotations

from harness.boards.base import Board
from harness.boards.profile.model import Profile
from harness.core.errors import UserInputError
from harness.prepare.prepared import PreparedModel
from harness.run.measurement import CellContext, Measurement


def note_prediction(
    measurement: Measurement,
    model: PreparedModel,
    context: CellContext,
    profile: Profile,
    board: Board | None,
    *,
    devices_dir: str | None = None,
) -> None:
    """Adds the prediction for the runtime that the board said it has, and by what it told of itself.

    A runtime or delegate that no data file describes predicts nothing, and what an offline compiler makes of a model is known
    when it has.
    """
    from harness.boards.predict import predict
    from harness.tflite.graph import read_graph

    artifact = model.artifact
    if artifact.path is None or context.backend.compiler is not None:
        return
    try:
        measurement.prediction = predict(
            read_graph(artifact.path),
            artifact.size_bytes or 0,
            profile,
            context.backend,
            runtime=context.fingerprint.runtime,
            machine=context.fingerprint.machine,
            devices_option=devices_dir,
            board=board.facts_for_prediction() if board is not None else None,
        )
    except UserInputError as error:
        measurement.unpredictable = str(error)
