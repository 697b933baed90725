"""Models that became something else before they travelled (`harness.boards.adapt`): what the stages say, in the record."""

from __future__ import annotations

from harness.boards.base import BackendSpec
from harness.core.finding import Finding
from harness.judge.compiled import note_compiled, note_estimate, note_not_compiled
from harness.results.record import CellRecord
from harness.run.measurement import Adaptation


def note_refused(record: CellRecord, adaptation: Adaptation, backend: BackendSpec) -> None:
    """A model that the board cannot be given: its reason, and what is known all the same."""
    record.outcome, record.reason = adaptation.refused or "failed", adaptation.reason
    for stage in adaptation.stages:
        record.arena_bytes = stage.facts.get("arena_bytes", record.arena_bytes)
        record.model_bytes = stage.facts.get("model_bytes", record.model_bytes)
        if "nodes" in stage.facts:
            note_not_compiled(record, stage.facts, backend)


def note_not_run(record: CellRecord, adaptation: Adaptation, backend: BackendSpec) -> None:
    """A model on a device where nothing runs: what its stages estimate is all there is."""
    facts = next((stage.facts for stage in adaptation.stages if "compiled" in stage.facts), None)
    if facts is None:
        record.reason = "nothing runs on this device, and nothing estimates either: its backend has no `compile:` block"
        return
    note_estimate(record, facts, backend)


def note_stages(record: CellRecord, adaptation: Adaptation) -> None:
    """Turns a record of what travelled into one of the model that it was made from, by each stage's facts."""
    if artifact := adaptation.artifact:
        record.artifact_sha256, record.size_bytes = artifact.sha256, artifact.size_bytes
        record.output_dtype = artifact.outputs[0].dtype if artifact.outputs else None
    for stage in adaptation.stages:
        if "compiled" in stage.facts:
            note_compiled(record, stage.facts)
        if exact := stage.facts.get("exact_reference"):
            _note_inexact(record, exact)


def _note_inexact(record: CellRecord, exact_reference: str) -> None:
    """The plan runtime promises the reference's outputs to the bit, which is more than what `wrong` is decided by."""
    if record.exact_reference != exact_reference or not record.max_lsb_diff:
        return
    record.findings.append(
        Finding(
            code="not-bit-exact",
            severity="error",
            where=record.key.text,
            what=f"outputs differ by up to {record.max_lsb_diff:g} LSB from {exact_reference}; the plan runtime promises none",
            fix="a kernel, the plan or the serial link is at fault: run `harness devices check`, and another core",
        )
    )
