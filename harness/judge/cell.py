"""One cell judged: from its raw facts, its prepared model and what it ran on, to its record.

Pure: the same facts give the same record, on any machine and at any time, so that a stored run can be judged again by later
rules. Nothing is read or written here; the caller stores arrays and names them in the record.
"""

from __future__ import annotations

from harness.boards.base import BenchResult, WorkerStats
from harness.core.finding import Finding
from harness.judge.adapted import note_not_run, note_refused, note_stages
from harness.judge.counts import note_evaluated, note_repeats
from harness.judge.disturbed import note_disturbance
from harness.judge.energy import note_energy
from harness.judge.layers import note_layers
from harness.judge.mlperf import note_mlperf
from harness.judge.outcome import note_failure
from harness.judge.outputs import note_outputs
from harness.judge.placement import note_placement
from harness.judge.predicted import note_prediction
from harness.judge.rules import RULES_VERSION
from harness.judge.starts import note_cached, note_start
from harness.judge.times import note_batches, note_starts, note_warm_up
from harness.judge.vendor import note_vendor
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord
from harness.run.measurement import CellContext, Measurement
from harness.variants.audit.findings import RUNTIME_CODES


def judge(measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord:
    """The record of a cell.

    Args:
        measurement: what running it gave.
        model: the model as the board answers, with what its outputs are judged by; its files are not needed.
        context: what it ran on.

    Raises:
        ValueError: facts that cannot be, such as a clock that ran backwards.
    """
    record = _new_record(measurement, model, context)
    note_start(record, measurement)
    adaptation = measurement.adaptation
    if measurement.failure is not None:
        note_failure(record, measurement.failure, measurement.earlier)
    elif model.artifact.refused is not None:
        record.outcome, record.reason = "unsupported", f"not built: {model.artifact.refused}"
    elif adaptation is not None and adaptation.artifact is None:
        note_refused(record, adaptation, context.backend)
    elif adaptation is not None and not adaptation.runs:
        note_not_run(record, adaptation, context.backend)
    else:
        _note_facts(record, measurement, model, context)
    if adaptation is not None and adaptation.artifact is not None and adaptation.runs:
        note_stages(record, adaptation)
    note_prediction(record, measurement, context.backend)
    return record


def _new_record(measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord:
    """A record with all that is known before anything runs. Its outcome is `failed` until something better is known."""
    artifact = model.artifact
    return CellRecord(
        key=context.key,
        run=context.run,
        outcome="failed",
        reason="the cell did not end",
        started_utc=measurement.started_utc,
        attempts=measurement.attempts,
        duration_ns=measurement.duration_ns,
        time_basis=context.time_basis,
        fingerprint=context.fingerprint,
        rules_version=RULES_VERSION,
        dataset_name=model.dataset_name,
        dataset_note=model.dataset_note,
        model_sha256=model.model_sha256,
        artifact_sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        input_dtype=artifact.inputs[0].dtype if artifact.inputs else None,
        output_dtype=artifact.outputs[0].dtype if artifact.outputs else None,
        threads=context.backend.threads or None,
        affinity=list(context.backend.affinity) or None,
        kernels=context.backend.kernels,
        total_nodes=model.node_count,
        findings=[f for f in model.findings if _concerns(f, context)],
    )


def _concerns(finding: Finding, context: CellContext) -> bool:
    """Whether what an audit says of the model says something of this cell: a runtime's defect does where it is that runtime."""
    return finding.code not in RUNTIME_CODES or finding.where == context.fingerprint.runtime


def _note_facts(record: CellRecord, measurement: Measurement, model: PreparedModel, context: CellContext) -> None:
    """Everything that a cell which ended well gave, in the order in which it gave it."""
    record.board_log = measurement.board_log or None
    if measurement.loaded is not None:
        record.load_ns = measurement.loaded.load_ns
    record.first_invoke_ns = measurement.first_invoke_ns
    note_starts(record, measurement)
    if measurement.bench is not None:
        _note_bench(record, measurement.bench)
    if measurement.evaluated is not None:
        note_evaluated(record, measurement.evaluated.counts)
        note_outputs(record, measurement, model, context.backend)
    if measurement.placement is not None:
        note_placement(record, measurement.placement, context.backend)
    if measurement.stats is not None:
        _note_stats(record, measurement.stats)
    note_layers(record, measurement)
    note_energy(record, measurement)
    note_mlperf(record, measurement, model)
    note_disturbance(record, measurement)
    note_cached(record, measurement)
    note_vendor(record, measurement.vendor)


def _note_bench(record: CellRecord, bench: BenchResult) -> None:
    note_batches(record, bench)
    note_repeats(record, bench.counts)
    note_warm_up(record, bench)


def _note_stats(record: CellRecord, stats: WorkerStats) -> None:
    record.memory_peak_bytes, record.memory_baseline_bytes = stats.memory_peak_bytes, stats.memory_baseline_bytes
    record.arena_bytes, record.stack_peak_bytes = stats.arena_bytes, stats.stack_peak_bytes
    record.model_bytes, record.code_bytes = stats.model_bytes, stats.code_bytes
    record.governor, record.frequency_hz, record.temperature_c = stats.governor, stats.frequency_hz, stats.temperature_c
