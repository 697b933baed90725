"""What a cell gave, as raw facts: nothing in here is judged. `harness.judge` makes the record of it, now and again later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.boards.adapt import Adapted, NotAdapted, StageFacts
from harness.boards.base import (
    BackendSpec,
    BenchResult,
    Deadlines,
    EvalResult,
    FailureKind,
    GraphCacheUse,
    LayerCosts,
    LoadResult,
    Loop,
    Phase,
    PlacementResult,
    Started,
    WorkerFailure,
    WorkerStats,
)
from harness.boards.surroundings import CoolDown
from harness.core.fingerprint import Fingerprint, TimeBasis
from harness.measure.energy import EnergyFacts
from harness.measure.op_facts import OpsFacts
from harness.predict.prediction import Prediction
from harness.results.record import CellKey
from harness.variants.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class CellContext:
    """What a cell ran on, as far as it is known before it runs.

    Attributes:
        samples: how many samples to evaluate; None for all.
        cool_down: what timing waits for; None: nothing.
    """

    key: CellKey
    run: str
    backend: BackendSpec
    deadlines: Deadlines
    fingerprint: Fingerprint
    time_basis: TimeBasis
    samples: int | None
    cool_down: CoolDown | None = None


@dataclass(frozen=True, kw_only=True)
class Cooling:
    """How a cell waited for a cooler board.

    Attributes:
        below_c: what was wanted.
        waited_s: how long, before all of its starts together.
        first_c, last_c: before the first wait and after the last one; None: the board tells no temperature.
    """

    below_c: float
    waited_s: float = 0.0
    first_c: float | None = None
    last_c: float | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How an attempt at a cell ended badly.

    Attributes:
        source: `worker`: the cell's process on the board, with `kind`, `phase` and `signal` as in WorkerFailure; `device`: the
            board or the link; `cell`: what only this cell needs, such as a file; `model`: the model itself, as it was seen before
            the push; `defect`: the harness itself.
        what: what happened, in the words of the part that failed.
        board_log: the worker's last lines; the traceback of a defect.
    """

    source: Literal["worker", "device", "cell", "model", "defect"]
    what: str
    kind: FailureKind | None = None
    phase: Phase | None = None
    signal: str | None = None
    board_log: str = ""

    @staticmethod
    def of_worker(error: WorkerFailure) -> Failure:
        """The facts of a worker's bad end."""
        return Failure(
            source="worker",
            what=error.what,
            kind=error.kind,
            phase=error.phase,
            signal=error.signal,
            board_log=error.board_log,
        )


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What became of the model before it travelled (`harness.boards.adapt`).

    Attributes:
        artifact: the model file that tables name; None where the board cannot be given the model.
        runs: False where nothing runs on the device and the stages' figures are all there is.
        refused, reason: the outcome of a model that the board cannot be given, and why.
        stages: what was done, or tried, in order.
    """

    artifact: Artifact | None = None
    runs: bool = True
    refused: Literal["unsupported", "failed"] | None = None
    reason: str | None = None
    stages: tuple[StageFacts, ...] = ()

    @staticmethod
    def of(adapted: Adapted | NotAdapted) -> Adaptation:
        """The facts of an adapted model, without the model itself."""
        if isinstance(adapted, NotAdapted):
            return Adaptation(refused=adapted.outcome, reason=adapted.reason, stages=adapted.stages)
        return Adaptation(artifact=adapted.artifact, runs=adapted.runs, stages=adapted.stages)


@dataclass(frozen=True, kw_only=True)
class CachedStart:
    """A second worker that found the graph cache as the first one left it: its two times, or how it ended."""

    load_ns: int | None = None
    first_invoke_ns: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class FurtherStart:
    """A start of the worker beside the cell's own, for timing alone: what it gave, or how it ended."""

    load_ns: int | None = None
    first_invoke_ns: int | None = None
    bench: BenchResult | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class VendorRun:
    """One run of the vendor's benchmark program.

    Attributes:
        code: its exit status, negative for a signal; None when it was ended after `deadline_s`.
        output: everything it printed.
    """

    program: str
    arguments: tuple[str, ...]
    deadline_s: float
    code: int | None
    output: str


@dataclass(kw_only=True)
class Measurement:
    """The raw facts of one cell, filled in as it goes. What is None was not reached, or the board does not tell it.

    Attributes:
        started_utc: when the last attempt began.
        prediction: what was expected before the push; None where nothing is predicted.
        unpredictable: why nothing could be.
        adaptation: what became of the model before it travelled; None when it did not come to that.
        attempts: how many there were.
        failure: how the last attempt ended badly; None when it ended well. The facts beside it are then what came before.
        earlier: how the attempts before it ended.
        duration_ns: of the last attempt, upload included.
        started, started_why: how its worker came to be, and why it is `fresh`; None where there is but one way.
        samples: how many were evaluated; `evaluated` holds their outputs.
        scores: outputs of `PreparedModel.scores`, where the model ends in a choice and the device has run it.
        ops: what the device made of single ops; None where its outputs gave no reason to ask.
        layers: what each node costs, of an inference of its own; None where the board does not tell.
        layers_failed: why it could not be asked for; the rest of the cell stands.
        energy: what an instrument beside the board measured; None where there is none.
        energy_failed: why it gave nothing; the rest of the cell stands.
        mlperf: the loops of `--mlperf`; empty where it was not asked for.
        mlperf_failed: why there are none; the rest of the cell stands.
        board_log: what the worker printed.
        cache_use: what its delegate left in the graph cache.
        further: the worker's starts beside the first, in their order.
        cooling: how it waited for a cooler board, where its profile says so.
        cached: the start with that cache, where there was one to find.
        vendor: the runs of the vendor's benchmark: timed, then profiled.
    """

    started_utc: str
    prediction: Prediction | None = None
    unpredictable: str | None = None
    adaptation: Adaptation | None = None
    attempts: int = 1
    failure: Failure | None = None
    earlier: tuple[Failure, ...] = ()
    duration_ns: int | None = None
    started: Started | None = None
    started_why: str | None = None
    loaded: LoadResult | None = None
    first_invoke_ns: int | None = None
    bench: BenchResult | None = None
    samples: int | None = None
    evaluated: EvalResult | None = None
    scores: tuple[np.ndarray, ...] | None = None
    ops: OpsFacts | None = None
    placement: PlacementResult | None = None
    stats: WorkerStats | None = None
    layers: LayerCosts | None = None
    layers_failed: str | None = None
    energy: EnergyFacts | None = None
    energy_failed: str | None = None
    mlperf: tuple[Loop, ...] = ()
    mlperf_failed: str | None = None
    board_log: str = ""
    cache_use: GraphCacheUse | None = None
    further: tuple[FurtherStart, ...] = ()
    cooling: Cooling | None = None
    cached: CachedStart | None = None
    vendor: tuple[VendorRun, ...] = ()

    @property
    def float16_accumulation(self) -> bool:
        """Whether the delegate is known to sum in float16."""
        return self.prediction is not None and self.prediction.float16_accumulation
