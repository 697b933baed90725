"""A score that was lost before the device: the device gives what the model says, and the model says less than the float one."""

from __future__ import annotations

from harness.core.finding import Finding
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord

#: from this share of the float model's score on a loss is worth a word
_LOSS = 0.1
#: and only one that is more than chance
_P = 0.001
#: rounding that changes so many answers, or moves outputs by so much of their spread, is named as the cause
_MOVED, _BLURRED = 0.1, 0.3
#: the finding that says of a lost score all that there is to say
_LOST_ALL = "score-at-chance"


def note_loss(record: CellRecord, model: PreparedModel) -> None:
    """Adds a finding where a cell that is ok is clearly worse than the float model, so that nobody looks for it on the board."""
    metric, delta, score = model.metric, record.score_delta, record.score
    if record.outcome != "ok" or not record.reference_figures or metric is None or delta is None or score is None:
        return
    if any(finding.code == _LOST_ALL for finding in record.findings):
        return
    loss, p = metric.loss_of(delta), record.score_p
    if p is None or p >= _P or loss < _LOSS * abs(score - delta):
        return
    record.findings.append(
        Finding(
            code="lost-before-device",
            severity="warning",
            where=record.key.text,
            what=f"the float model scores {score - delta:.4g} and this one {score:.4g}, and that is no fault of the device: it "
            f"gives what this .tflite says{_cause(record)}",
            fix="take a recipe that rounds less (int16x8, dynamic range, float16, weights only), or quantization-aware "
            "training; `harness audit` shows ranges and scales",
        )
    )


def _cause(record: CellRecord) -> str:
    """What the model's own rounding does to its first output, where that is much."""
    figures = (record.reference_figures or [{}])[0]
    moved, error, spread = (figures.get(name) for name in ("own_disagreement", "quantization_error", "spread"))
    if moved is not None and moved >= _MOVED:
        return f"; rounding its activations to integers changes {moved:.0%} of its answers"
    if error is not None and spread and error > _BLURRED * spread:
        return f"; rounding its activations to integers moves its outputs by {error / spread:.1f} of their spread"
    return ""
