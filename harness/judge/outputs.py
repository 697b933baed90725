"""A cell's outputs judged: the score, the paired difference to the float model, the rule of `wrong` with what its ops say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from harness.boards.base import BackendSpec
from harness.core.finding import Finding
from harness.judge.loss import note_loss
from harness.judge.ops import settle
from harness.judge.question import note_question
from harness.measure.figures import rms
from harness.measure.judged import compare_exact, judge_cell, real_outputs, reference_values
from harness.measure.op_check import OpCheck, judge_ops
from harness.measure.rule import Judgement
from harness.measure.scoring import score
from harness.prepare.prepared import PreparedModel, ReferenceOutputs
from harness.results.record import CellRecord
from harness.run.measurement import Measurement


def note_outputs(record: CellRecord, measurement: Measurement, model: PreparedModel, backend: BackendSpec) -> None:
    """Adds the score, the figures of the comparison and the outcome to the record of a cell that ran to its end."""
    assert measurement.evaluated is not None
    outputs, count = measurement.evaluated.outputs, measurement.samples or 0
    record.samples = count
    record.outcome, record.reason = "ok", None
    record.fill(score(outputs, count, model))
    if model.reference is not None:
        _note_reference(record, measurement, model, model.reference, backend)
    note_question(record, outputs, count, model)
    note_loss(record, model)


def _note_reference(
    record: CellRecord,
    measurement: Measurement,
    model: PreparedModel,
    reference: ReferenceOutputs,
    backend: BackendSpec,
) -> None:
    """The comparison with the references, and the outcome that follows."""
    assert measurement.evaluated is not None
    outputs = measurement.evaluated.outputs
    record.reference = reference.identity
    try:
        judged = judge_cell(model, outputs, measurement.scores, float16_accumulation=measurement.float16_accumulation)
        exact = compare_exact(model, outputs)
    except ValueError as error:
        record.outcome, record.reason = "wrong", f"{error}; reference: {reference.identity}"
        return
    assert judged is not None
    _note_figures(record, judged, outputs, model, reference)
    if exact is not None and model.exact is not None:
        record.exact_reference = model.exact.identity
        record.max_lsb_diff, record.mismatch_share = exact.max_lsb_diff, exact.mismatch_share
    _note_reference_is_device(record, reference.identity, backend)
    ops = judge_ops(measurement.ops) if measurement.ops is not None else None
    if ops is not None and ops.ops:
        record.op_check = _op_check(ops)
    record.outcome, record.reason = settle(record, judged, ops, reference.identity, exact)
    shared = judged.samples
    if record.outcome != "wrong" and not any(np.isfinite(o[:shared]).any() for o in reference.outputs):
        record.outcome = "undecided"
        record.reason = "the model itself gives no finite number, so its outputs tell nothing"


def _note_figures(
    record: CellRecord,
    judged: Judgement,
    outputs: Sequence[np.ndarray],
    model: PreparedModel,
    reference: ReferenceOutputs,
) -> None:
    """The numbers behind the verdict."""
    record.reference_rule, record.reference_samples = judged.rule, judged.samples
    # JSON has no infinity: the error of outputs that are not finite is left out, and `not_finite` says why.
    record.reference_figures = [
        {
            n: v
            for n, v in asdict(figures).items()
            if v is not None and not (isinstance(v, float) and not np.isfinite(v))
        }
        for figures in judged.outputs
    ]
    count = judged.samples
    mine = [values[:count] for values in real_outputs(outputs, model.artifact.outputs)]
    theirs = [values[:count] for values in reference_values(model, reference)]
    if model.metric is not None:
        record.agreement = model.metric.agreement(
            mine[model.output].astype(np.float64), theirs[model.output].astype(np.float64)
        )
    record.nrmse = _nrmse(mine, theirs)


def _nrmse(mine: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float | None:
    """RMS of the difference over the reference's RMS, over all outputs, where the reference is finite; None where that is
    infinite: JSON has no infinity, and the verdict says why.
    """
    ours, reference = (np.concatenate([np.ravel(v).astype(np.float64) for v in values]) for values in (mine, theirs))
    defined = np.isfinite(reference)
    size = rms(reference[defined])
    error = rms(ours[defined] - reference[defined])
    if not np.isfinite(error):
        return None
    # A reference that is all but zero is compared absolutely: dividing by it would condemn a right output.
    return error / size if size > _TINY_RMS else error


_TINY_RMS = 1e-6


def _note_reference_is_device(record: CellRecord, reference: str, backend: BackendSpec) -> None:
    runtime = record.fingerprint.runtime if record.fingerprint else None
    if reference == f"{runtime} BUILTIN_REF" and backend.kernels == "reference":
        record.findings.append(
            Finding(
                code="reference-is-device",
                severity="info",
                where=record.key.text,
                what=f"this backend is the reference itself ({reference}): agreement shows that the board and "
                "the transfers work, and nothing about these kernels",
            )
        )


def _op_check(ops: OpCheck) -> dict[str, object]:
    """The per-op check as the record has it."""
    return {
        "verdict": ops.verdict,
        "right": sum(op.verdict == "ok" for op in ops.ops),
        "wrong": [
            {name: value for name, value in asdict(op).items() if name != "verdict" and value is not None}
            for op in ops.wrong
        ],
        "not_checked": [
            {"node": op.node, "op": op.op, "reason": op.reason} for op in ops.ops if op.verdict == "skipped"
        ]
        + [{"node": node} for node in ops.unchecked],
    }
