"""Cells whose model became something else before it travelled (`harness.boards.adapt`): what the stages say, in the record."""

from __future__ import annotations

from harness.boards.adapt import Adapted, NotAdapted
from harness.core.finding import Finding
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellKey, CellRecord
from harness.run.cell import CellContext, new_record
from harness.run.compiled import note_compiled, note_not_compiled


def not_adapted_record(context: CellContext, key: CellKey, model: PreparedModel, refused: NotAdapted) -> CellRecord:
    """The record of a cell whose model the board cannot be given: its reason, and what is known all the same."""
    record = new_record(context, key, model)
    record.outcome, record.reason = refused.outcome, refused.reason
    record.findings.extend(refused.findings)
    for stage in refused.stages:
        record.arena_bytes = stage.facts.get("arena_bytes", record.arena_bytes)
        record.model_bytes = stage.facts.get("model_bytes", record.model_bytes)
        if "compiled" in stage.facts:
            note_compiled(record, stage.facts)
        elif "nodes" in stage.facts:
            note_not_compiled(record, stage.facts, context.backend)
    return record


def note_adapted(record: CellRecord, adapted: Adapted) -> None:
    """Turns a record of what travelled into one of the model that it was made from, by each stage's facts."""
    artifact = adapted.artifact
    record.artifact_sha256, record.size_bytes = artifact.sha256, artifact.size_bytes
    record.output_dtype = artifact.outputs[0].dtype if artifact.outputs else None
    for stage in adapted.stages:
        if "compiled" in stage.facts:
            note_compiled(record, stage.facts)
        if exact := stage.facts.get("exact_reference"):
            _note_inexact(record, exact)


def _note_inexact(record: CellRecord, exact_reference: str) -> None:
    """The plan runtime promises the reference's outputs to the bit, which is more than what `wrong` is decided by."""
    if record.reference != exact_reference or not record.max_lsb_diff:
        return
    record.findings.append(
        Finding(
            code="not-bit-exact",
            severity="error",
            where=record.key.text,
            what=f"outputs differ by up to {record.max_lsb_diff:g} LSB from {record.reference}; the plan runtime promises none",
            fix="a kernel, the plan or the serial link is at fault: run `harness devices check`, and another core",
        )
    )
