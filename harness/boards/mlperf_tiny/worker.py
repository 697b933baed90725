"""One cell on a board with MLPerf Tiny's firmware: inputs go over the line one by one, results and times come back as text.

Results are taken from `infer 1 0` alone: after warm-ups or several inferences the reference firmware's input memory holds
something else, and so do its results. Times come from batches: the firmware prints the first reading of its timer before it
begins, so that the time of that line is in every interval, and only a long batch makes it small.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from harness.boards.base import (
    BenchPlan,
    BenchResult,
    Deadlines,
    EvalResult,
    LoadResult,
    Loop,
    Phase,
    PlacementResult,
    Progress,
    Worker,
    WorkerFailure,
    WorkerStats,
)
from harness.boards.mlperf_tiny.lines import Reply
from harness.boards.mlperf_tiny.model import HeldModel
from harness.core.errors import StableDeviceError

if TYPE_CHECKING:
    from harness.boards.mlperf_tiny.board import MlperfTinyBoard

Found = TypeVar("Found", int, bool, tuple[float, ...])
#: how often one request is tried on a line that spoils it
TRIES = 3
#: how much of a batch's time the printing of a lap line may be, where time allows
LAP_SHARE = 0.01
#: characters of `m-lap-us-4294967295` with its end, and bits that carry one
_LAP_CHARS, _BITS_PER_CHAR = 21, 10
#: warm-up inferences before each batch
_WARMUPS = 1
#: batches below which no median means anything, and above which more say nothing new
MIN_BATCHES, MAX_BATCHES = 5, 200
#: what an inference takes is known to a per cent or so, and a loop may not be too short
_LONGER = 1.05
#: patience beyond the time that a request should take
_SPARE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How a cell is timed: batches of so many inferences each.

    Attributes:
        inferences: per batch.
        batches: at least so many, unless the time is over.
        lap_ns: what printing a lap line takes, which is in each interval.
    """

    inferences: int
    batches: int
    lap_ns: int


class MlperfWorker(Worker):
    """The `Worker` of `harness.boards.base` on such a board."""

    def __init__(self, board: MlperfTinyBoard, deadlines: Deadlines) -> None:
        self._board = board
        self._deadlines = deadlines
        self._model: HeldModel | None = None
        self._sample: bytes | None = None
        self._infer_ns = 0
        self._rows_of: tuple[str, ...] | None = None
        self._pace_s = 0.0

    # ------------------------------------------------------------------------------------------------ the seam

    def load(self, model_sha256: str) -> LoadResult:
        """Nothing is loaded: the firmware must hold the model already.

        Raises:
            WorkerFailure: it holds another one.
        """
        model = self._board.expected(model_sha256)
        found = self._board.identity.model
        if found != model.name:
            raise self._failure("exception", "load", f"the firmware holds {found}, not {model.name}")
        self._model = model
        return LoadResult(load_ns=None, inputs=(model.input,), outputs=(model.output,))

    def first_invoke(self, input_sha256s: Sequence[str]) -> None:
        """The first inference of the cell; not the firmware's first, so that no time is told."""
        begun_s = time.monotonic()
        self._rows_of = tuple(input_sha256s)
        self._sample = self._loaded().encode(self._rows(input_sha256s)[0])
        self._answer("first_invoke", self._sample, self._deadlines.first_invoke_s)
        self._pace_s = time.monotonic() - begun_s

    def evaluate(
        self,
        input_sha256s: Sequence[str],
        count: int,
        *,
        start: int = 0,
        progress: Progress | None = None,
        beginnings: Sequence[int] | np.ndarray | None = None,
    ) -> EvalResult:
        """Runs `count` samples from row `start`, one `infer 1 0` each. Their laps are no latencies, and are not told."""
        begun_s = time.monotonic()
        model, rows = self._loaded(), self._rows(input_sha256s)
        found = []
        for done in range(count):
            values = self._answer("evaluate", model.encode(rows[start + done]), self._deadlines.evaluate_s)
            found.append(model.decode(values))
            if progress:
                progress(done + 1, count)
        return EvalResult(
            outputs=(np.stack(found),),
            invoke_ns=np.zeros(0, np.int64),
            elapsed_ns=round((time.monotonic() - begun_s) * 1e9),
        )

    def bench(self, plan: BenchPlan) -> BenchResult:
        """Times the first sample. Each sample of the result is the mean of one batch."""
        if self._sample is None:
            raise StableDeviceError("nothing was run yet", where=self._board.name)
        self._load("bench", self._sample)
        self._infer_ns = self._pilot()
        batch = plan_batches(plan, self._infer_ns, lap_ns=self._lap_ns())
        ends_s = time.monotonic() + plan.max_ns / 1e9
        means: list[int] = []
        while len(means) < batch.batches:
            if len(means) >= MIN_BATCHES and time.monotonic() >= ends_s:
                break
            means.append(round(self._batch(batch.inferences, _WARMUPS) / batch.inferences))
        if not any(means):
            raise StableDeviceError(
                "the firmware's timer stands still: every batch takes 0 µs",
                where=self._board.name,
                hint="its th_timestamp must count microseconds",
            )
        return BenchResult(
            samples_ns=np.array(means, np.int64),
            warmup_ns=np.zeros(0, np.int64),
            warmup_stable=True,
            pace_ns=round(self._pace_s * 1e9),
            batch=batch.inferences,
            batch_overhead_ns=batch.lap_ns,
        )

    def loop(self, row: int, least_ns: int, least_inferences: int) -> Loop:
        """`infer N 1` of a sample of its own, as the suite's runner does it: so many that the loop is long enough."""
        if self._rows_of is None:
            raise StableDeviceError("nothing was run yet", where=self._board.name)
        rows = self._rows(self._rows_of)
        self._load("bench", self._loaded().encode(rows[row % len(rows)]))
        each_ns = self._infer_ns or self._pilot()
        wanted = max(least_inferences, math.ceil(_LONGER * least_ns / max(1, each_ns)))
        while True:
            elapsed_ns = self._batch(wanted, _WARMUPS)
            if elapsed_ns >= least_ns:
                return Loop(inferences=wanted, elapsed_ns=elapsed_ns)
            wanted *= 2  # what timed the pilot was no good guess

    def placement(self) -> PlacementResult:
        """Unknown."""
        return PlacementResult(
            nodes=(),
            delegated_nodes=None,
            partitions=None,
            note="the firmware does not tell where its model's nodes run",
        )

    def stats(self) -> WorkerStats:
        """The firmware tells none."""
        return WorkerStats()

    def close(self) -> str:
        """Nothing to end; returns what the line had to put up with."""
        return self._board.session.take_log() if self._board.connected else ""

    # ------------------------------------------------------------------------------------------------ requests

    def _answer(self, phase: Phase, data: bytes, limit_s: float) -> tuple[float, ...]:
        """The results of one input: loaded, run once, and both again where the line spoilt something."""
        model = self._loaded()

        def once() -> tuple[float, ...] | str:
            self._load(phase, data)
            reply = self._infer(phase, 1, 0, limit_s)
            values = reply.results()
            if values is None:
                return self._trouble(phase, reply, f"no whole line of results; the last line: {_last(reply)}")
            if not reply.ran(1, 0):
                return f"the firmware did not run `infer 1 0` alone: {_last(reply)}"
            if len(values) != model.results:
                raise self._failure(
                    "exception",
                    phase,
                    f"the firmware's model has {len(values)} results, {model.name} here has {model.results}",
                )
            return values

        return self._tried(phase, once)

    def _load(self, phase: Phase, data: bytes) -> None:
        """Carries an input to the board."""

        def once() -> bool | str:
            reply = self._board.session.load(data)
            self._require_input(phase, reply)
            if reply.says("m-load-done") is not None:
                return True
            return self._trouble(phase, reply, "the board did not get the whole input")

        self._tried(phase, once)

    def _infer(self, phase: Phase, count: int, warmups: int, limit_s: float) -> Reply:
        """One `infer`; its reply may be garbled, but is whole.

        Raises:
            WorkerFailure: it hung, failed or started anew.
        """
        reply = self._board.session.ask(f"infer {count} {warmups}", limit_s, last="m-results-[")
        self._require_input(phase, reply)
        if reply.gave_up is not None:
            raise self._failure("exception", phase, f"the firmware's runtime said: {reply.gave_up}")
        if reply.booted:
            self._trouble(phase, reply, "")
        if not reply.ready and reply.results() is None:
            self._board.session.note(f"infer: last line {_last(reply)}")
            raise self._failure("deadline", phase, f"no `m-ready` within {limit_s:g} s of `infer {count} {warmups}`")
        return reply

    def _batch(self, inferences: int, warmups: int) -> int:
        """Nanoseconds of one batch."""
        limit_s = self._deadlines.bench_s
        if self._infer_ns:
            limit_s = min(limit_s, 3 * (inferences + warmups) * self._infer_ns / 1e9 + _SPARE_S)

        def once() -> int | str:
            reply = self._infer("bench", inferences, warmups, limit_s)
            elapsed = reply.elapsed_us()
            if elapsed is None:
                error = reply.error
                if error is None and not reply.laps_us and reply.says("m-infer-done") is not None:
                    raise StableDeviceError(
                        "the firmware tells no times (no `m-lap-us-` lines)",
                        where=self._board.name,
                        hint="it was built for measuring energy: build it with EE_CFG_ENERGY_MODE=0",
                    )
                return self._trouble("bench", reply, f"no two whole `m-lap-us-` lines; the last line: {_last(reply)}")
            if not reply.ran(inferences, warmups):
                return f"the firmware did not run `infer {inferences} {warmups}`: {_last(reply)}"
            return elapsed * 1000

        return self._tried("bench", once)

    def _pilot(self) -> int:
        """Nanoseconds of one inference, roughly: enough inferences that the lap line does not count for much."""
        count = 1
        while True:
            elapsed = self._batch(count, 0)
            if elapsed >= 10 * self._lap_ns() or count >= 4096:
                return max(1, elapsed // count)
            count *= 8

    # ------------------------------------------------------------------------------------------------ trouble

    def _tried(self, phase: Phase, once: Callable[[], Found | str]) -> Found:
        """Asks up to TRIES times; `once` returns a text that says what was spoilt, or what was asked for."""
        why = ""
        for attempt in range(1, TRIES + 1):
            found = once()
            if not isinstance(found, str):
                return found
            why = found
            self._board.session.note(f"{phase}: {why}; try {attempt} of {TRIES}")
            self._board.greet()
        raise self._failure("exit", phase, f"{why} ({TRIES} times)")

    def _trouble(self, phase: Phase, reply: Reply, otherwise: str) -> str:
        """What is wrong with a reply that may be asked for again.

        Raises:
            WorkerFailure: the board started anew, which no line does.
        """
        if reply.booted:
            self._board.session.note("the board started anew: " + " | ".join(reply.lines[-4:]))
            raise self._failure("exit", phase, "the board started anew in the middle of a request")
        if reply.error is not None:
            return f"the firmware answered e-[{reply.error}]"
        return otherwise if reply.ready else f"{otherwise or 'no whole reply'}: no `m-ready` came"

    def _require_input(self, phase: Phase, reply: Reply) -> None:
        """Raises WorkerFailure where the firmware's model takes another number of bytes."""
        if reply.wrong_size is not None:
            raise self._failure("exception", phase, f"the firmware's model has another input: {reply.wrong_size}")

    def _failure(self, kind: str, phase: Phase, what: str) -> WorkerFailure:
        log = self._board.session.take_log() if self._board.connected else ""
        return WorkerFailure(what, kind=kind, phase=phase, board_log=log, where=self._board.name)  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------------ helpers

    def _lap_ns(self) -> int:
        return lap_ns(self._board.baud)

    def _loaded(self) -> HeldModel:
        if self._model is None:
            raise StableDeviceError("no model is loaded", where=self._board.name)
        return self._model

    def _rows(self, sha256s: Sequence[str]) -> np.ndarray:
        (sha256,) = sha256s
        return self._board.samples(sha256)


def lap_ns(baud: int) -> int:
    """Nanoseconds that a lap line takes on a line of `baud` bits per second."""
    return math.ceil(_LAP_CHARS * _BITS_PER_CHAR * 1_000_000_000 / baud)


def plan_batches(plan: BenchPlan, infer_ns: int, *, lap_ns: int) -> BatchPlan:
    """Batches so long that a lap line is at most LAP_SHARE of them, and so many as the plan's time allows.

    Slow models get fewer inferences per batch; at least MIN_BATCHES batches are made in any case.
    """
    wanted_ns = min(round(lap_ns / LAP_SHARE), max(1, plan.max_ns // MIN_BATCHES))
    inferences = max(1, math.ceil(wanted_ns / max(1, infer_ns)))
    each_ns = (inferences + _WARMUPS) * infer_ns
    needed = max(MIN_BATCHES, math.ceil(plan.min_samples / inferences), math.ceil(plan.min_ns / max(1, each_ns)))
    return BatchPlan(
        inferences=inferences,
        lap_ns=lap_ns,
        batches=min(MAX_BATCHES, max(MIN_BATCHES, min(max(needed, 30), plan.max_ns // max(1, each_ns)))),
    )


def _last(reply: Reply) -> str:
    return repr(reply.lines[-1][:80]) if reply.lines else "none"
