"""One cell judged: from its raw facts, its prepared model and what it ran on, to its record.

Pure: the same facts give the same record, on any machine and at any time, so that a stored run can be judged again by later
rules. Nothing is read or written here; the caller stores arrays and names them in the record.
"""

from __future__ import annotations

from harness.boards.base import WorkerStats
from harness.judge.counts import note_evaluated, note_repeats
from harness.judge.outcome import note_failure
from harness.judge.outputs import note_outputs
from harness.judge.placement import note_placement
from harness.judge.starts import note_cached
from harness.judge.times import note_latency, note_warm_up
from harness.judge.vendor import note_vendor
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord
from harness.run.cell import new_record
from harness.run.measurement import CellContext, Measurement


def judge(measurement: Measurement, model: PreparedModel, context: CellContext) -> CellRecord:
    """The record of a cell.

    Args:
        measurement: what running it gave.
        model: the model with what its outputs are judged by; its files are not needed.
        context: what it ran on.

    Raises:
        ValueError: facts that cannot be, such as a clock that ran backwards.
    """
    record = new_record(context, context.key, model)
    record.started_utc, record.attempts = measurement.started_utc, measurement.attempts
    if measurement.failure is not None:
        note_failure(record, measurement.failure, measurement.earlier)
    elif model.artifact.refused is not None:
        record.outcome, record.reason = "unsupported", f"not built: {model.artifact.refused}"
    else:
        _note_facts(record, measurement, model, context)
    return record


def _note_facts(record: CellRecord, measurement: Measurement, model: PreparedModel, context: CellContext) -> None:
    """Everything that a cell which ended well gave, in the order in which it gave it."""
    record.duration_ns, record.board_log = measurement.duration_ns, measurement.board_log or None
    if measurement.loaded is not None:
        record.load_ns = measurement.loaded.load_ns
    record.first_invoke_ns = measurement.first_invoke_ns
    if measurement.bench is not None:
        note_latency(record, measurement.bench.samples_ns)
        note_repeats(record, measurement.bench.counts)
        note_warm_up(record, measurement.bench)
    if measurement.evaluated is not None:
        note_evaluated(record, measurement.evaluated.counts)
        note_outputs(record, measurement.evaluated.outputs, measurement.samples or 0, model, context.backend)
    if measurement.placement is not None:
        note_placement(record, measurement.placement, context.backend)
    if measurement.stats is not None:
        _note_stats(record, measurement.stats)
    note_cached(record, measurement)
    note_vendor(record, measurement.vendor)


def _note_stats(record: CellRecord, stats: WorkerStats) -> None:
    record.memory_peak_bytes = stats.memory_peak_bytes
    record.arena_bytes, record.stack_peak_bytes = stats.arena_bytes, stats.stack_peak_bytes
    record.model_bytes, record.code_bytes = stats.model_bytes, stats.code_bytes
    record.governor, record.frequency_hz, record.temperature_c = stats.governor, stats.frequency_hz, stats.temperature_c
