"""One cell's process on a Linux board, driven by the agent's requests; made by `harness.boards.linux.board.LinuxBoard`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.boards.base import (
    BackendSpec,
    BenchPlan,
    BenchResult,
    Deadlines,
    EvalResult,
    GraphCacheUse,
    LoadResult,
    NodePlace,
    Phase,
    PlacementResult,
    Progress,
    Worker,
    WorkerFailure,
    WorkerStats,
)
from harness.boards.linux import answers
from harness.boards.linux.rows import INVOKES, WARM_UP, Rows
from harness.core.errors import HarnessError, TransientDeviceError
from harness.core.memory import require_memory
from harness.core.tensor import TensorIo
from harness.links.framing import Frame

if TYPE_CHECKING:
    from harness.boards.linux.board import LinuxBoard

#: no invoke with its two readings of the clock is shorter, from Python: it bounds how many of them there are in a time
_LEAST_INVOKE_NS = 200
#: how much longer than a request's own deadline the host waits for the supervisor to say so
GRACE_S = 15.0


class LinuxWorker(Worker):
    """One cell's process on a Linux board."""

    def __init__(
        self, *, board: LinuxBoard, opened: answers.Opened, backend: BackendSpec, deadlines: Deadlines
    ) -> None:
        """
        Args:
            opened: the agent's answer to `open`.
        """
        self.started, self.started_why = opened.started, opened.started_why
        self._board = board
        self._ident = opened.worker
        self._backend = backend
        self._deadlines = deadlines
        self._log = ""
        self._ended = False

    def load(self, model_sha256: str) -> LoadResult:
        """Creates the interpreter with the backend's delegate and threads, and allocates its tensors."""
        loaded = self._ask(answers.Loaded, "load", self._deadlines.load_s, model=model_sha256)
        # The agent may have put a fresh worker in a forked one's place.
        self.started, self.started_why = loaded.started, loaded.started_why
        return LoadResult(load_ns=loaded.load_ns, inputs=_tensors(loaded.inputs), outputs=_tensors(loaded.outputs))

    def first_invoke(self, input_sha256s: Sequence[str]) -> int:
        """Nanoseconds of the first invoke, on the first row of the input files (one per input, in the model's order)."""
        limit_s, inputs = self._deadlines.first_invoke_s, list(input_sha256s)
        return self._ask(answers.FirstInvoke, "first_invoke", limit_s, inputs=inputs).first_invoke_ns

    def evaluate(
        self,
        input_sha256s: Sequence[str],
        count: int,
        *,
        start: int = 0,
        progress: Progress | None = None,
        beginnings: Sequence[int] | np.ndarray | None = None,
    ) -> EvalResult:
        """Runs `count` samples from row `start`, each from the model's initial state, or those from `beginnings` on in one go.

        Raises:
            UserInputError: the outputs of so many samples do not fit into this machine's memory.
            WorkerFailure, DeviceError: as every request.
        """
        rows = Rows("evaluate")
        kinds: list[answers.OutputKind] = []

        def collect(frame: Frame) -> None:
            if frame.header["type"] == "rows":
                rows.take(frame)
            elif frame.header["type"] == "outputs":
                kinds[:] = answers.read(answers.OutputKinds, frame.header, "evaluate").outputs
                rows.expect(self._room(kinds, count))
            elif progress:
                moved = answers.read(answers.Moved, frame.header, "evaluate")
                progress(min(moved.done, count), count)

        done = self._ask(
            answers.Evaluated,
            "evaluate",
            self._deadlines.evaluate_s,
            collect,
            inputs=list(input_sha256s),
            count=count,
            start=start,
            progress=progress is not None,
            beginnings=None if beginnings is None else [int(row) for row in beginnings if start <= row < start + count],
        )
        if progress:
            progress(count, count)
        with self._board.whole_answers():
            outputs = tuple(rows.array(n, kind.dtype, (count, *kind.shape)) for n, kind in enumerate(kinds))
            times = rows.times(INVOKES, count)
        return EvalResult(outputs=outputs, invoke_ns=times, elapsed_ns=done.elapsed_ns)

    def _room(self, kinds: Sequence[answers.OutputKind], count: int) -> dict[int, int]:
        """How many bytes of each output, and of times, an evaluation sends."""
        room = {n: count * math.prod(kind.shape) * np.dtype(kind.dtype).itemsize for n, kind in enumerate(kinds)}
        require_memory(
            sum(room.values()),
            f"the outputs of {count:,} samples",
            where=self._board.name,
            hint="evaluate fewer samples: --samples",
        )
        return {**room, INVOKES: count * 8}

    def bench(self, plan: BenchPlan) -> BenchResult:
        """Times invokes on the sample that was set last by `first_invoke` or `evaluate`."""
        rows = Rows("bench")
        rows.expect({INVOKES: _most_bytes(plan.min_ns, plan.min_samples), WARM_UP: _most_bytes(plan.warmup_max_ns)})

        def collect(frame: Frame) -> None:
            if frame.header["type"] == "rows":
                rows.take(frame)

        done = self._ask(answers.Benched, "bench", self._deadlines.bench_s, collect, **asdict(plan))
        with self._board.whole_answers():
            return BenchResult(
                samples_ns=rows.times(INVOKES, done.samples),
                warmup_ns=rows.times(WARM_UP, done.warmup),
                warmup_stable=done.stable,
                surroundings=None if done.surroundings is None else done.surroundings.surroundings(),
            )

    def placement(self) -> PlacementResult:
        """Which nodes the delegate and XNNPACK took."""
        placed = self._ask(answers.Placed, "placement", self._deadlines.load_s)
        if placed.nodes is None:
            return PlacementResult(nodes=(), delegated_nodes=None, partitions=None, note=placed.note)
        names = {"cpu": "cpu", "xnnpack": "xnnpack", "external": self._backend.delegate_name or "delegate"}
        nodes = tuple(
            NodePlace(
                node=row.node,
                op=row.op,
                ran_on=names[row.on],
                partition=row.partition,
                inputs=tuple(row.inputs),
                outputs=tuple(row.outputs),
            )
            for row in placed.nodes
        )
        kinds = [row.on for row in placed.nodes]
        return PlacementResult(
            nodes=nodes,
            delegated_nodes=kinds.count("external"),
            partitions=placed.external_partitions,
            xnnpack_nodes=kinds.count("xnnpack"),
        )

    def stats(self) -> WorkerStats:
        """The worker's peak memory so far, and the board's governor, frequency and temperature now."""
        return WorkerStats(**self._ask(answers.Stats, "stats", self._deadlines.load_s).model_dump())

    def close(self) -> str:
        """Ends the worker; returns its board log. After a failure it returns that failure's log."""
        if not self._ended:
            self._ended = True
            closed, log = self._board.ask(answers.Closed, {"verb": "close", "worker": self._ident})
            self._log = answers.log_text(log)
            if closed.cache_files is not None and closed.cache_bytes is not None:
                self.cache_use = GraphCacheUse(
                    files=closed.cache_files, size_bytes=closed.cache_bytes, problem=closed.cache_problem
                )
        return self._log

    def _ask(
        self,
        kind: type[answers.Known],
        verb: Phase,
        deadline_s: float,
        on_frame: Callable[[Frame], None] | None = None,
        **values: Any,
    ) -> answers.Known:
        if self._ended:
            raise TransientDeviceError("the worker has ended", where=self._board.name)
        request = {"verb": verb, "worker": self._ident, "deadline_s": deadline_s, **values}
        try:
            return self._board.ask(kind, request, deadline_s=deadline_s + GRACE_S, on_frame=on_frame)[0]
        except WorkerFailure as failure:
            if failure.kind != "exception":  # the process is gone; only its log is left
                self._ended, self._log = True, failure.board_log
            raise
        except HarnessError:
            # With its session the worker is gone, too; closing it must not hide why.
            self._ended = self._ended or self._board._frames is None
            raise


def _tensors(rows: Sequence[answers.Tensor]) -> tuple[TensorIo, ...]:
    return tuple(TensorIo(**{**row.model_dump(), "shape": tuple(row.shape)}) for row in rows)


def _most_bytes(time_ns: int, count: int = 0) -> int:
    """What so many times, or as many as fit into so much time, may take."""
    return 8 * max(count, time_ns // _LEAST_INVOKE_NS)
