"""One cell on one connected board: load, first invoke, time, evaluate, compare, and the record of it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from harness.boards.base import BackendSpec, Board, Deadlines, PlacementResult, Progress, Worker, WorkerFailure
from harness.core.finding import Finding
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.measure.accuracy import accuracy, answers, paired
from harness.measure.divergence import Divergence, compare
from harness.measure.latency import latency_stats
from harness.measure.rules import RULES_VERSION
from harness.prepare.prepared import REFERENCE_SAMPLES, PreparedModel
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, FallbackOp
from harness.run.budget import Budget
from harness.run.cached import measure_cached
from harness.run.counted import note_evaluated, note_repeats
from harness.run.vendor import measure_vendor

Stage = Callable[[str], None]
"""Called with what the cell is doing now, for the progress line."""


@dataclass(frozen=True, kw_only=True)
class CellContext:
    """What the cells of one device and backend share."""

    run: str
    device: str
    backend: BackendSpec
    deadlines: Deadlines
    fingerprint: Fingerprint
    time_basis: TimeBasis
    #: how many samples to evaluate; None for all
    samples: int | None
    objects: ObjectStore


def new_record(context: CellContext, key: CellKey, model: PreparedModel) -> CellRecord:
    """A record with everything that is known before anything runs. Its outcome is `failed` until something better is known."""
    artifact = model.artifact
    return CellRecord(
        key=key,
        run=context.run,
        outcome="failed",
        reason="the cell did not end",
        started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
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
        total_nodes=model.node_count,
        findings=list(model.findings),
    )


def refused_record(context: CellContext, key: CellKey, model: PreparedModel) -> CellRecord:
    """The record of a combination that the converter refused: `unsupported`, with the converter's reason."""
    record = new_record(context, key, model)
    record.outcome, record.reason = "unsupported", f"not built: {model.artifact.refused}"
    return record


def run_cell(
    board: Board,
    context: CellContext,
    key: CellKey,
    model: PreparedModel,
    budget: Budget,
    *,
    stage: Stage | None = None,
    progress: Progress | None = None,
) -> CellRecord:
    """Runs one cell.

    Raises:
        WorkerFailure: the worker ended badly; `outcome_of` says what that means.
        DeviceError: the board or the link failed.
    """
    stage = stage or (lambda _: None)
    started_ns = time.perf_counter_ns()
    record = new_record(context, key, model)
    stage("uploading")
    board.ensure_file(model.artifact.path, model.artifact.sha256, progress=progress)
    for file in model.inputs:
        board.ensure_file(file.path, file.sha256, progress=progress)
    stage("loading")
    worker = board.open_worker(context.backend, context.deadlines)
    sampling_ns = 0
    try:
        _measure_load(worker, record, model)
        if model.inputs:
            sampling_ns = _measure_steady(worker, record, context, model, budget, stage, progress)
        _note_placement(record, worker.placement(), context.backend)
        _note_stats(record, worker)
    finally:
        record.board_log = worker.close() or None
    if context.backend.uses_cache:
        stage("cached start")
        measure_cached(board, context.backend, context.deadlines, record, model, getattr(worker, "cache_use", None))
    if getattr(board, "vendor_benchmark", None):
        stage("vendor's benchmark")
        measure_vendor(board, context.backend, context.deadlines, record)
    record.duration_ns = time.perf_counter_ns() - started_ns
    budget.cell_done(overhead_s=max(0.0, (record.duration_ns - sampling_ns) / 1e9))
    return record


def _measure_load(worker: Worker, record: CellRecord, model: PreparedModel) -> None:
    loaded = worker.load(model.artifact.sha256)
    record.load_ns = loaded.load_ns


def _measure_steady(
    worker: Worker,
    record: CellRecord,
    context: CellContext,
    model: PreparedModel,
    budget: Budget,
    stage: Stage,
    progress: Progress | None,
) -> int:
    """First invoke, steady latency, evaluation; returns the nanoseconds that depended on the number of samples."""
    hashes = [i.sha256 for i in model.inputs]
    stage("first invoke")
    record.first_invoke_ns = worker.first_invoke(hashes)
    begun_ns = time.perf_counter_ns()
    stage("timing")
    timed = worker.bench(budget.bench_plan())
    if len(timed.samples_ns):
        _note_latency(record, timed.samples_ns, context.objects)
    if timed.counts is not None:
        note_repeats(record, timed.counts)
    if not timed.warmup_stable:
        record.findings.append(
            Finding(
                code="warm-up-unstable",
                severity="info",
                where=record.key.text,
                what="latency had not settled when the warm-up ended, so the steady figures may still drift",
                fix="pin the CPU frequency governor, or look at the raw samples",
            )
        )
    stage("evaluating")
    available = min(i.count for i in model.inputs)
    wanted = min(available, context.samples or available)
    pace_ns = timed.pace_ns if timed.pace_ns is not None else float(np.mean(timed.samples_ns))
    count = budget.eval_samples(wanted, pace_ns)
    result = worker.evaluate(hashes, count, progress=progress)
    if result.counts is not None:
        note_evaluated(record, result.counts, context.objects)
    sampling_ns = time.perf_counter_ns() - begun_ns
    _judge(record, result.outputs, count, context, model)
    return sampling_ns


def _note_latency(record: CellRecord, samples_ns: np.ndarray, objects: ObjectStore) -> None:
    stats = latency_stats(samples_ns)
    record.latency_median_ns = stats.median_ns
    record.latency_median_low_ns, record.latency_median_high_ns = stats.median_low_ns, stats.median_high_ns
    record.latency_p90_ns, record.latency_p99_ns = stats.p90_ns, stats.p99_ns
    record.latency_samples = stats.samples
    record.latency_object = objects.put_array(np.asarray(samples_ns, dtype=np.int64))


def _judge(
    record: CellRecord, outputs: tuple[np.ndarray, ...], count: int, context: CellContext, model: PreparedModel
) -> None:
    """Accuracy, the paired difference to the float model, the comparison with the reference, and the outcome."""
    record.samples = count
    record.sample_ids_object = context.objects.put_array(np.asarray(model.sample_ids[:count], dtype=np.int64))
    record.outputs_object = context.objects.put_arrays({f"output_{i}": o for i, o in enumerate(outputs)})
    record.outcome, record.reason = "ok", None
    if model.labels is not None:
        _note_accuracy(record, outputs[0], count, model)
    if model.reference is not None:
        shared = min(count, REFERENCE_SAMPLES, len(model.reference.outputs[0]))
        try:
            verdict = compare(
                [o[:shared] for o in outputs],
                [o[:shared] for o in model.reference.outputs],
                task=model.task,
                tolerance=model.tolerance,
                io=model.artifact.outputs,
                lsb=model.lsb,
                steps=model.rounding_steps,
                on_npu=context.backend.delegate_path is not None,
            )
        except ValueError as error:
            record.outcome, record.reason = "wrong", f"{error}; reference {model.reference.identity}"
            record.reference = model.reference.identity
            return
        _note_divergence(record, verdict, model, reference_kernels=context.backend.kernels == "reference")


def _note_accuracy(record: CellRecord, output: np.ndarray, count: int, model: PreparedModel) -> None:
    io = model.artifact.outputs[0]
    right = answers(output, model.task, scale=io.scale, zero_point=io.zero_point) == model.labels[:count]
    score = accuracy(right)
    record.accuracy, record.accuracy_low, record.accuracy_high = score.value, score.low, score.high
    if model.float_right is not None:
        difference = paired(right, model.float_right[:count])
        record.accuracy_delta, record.mcnemar_p = difference.delta, difference.p
        record.only_float_right, record.only_cell_right = difference.only_float_right, difference.only_cell_right


def _note_divergence(record: CellRecord, verdict: Divergence, model: PreparedModel, *, reference_kernels: bool) -> None:
    record.reference, record.reference_rule = model.reference.identity, verdict.rule
    record.reference_samples = verdict.samples
    if (
        record.fingerprint
        and model.reference.identity == f"{record.fingerprint.runtime} BUILTIN_REF"
        and reference_kernels
    ):
        record.findings.append(
            Finding(
                code="reference-is-device",
                severity="info",
                where=record.key.text,
                what=f"this backend is the reference itself ({model.reference.identity}): agreement shows that the board and "
                "the transfers work, and nothing about these kernels",
            )
        )
    record.max_lsb_diff, record.mismatch_share = verdict.max_lsb_diff, verdict.mismatch_share
    record.agreement = verdict.agreement
    # JSON has no infinity: an output that is not finite has no NRMSE, and its verdict says why.
    record.nrmse = verdict.nrmse if verdict.nrmse is not None and np.isfinite(verdict.nrmse) else None
    if verdict.wrong:
        record.outcome = "wrong"
        record.reason = (
            f"{verdict.reason}; reference {model.reference.identity}{_rounding_words(verdict, record.total_nodes)}"
        )


#: share of equal answers from which on differences are more likely rounding than a defect: the bound of a delegate's answers
SAME_ANSWERS = 0.98


def _rounding_words(verdict: Divergence, layers: int | None) -> str:
    """What a reader of an integer model's `wrong` should weigh when its answers are the reference's all the same."""
    if verdict.accepting_lsb is None or verdict.agreement is None or verdict.agreement < SAME_ANSWERS:
        return ""
    many = f"{layers} nodes" if layers else "many nodes"
    return (
        f". Its answers agree with the reference's in {verdict.agreement:.1%}: rounding differences that add up over {many} look "
        f"like this, and `--tolerance integer_lsb={verdict.accepting_lsb}` accepts them"
    )


def _note_placement(record: CellRecord, placement: PlacementResult, backend: BackendSpec) -> None:
    """Which nodes ran where. On a backend without an external delegate, XNNPACK is the delegate that is counted."""
    record.total_nodes = len(placement.nodes) or record.total_nodes
    record.ops = [
        {
            "node": n.node,
            "op": n.op,
            "ran_on": n.ran_on,
            "partition": n.partition,
            "inputs": list(n.inputs),
            "outputs": list(n.outputs),
        }
        for n in placement.nodes
    ]
    if backend.delegate_path is not None:
        record.delegate_name = backend.delegate_name or backend.delegate_path
        record.delegated_nodes, record.partitions = placement.delegated_nodes, placement.partitions
        record.fallback = [FallbackOp(node=n.node, op=n.op) for n in placement.nodes if n.ran_on in ("cpu", "xnnpack")]
        return
    taken = [n for n in placement.nodes if n.ran_on == "xnnpack"]
    record.delegate_name = "XNNPACK" if taken else None
    record.delegated_nodes = len(taken) if placement.nodes else None
    record.partitions = len({n.partition for n in taken}) if placement.nodes else None


def _note_stats(record: CellRecord, worker: Worker) -> None:
    stats = worker.stats()
    record.memory_peak_bytes = stats.memory_peak_bytes
    record.arena_bytes, record.stack_peak_bytes = stats.arena_bytes, stats.stack_peak_bytes
    record.model_bytes, record.code_bytes = stats.model_bytes, stats.code_bytes
    record.governor, record.frequency_hz, record.temperature_c = stats.governor, stats.frequency_hz, stats.temperature_c


#: signals that a runtime or delegate brings on itself; any other came from outside (the kernel's OOM killer, a user)
_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"}


def note_failure(record: CellRecord, failure: WorkerFailure, *, repeated: bool) -> None:
    """Turns how a worker ended into the cell's outcome (docs/reference/outcomes.md).

    The runtime said no: `unsupported`. It crashed twice the same way: `unsupported` too, because the model brings it
    down each time. It hung, or was killed from outside, or the delegate itself did not load: `failed`, which is never held
    against the model.
    """
    record.board_log = failure.board_log or None
    if failure.kind == "exception" and failure.phase == "delegate":
        record.outcome, record.reason = "failed", f"the delegate does not load: {failure.what}"
    elif failure.kind == "exception":
        record.outcome, record.reason = "unsupported", f"{failure.phase}: {failure.what}"
    elif failure.kind == "signal" and failure.signal in _CRASHES and repeated:
        record.outcome = "unsupported"
        record.reason = f"{failure.phase}: the runtime crashes with {failure.signal} each time ({failure.what})"
    else:
        record.outcome, record.reason = "failed", f"{failure.phase}: {failure.what}"
