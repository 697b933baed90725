"""What was predicted of a cell, beside what happened to it: predictions are stored, compared, and contradictions told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.boards.base import BackendSpec
from harness.boards.profile.model import Profile
from harness.core.errors import UserInputError
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord

if TYPE_CHECKING:
    pass


def note_prediction(
    record: CellRecord,
    model: PreparedModel,
    profile: Profile,
    backend: BackendSpec,
    *,
    devices_dir: str | None = None,
    board: object | None = None,
) -> None:
    """Adds the prediction, the findings where it was wrong, and a reason to each op that fell back.

    A fallback's reason is the delegate's own where its log tells, else the coverage table's. The prediction is for the
    runtime that the board said it has, and for a microcontroller by the facts it told (`board`). A runtime or delegate that
    no data file describes predicts nothing.
    """
    from harness.boards.predict import predict
    from harness.predict.compare import compare_prediction
    from harness.tflite.delegates.log import parse_delegate_log
    from harness.tflite.graph import read_graph

    artifact = model.artifact
    if artifact.path is None or record.outcome == "failed":
        return
    runtime = record.fingerprint.runtime if record.fingerprint else None
    try:
        graph = read_graph(artifact.path)
        prediction = predict(
            graph,
            artifact.size_bytes or 0,
            profile,
            backend,
            runtime=runtime,
            devices_option=devices_dir,
            machine=record.fingerprint.machine if record.fingerprint else None,
            board=board,
        )
    except UserInputError as error:
        record.prediction = {"unknown": str(error)}
        return
    record.prediction = {
        "runtime": prediction.runtime,
        "loads": prediction.loads,
        "right": prediction.right,
        "fits": prediction.fits,
        "delegated_nodes": prediction.taken,
        "partitions": prediction.partitions,
        "reasons": list(prediction.reasons),
    }
    logged = parse_delegate_log(record.board_log or "").refused
    tabled = {node.node: node.reason for node in prediction.fallback}
    known = prediction.nodes is not None
    if known and backend.delegate_path is not None:
        record.prediction["left_nodes"] = sorted(tabled)
    record.fallback = [
        replace(
            op,
            reason=op.reason or logged.get(op.node) or tabled.get(op.node),
            predicted=(op.node in tabled) if known else None,
        )
        for op in record.fallback
    ]
    record.findings.extend(compare_prediction(prediction, record))
