"""One cell's process on a Linux board, driven by the agent's requests; made by `harness.boards.linux.board.LinuxBoard`."""

from __future__ import annotations

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
from harness.core.errors import DeviceError, TransientDeviceError
from harness.core.tensor import TensorIo
from harness.links.framing import Frame

if TYPE_CHECKING:
    from harness.boards.linux.board import LinuxBoard

#: how much longer than a request's own deadline the host waits for the supervisor to say so
GRACE_S = 15.0


class LinuxWorker(Worker):
    """One cell's process on a Linux board."""

    def __init__(
        self, *, board: LinuxBoard, opened: dict[str, Any], backend: BackendSpec, deadlines: Deadlines
    ) -> None:
        """
        Args:
            opened: the agent's answer to `open`.
        """
        self.started, self.started_why = opened["started"], opened["started_why"]
        self._board = board
        self._ident: int = opened["worker"]
        self._backend = backend
        self._deadlines = deadlines
        self._log = ""
        self._ended = False

    def load(self, model_sha256: str) -> LoadResult:
        """Creates the interpreter with the backend's delegate and threads, and allocates its tensors."""
        answer = self._ask("load", self._deadlines.load_s, model=model_sha256).header
        # The agent may have put a fresh worker in a forked one's place.
        self.started, self.started_why = answer["started"], answer["started_why"]
        return LoadResult(
            load_ns=answer["load_ns"], inputs=_tensors(answer["inputs"]), outputs=_tensors(answer["outputs"])
        )

    def first_invoke(self, input_sha256s: Sequence[str]) -> int:
        """Nanoseconds of the first invoke, on the first row of the input files (one per input, in the model's order)."""
        answer = self._ask("first_invoke", self._deadlines.first_invoke_s, inputs=list(input_sha256s))
        return answer.header["first_invoke_ns"]

    def evaluate(
        self,
        input_sha256s: Sequence[str],
        count: int,
        *,
        start: int = 0,
        progress: Progress | None = None,
        beginnings: Sequence[int] | np.ndarray | None = None,
    ) -> EvalResult:
        """Runs `count` samples from row `start`, each from the model's initial state, or those from `beginnings` on in one go."""
        rows: dict[int, bytearray] = {}

        def collect(frame: Frame) -> None:
            if frame.header["type"] == "rows":
                rows.setdefault(frame.header["output"], bytearray()).extend(frame.payload)
            elif progress:
                progress(frame.header["done"], frame.header["total"])

        answer = self._ask(
            "evaluate",
            self._deadlines.evaluate_s,
            collect,
            inputs=list(input_sha256s),
            count=count,
            start=start,
            progress=progress is not None,
            beginnings=None if beginnings is None else [int(row) for row in beginnings if start <= row < start + count],
        ).header
        if progress:
            progress(count, count)
        outputs = tuple(
            _array(rows.get(number, b""), spec["dtype"], (count, *spec["shape"]), self._board.name)
            for number, spec in enumerate(answer["outputs"])
        )
        times = _array(rows.get(-1, b""), "<i8", (count,), self._board.name)
        return EvalResult(outputs=outputs, invoke_ns=times, elapsed_ns=answer["elapsed_ns"])

    def bench(self, plan: BenchPlan) -> BenchResult:
        """Times invokes on the sample that was set last by `first_invoke` or `evaluate`."""
        rows: dict[int, bytearray] = {}

        def collect(frame: Frame) -> None:
            rows.setdefault(frame.header["output"], bytearray()).extend(frame.payload)

        answer = self._ask("bench", self._deadlines.bench_s, collect, **asdict(plan)).header
        return BenchResult(
            samples_ns=_array(rows.get(-1, b""), "<i8", (answer["samples"],), self._board.name),
            warmup_ns=_array(rows.get(-2, b""), "<i8", (answer["warmup"],), self._board.name),
            warmup_stable=answer["stable"],
        )

    def placement(self) -> PlacementResult:
        """Which nodes the delegate and XNNPACK took."""
        answer = self._ask("placement", self._deadlines.load_s).header
        if answer["nodes"] is None:
            return PlacementResult(nodes=(), delegated_nodes=None, partitions=None, note=answer["note"])
        names = {"cpu": "cpu", "xnnpack": "xnnpack", "external": self._backend.delegate_name or "delegate"}
        nodes = tuple(
            NodePlace(
                node=row["node"],
                op=row["op"],
                ran_on=names[row["on"]],
                partition=row["partition"],
                inputs=tuple(row["inputs"]),
                outputs=tuple(row["outputs"]),
            )
            for row in answer["nodes"]
        )
        kinds = [row["on"] for row in answer["nodes"]]
        return PlacementResult(
            nodes=nodes,
            delegated_nodes=kinds.count("external"),
            partitions=answer["external_partitions"],
            xnnpack_nodes=kinds.count("xnnpack"),
        )

    def stats(self) -> WorkerStats:
        """The worker's peak memory so far, and the board's governor, frequency and temperature now."""
        header = self._ask("stats", self._deadlines.load_s).header
        return WorkerStats(**{k: v for k, v in header.items() if k != "type"})

    def close(self) -> str:
        """Ends the worker; returns its board log. After a failure it returns that failure's log."""
        if not self._ended:
            self._ended = True
            answer = self._board.request({"verb": "close", "worker": self._ident})
            self._log = bytes(answer.payload).decode("utf-8", "replace")
            header = answer.header
            if "cache_files" in header:
                self.cache_use = GraphCacheUse(
                    files=header["cache_files"], size_bytes=header["cache_bytes"], problem=header["cache_problem"]
                )
        return self._log

    def _ask(
        self, verb: Phase | str, deadline_s: float, on_frame: Callable[[Frame], None] | None = None, **values: Any
    ) -> Frame:
        if self._ended:
            raise TransientDeviceError("the worker has ended", where=self._board.name)
        request = {"verb": verb, "worker": self._ident, "deadline_s": deadline_s, **values}
        try:
            return self._board.request(request, deadline_s=deadline_s + GRACE_S, on_frame=on_frame)
        except WorkerFailure as failure:
            if failure.kind != "exception":  # the process is gone; only its log is left
                self._ended, self._log = True, failure.board_log
            raise
        except DeviceError:
            # With its session the worker is gone, too; closing it must not hide why.
            self._ended = self._ended or self._board._frames is None
            raise


def _tensors(rows: list[dict[str, Any]]) -> tuple[TensorIo, ...]:
    return tuple(TensorIo(**{**row, "shape": tuple(row["shape"])}) for row in rows)


def _array(data: bytes | bytearray, dtype: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Raw bytes of the board as an array; the count was promised in the answer."""
    kind = np.dtype(dtype)
    if len(data) != kind.itemsize * int(np.prod(shape)):
        raise TransientDeviceError(f"{len(data)} bytes came for an array of {dtype} {list(shape)}", where=where)
    return np.frombuffer(data, kind).reshape(shape)
