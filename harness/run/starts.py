"""Further starts of a cell's worker: the latency of one model differs more between starts than the samples of one let expect.

Measured on this harness's own recordings: the standard error of a median within one process is 0.1 %, the standard deviation
between fresh starts 0.5 to 0.8 %. So a cell's samples are shared among three starts, each with a copy of the model's file of
its own (the agent makes it), instead of being taken in one. Only the timing is repeated; outputs are those of the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from harness.boards.base import BackendSpec, BenchPlan, Board, WorkerFailure
from harness.core.fingerprint import TimeBasis
from harness.measure.disturbance import disturbance
from harness.prepare.prepared import PreparedModel
from harness.run.budget import Budget
from harness.run.cooling import wait_until_cool
from harness.run.measurement import CellContext, Failure, FurtherStart, Measurement

#: starts of a cell's worker that are timed, and how many more a cell may have of which these were disturbed
STARTS, MORE_STARTS = 3, 3
#: a model that takes longer to start is started once: an NPU may compile its graph for minutes
LONGEST_FIRST_INVOKE_NS = 5_000_000_000
#: the bases whose figures are times that differ between starts, and matter: a count of instructions is the same each time, and
#: an emulator's times recommend nothing, while each start of it takes seconds
_TIMED: frozenset[TimeBasis] = frozenset({"device", "device-cycles"})


def planned_starts(
    board: Board, context: CellContext, budget: Budget, *, first_invoke_ns: int | None, start_s: float
) -> int:
    """How many starts the cell's time is shared among.

    One where workers are no processes of their own (microcontrollers, whose inference takes the same every time), where
    instructions are counted or times are an emulator's, where the first inference takes long, and where a budget is so small
    that starting would take a quarter of the cell's time.

    Args:
        first_invoke_ns: of the first start; None where the board tells none.
        start_s: what it took from opening the worker to the end of the first inference, as seen from here.
    """
    if not board.fresh_starts or context.time_basis not in _TIMED:
        return 1
    if first_invoke_ns is None or first_invoke_ns >= LONGEST_FIRST_INVOKE_NS:
        return 1
    return STARTS if budget.affords(start_s * (STARTS - 1)) else 1


def drive_further_starts(
    board: Board,
    context: CellContext,
    model: PreparedModel,
    plan: BenchPlan,
    starts: int,
    budget: Budget,
    measurement: Measurement,
    stage: Callable[[str], None],
) -> None:
    """Starts the worker again, `starts` - 1 times, and times it alike; notes them in `measurement.further`. The first that ends
    badly is the last.

    A cell that was disturbed gets up to `MORE_STARTS` more, within its budget, until most of its starts were not: then its
    median is of quiet ones.

    Args:
        plan: that of the first start.

    Raises:
        DeviceError: the board or the link failed.
    """
    # Its delegate's compiled graphs may stay: compiling again would take its time and change nothing of the steady state.
    backend = replace(context.backend, cache="kept") if context.backend.uses_cache else context.backend
    number, took_s = 1, 0.0
    while number < starts or _worth_more(number, starts, budget, measurement, took_s):
        number += 1
        wait_until_cool(board, context.cool_down, measurement, stage)
        begun_s = time.perf_counter()
        stage(f"timing, start {number} of {max(starts, number)}")
        start = _one_start(board, backend, context, model, plan)
        measurement.further = (*measurement.further, start)
        if start.failure is not None:
            return
        took_s = time.perf_counter() - begun_s


def _worth_more(number: int, planned: int, budget: Budget, measurement: Measurement, start_s: float) -> bool:
    """Whether another start than the planned ones would help, and can be paid for."""
    if planned == 1 or number >= planned + MORE_STARTS:
        return False
    benches = [measurement.bench, *(start.bench for start in measurement.further)]
    found = disturbance([(bench.samples_ns, bench.surroundings) for bench in benches if bench is not None])
    return found.quality not in (None, "quiet") and budget.affords_more(start_s)


def _one_start(
    board: Board, backend: BackendSpec, context: CellContext, model: PreparedModel, plan: BenchPlan
) -> FurtherStart:
    try:
        worker = board.open_worker(backend, context.deadlines)
        try:
            load_ns = worker.load(model.artifact.file_sha256).load_ns
            first_invoke_ns = worker.first_invoke([i.sha256 for i in model.inputs])
            bench = worker.bench(plan)
        finally:
            worker.close()
    except WorkerFailure as error:
        return FurtherStart(failure=Failure.of_worker(error))
    return FurtherStart(load_ns=load_ns, first_invoke_ns=first_invoke_ns, bench=bench)


def bench_s(measurement: Measurement) -> float:
    """What the further starts spent on timing alone, in seconds of the board."""
    return sum(
        float(start.bench.samples_ns.sum() + start.bench.warmup_ns.sum()) / 1e9
        for start in measurement.further
        if start.bench is not None
    )
