"""What the ops one by one say of a cell's outputs: they explain `wrong`, decide `undecided`, and settle a doubt."""

from __future__ import annotations

from harness.core.finding import Finding
from harness.measure.judged import ExactFigures
from harness.measure.op_check import OpCheck
from harness.measure.rule import Judgement
from harness.results.record import CellRecord, Outcome


def settle(
    record: CellRecord, judged: Judgement, ops: OpCheck | None, reference: str, exact: ExactFigures | None = None
) -> tuple[Outcome, str | None]:
    """The outcome of a cell that ran, and one sentence why. Wrong ops become findings of the record.

    Args:
        judged: what its outputs tell.
        ops: what its ops tell; None where they were not asked.
        reference: identity of what the outputs were compared with.
        exact: the outputs beside those of kernels that are known right for the model; None where there are none.
    """
    for op in ops.wrong if ops is not None else ():
        record.findings.append(
            Finding(
                code="op-wrong",
                severity="error",
                where=f"{record.key.text} node {op.node}",
                what=f"{op.op}, run alone on the device with the inputs that it has in the model: {op.reason}",
                fix="take a runtime, kernels or a delegate that compute this op rightly, or a recipe without it",
            )
        )
    against = f" (reference: {reference})"
    if judged.verdict == "wrong":
        return "wrong", f"{judged.reason}{against}{_explained(ops)}"
    if ops is not None and ops.verdict == "wrong" and (judged.verdict == "undecided" or judged.doubt):
        told = judged.reason if judged.verdict == "undecided" else judged.doubt
        return "wrong", f"{ops.words}; of the outputs alone: {told}{against}"
    if judged.verdict == "ok":
        return "ok", None
    if ops is not None and ops.verdict == "ok":
        _note_decided(record, "decided-by-ops", judged, ops.words)
        return "ok", None
    if exact is not None and exact.settles:
        words = f"they equal those of {record.exact_reference} to the bit, which are known right for this model"
        _note_decided(record, "decided-by-bits", judged, words)
        return "ok", None
    return "undecided", f"{judged.reason}{against}{_explained(ops)}"


def _explained(ops: OpCheck | None) -> str:
    """The ops' part of the sentence about a cell that is not ok."""
    if ops is None:
        return ""
    if ops.verdict == "ok":
        return f"; {ops.words}, so it is what the device makes of the whole model: fused ops, memory, or transfers"
    return f"; {ops.words}"


def _note_decided(record: CellRecord, code: str, judged: Judgement, words: str) -> None:
    """An `ok` that the outputs alone could not have given."""
    record.findings.append(
        Finding(
            code=code,
            severity="info",
            where=record.key.text,
            what=f"the outputs alone cannot tell right from wrong ({judged.reason}), but {words}",
        )
    )
