"""A cell's outputs judged: the score, the paired difference to the float model, the comparison with the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.boards.base import BackendSpec
from harness.core.finding import Finding
from harness.judge.question import note_question
from harness.measure.divergence import Divergence, compare
from harness.measure.scoring import score
from harness.prepare.prepared import REFERENCE_SAMPLES, PreparedModel, ReferenceOutputs
from harness.results.record import CellRecord

#: share of equal answers from which on differences are more likely rounding than a defect: the bound of a delegate's answers
SAME_ANSWERS = 0.98


def note_outputs(
    record: CellRecord, outputs: Sequence[np.ndarray], count: int, model: PreparedModel, backend: BackendSpec
) -> None:
    """Adds the score, the figures of the comparison and the outcome to the record of a cell that ran to its end.

    Args:
        outputs: one array per model output, [count, ...], of the first `count` samples.
    """
    record.samples = count
    record.outcome, record.reason = "ok", None
    record.fill(score(outputs, count, model))
    if model.reference is not None:
        _note_reference(record, outputs, count, model, model.reference, backend)
    note_question(record, outputs, count, model)


def _note_reference(
    record: CellRecord,
    outputs: Sequence[np.ndarray],
    count: int,
    model: PreparedModel,
    reference: ReferenceOutputs,
    backend: BackendSpec,
) -> None:
    """The comparison with the reference, and the outcome that follows."""
    shared = min(count, REFERENCE_SAMPLES, len(reference.outputs[0]))
    try:
        verdict = compare(
            [o[:shared] for o in outputs],
            [o[:shared] for o in reference.outputs],
            metric=model.metric,
            tolerance=model.tolerance,
            io=model.artifact.outputs,
            lsb=model.lsb,
            steps=model.rounding_steps,
            on_npu=backend.delegate_path is not None,
        )
    except ValueError as error:
        record.outcome, record.reason = "wrong", f"{error}; reference {reference.identity}"
        record.reference = reference.identity
        return
    _note_divergence(record, verdict, reference.identity, backend)
    if record.outcome == "ok" and not any(np.isfinite(o[:shared]).any() for o in reference.outputs):
        record.outcome = "undecided"
        record.reason = "the model itself gives no finite number, so its outputs tell nothing"


def _note_divergence(record: CellRecord, verdict: Divergence, reference: str, backend: BackendSpec) -> None:
    record.reference, record.reference_rule = reference, verdict.rule
    record.reference_samples = verdict.samples
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
    record.max_lsb_diff, record.mismatch_share = verdict.max_lsb_diff, verdict.mismatch_share
    record.agreement = verdict.agreement
    # JSON has no infinity: an output that is not finite has no NRMSE, and its verdict says why.
    record.nrmse = verdict.nrmse if verdict.nrmse is not None and np.isfinite(verdict.nrmse) else None
    if verdict.wrong:
        record.outcome = "wrong"
        record.reason = f"{verdict.reason}; reference {reference}{rounding_words(verdict, record.total_nodes)}"


def rounding_words(verdict: Divergence, layers: int | None) -> str:
    """What a reader of an integer model's `wrong` should weigh when its answers are the reference's all the same."""
    if verdict.accepting_lsb is None or verdict.agreement is None or verdict.agreement < SAME_ANSWERS:
        return ""
    many = f"{layers} nodes" if layers else "many nodes"
    return (
        f". Its answers agree with the reference's in {verdict.agreement:.1%}: rounding differences that add up over {many} look "
        f"like this, and `--tolerance integer_lsb={verdict.accepting_lsb}` accepts them"
    )
