"""One cell on one connected board: load, first invoke, time, evaluate. It gives a Measurement; nothing is judged here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from harness.boards.base import BenchPlan, Board, Progress, Worker, WorkerFailure
from harness.meters.base import Meter, MeterProfile
from harness.prepare.prepared import PreparedModel
from harness.run.budget import Budget
from harness.run.cached import drive_cached
from harness.run.cooling import wait_until_cool
from harness.run.energy import drive_energy
from harness.run.measurement import CellContext, Measurement
from harness.run.mlperf import drive_mlperf
from harness.run.starts import bench_s, drive_further_starts, planned_starts
from harness.run.vendor import drive_vendor

Stage = Callable[[str], None]
"""Called with what the cell is doing now, for the progress line."""


@dataclass(frozen=True, kw_only=True)
class CellMeter:
    """The instrument beside a board: how long and how often it measures, and what makes it."""

    profile: MeterProfile
    make: Callable[[], Meter]


def now_utc() -> str:
    """The time in a record, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_measurement() -> Measurement:
    """A measurement that begins now."""
    return Measurement(started_utc=now_utc())


def drive_cell(
    board: Board,
    context: CellContext,
    model: PreparedModel,
    budget: Budget,
    measurement: Measurement,
    *,
    meter: CellMeter | None = None,
    mlperf: bool = False,
    stage: Stage | None = None,
    progress: Progress | None = None,
) -> None:
    """Runs one cell and fills in what it gave. When it raises, `measurement` holds what came before.

    Args:
        meter: the instrument beside the board; None: there is none.
        mlperf: with the loops of MLPerf Tiny's rules.

    Raises:
        WorkerFailure: the worker ended badly; `harness.judge` says what that means.
        DeviceError: the board or the link failed.
    """
    stage = stage or (lambda _: None)
    started_ns = time.perf_counter_ns()
    stage("uploading")
    board.ensure_file(model.artifact.file, model.artifact.file_sha256, progress=progress)
    for file in model.inputs:
        board.ensure_file(file.path, file.sha256, progress=progress)
    wait_until_cool(board, context.cool_down, measurement, stage)
    stage("loading")
    opened_s = time.perf_counter()
    worker = board.open_worker(context.backend, context.deadlines)
    sampling_ns = 0
    try:
        measurement.loaded = worker.load(model.artifact.file_sha256)
        if model.inputs:
            stage("first invoke")
            measurement.first_invoke_ns = worker.first_invoke([i.sha256 for i in model.inputs])
            starts = planned_starts(
                board,
                context,
                budget,
                first_invoke_ns=measurement.first_invoke_ns,
                start_s=time.perf_counter() - opened_s,
            )
            plan = budget.bench_plan(starts)
            sampling_ns = _drive_steady(worker, context, model, plan, budget, measurement, stage, progress)
        measurement.placement = worker.placement()
        measurement.stats = worker.stats()
        if model.inputs:
            stage("costs per layer")
            if mlperf:
                drive_mlperf(worker, measurement, stage, samples=min(i.count for i in model.inputs))
            _ask_layers(worker, measurement)
            if meter is not None and measurement.layers_failed is None:
                drive_energy(worker, meter.profile, meter.make, measurement, stage)
    finally:
        measurement.started, measurement.started_why = worker.started, worker.started_why
        measurement.board_log = worker.close()
    if context.backend.uses_cache:
        stage("cached start")
        measurement.cache_use = worker.cache_use
        measurement.cached = drive_cached(board, context, model, measurement)
    if model.inputs:
        drive_further_starts(board, context, model, plan, starts, budget, measurement, stage)
        sampling_ns += round(bench_s(measurement) * 1e9)
    if board.vendor_benchmark is not None:
        stage("vendor's benchmark")
        measurement.vendor = drive_vendor(board, context, model, measurement)
    measurement.duration_ns = time.perf_counter_ns() - started_ns
    budget.cell_done(overhead_s=max(0.0, (measurement.duration_ns - sampling_ns) / 1e9))


def _ask_layers(worker: Worker, measurement: Measurement) -> None:
    """Last of all: what ends badly here costs nothing that was measured before."""
    try:
        measurement.layers = worker.layers()
    except WorkerFailure as error:
        measurement.layers_failed = error.what


def _drive_steady(
    worker: Worker,
    context: CellContext,
    model: PreparedModel,
    plan: BenchPlan,
    budget: Budget,
    measurement: Measurement,
    stage: Stage,
    progress: Progress | None,
) -> int:
    """Steady latency, evaluation; returns the nanoseconds that depended on the number of samples."""
    hashes = [i.sha256 for i in model.inputs]
    begun_ns = time.perf_counter_ns()
    stage("timing")
    bench = measurement.bench = worker.bench(plan)
    stage("evaluating")
    available = min(i.count for i in model.inputs)
    wanted = min(available, context.samples or available)
    pace_ns = bench.pace_ns if bench.pace_ns is not None else float(np.mean(bench.samples_ns))
    count = budget.eval_samples(wanted, pace_ns)
    measurement.evaluated = worker.evaluate(hashes, count, progress=progress, beginnings=model.beginnings)
    measurement.samples = count
    return time.perf_counter_ns() - begun_ns
