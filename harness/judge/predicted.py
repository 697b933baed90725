"""What was predicted of a cell, beside what happened to it: predictions are stored, compared, and contradictions told."""

from __future__ import annotations

from dataclasses import replace

from harness.boards.base import BackendSpec
from harness.predict.compare import compare_prediction
from harness.predict.prediction import Prediction
from harness.results.record import CellRecord
from harness.run.measurement import Measurement
from harness.tflite.delegates.log import parse_delegate_log


def note_prediction(record: CellRecord, measurement: Measurement, backend: BackendSpec) -> None:
    """Adds the prediction, the findings where it was wrong, and a reason to each op that fell back.

    A fallback's reason is the delegate's own where its log tells, else the coverage table's. A cell that failed for reasons of
    board or link contradicts nothing.
    """
    if record.outcome == "failed":
        return
    if measurement.unpredictable is not None:
        record.prediction = {"unknown": measurement.unpredictable}
    if measurement.prediction is None:
        return
    _note(record, measurement.prediction, backend)
    record.findings.extend(compare_prediction(measurement.prediction, record))


def _note(record: CellRecord, prediction: Prediction, backend: BackendSpec) -> None:
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
