"""One cell on a microcontroller: the model is loaded, samples go over the line in batches, outputs and ticks come back.

Samples lie in the board's sample memory and stay there: the next recipe with the same samples sends none. A board without such
memory gets each sample straight into the model's inputs (`DIRECT`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from harness.boards.base import (
    BenchPlan,
    BenchResult,
    Deadlines,
    EvalResult,
    LayerCosts,
    LoadResult,
    Phase,
    PlacementResult,
    Progress,
    Worker,
    WorkerFailure,
    WorkerStats,
)
from harness.boards.mcu.layers import layer_costs
from harness.boards.mcu.model import McuModel
from harness.core.errors import StableDeviceError, UserInputError
from harness.core.tensor import TensorIo
from harness.links.serial.messages import Feature, NodeTicks, ProtocolError, RunAnswer, Target, checked_ticks

if TYPE_CHECKING:
    from harness.boards.mcu.board import McuBoard

#: inferences under way in one request: enough that the line's round trip does not count, few enough that progress shows
RUN_COUNT = 64
#: repeats of the timed sample where instructions are counted: they only prove that the count does not change
_COUNTED_REPEATS = 3
#: the warm-up's rule of boards with Linux (devices/linux/agent/runs.py): a window has so many samples and so much time, and
#: medians of three windows lie so near to each other. It has fewer samples where they are long, and less time where they are
#: very short: 64 of them are one request over a slow line.
_WINDOW_SAMPLES, _WINDOW_NS = 10, 20_000_000
_WINDOW_MOST_SAMPLES, _WINDOW_MOST_NS = 192, 200_000_000
_STABLE_SHARE, _STABLE_NS = 0.02, 100
#: room that may be lost between samples and results when the board aligns the latter
_ALIGNMENT_BYTES = 16

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples in the board's memory: rows `first`.. of the input files."""

    sha256s: tuple[str, ...]
    first: int
    count: int


class McuWorker(Worker):
    """The `Worker` of `harness.boards.base` on a microcontroller. The board has no processes: it is the session that is used."""

    def __init__(self, board: McuBoard, deadlines: Deadlines) -> None:
        self._board = board
        self._deadlines = deadlines
        self._model: McuModel | None = None
        self._batch: Batch | None = None
        self._pace_s = 0.0
        self._sample: tuple[str, ...] = ()

    # ------------------------------------------------------------------------------------------------ the seam

    def load(self, model_sha256: str) -> LoadResult:
        """Pushes the model, unless the board has it already, and lets the firmware check and prepare it."""
        model = self._board.expected(model_sha256)
        data = self._read(model.path)
        answer = self._ask("load", lambda: self._board.session.upload(Target.MODEL, data)).loaded
        assert answer is not None
        self._require_sizes("input", model.inputs, answer.input_bytes)
        self._require_sizes("output", model.outputs, answer.output_bytes)
        self._model, self._batch = model, None  # another model leaves other room for samples
        return LoadResult(
            load_ns=self._board.clock.one_ns(answer.load_ticks), inputs=model.inputs, outputs=model.outputs
        )

    def first_invoke(self, input_sha256s: Sequence[str]) -> int | None:
        """The first inference, on row 0; brings the first batch of samples to the board."""
        begun_s = time.monotonic()
        limit_s = self._deadlines.first_invoke_s
        if self._stay(input_sha256s, 0):
            _, ticks = self._run("first_invoke", 0, 1, limit_s=limit_s)
        else:
            _, ticks = self._direct("first_invoke", input_sha256s, 0, limit_s=limit_s)
        self._sample = tuple(input_sha256s)
        self._pace_s = time.monotonic() - begun_s
        return self._board.clock.one_ns(int(ticks[0]))

    def evaluate(
        self,
        input_sha256s: Sequence[str],
        count: int,
        *,
        start: int = 0,
        progress: Progress | None = None,
        beginnings: Sequence[int] | np.ndarray | None = None,
    ) -> EvalResult:
        """Runs `count` samples from row `start`. Whether a row begins anew is told with each request: a sequence's first row
        has one of its own.
        """
        begun_s = time.monotonic()
        pieces: list[tuple[np.ndarray, np.ndarray]] = []
        ends = _alike(start, count, beginnings)
        done = 0
        while done < count:
            row = start + done
            carry, end = ends(row)
            batch = self._batch if self._stay(input_sha256s, row, wanted=count - done) else None
            if batch is not None:
                piece = min(end - row, batch.first + batch.count - row, self._results_room(batch))
                pieces.append(self._run("evaluate", row - batch.first, piece, carry=carry))
            else:
                piece = 1
                pieces.append(self._direct("evaluate", input_sha256s, row, carry=carry))
            done += piece
            if progress:
                progress(done, count)
        raw = np.concatenate([rows for rows, _ in pieces])
        ticks = np.concatenate([ticks for _, ticks in pieces])
        clock = self._board.clock
        return EvalResult(
            outputs=self._outputs(raw),
            invoke_ns=clock.ns(ticks),
            counts=clock.counts(ticks),
            elapsed_ns=round((time.monotonic() - begun_s) * 1e9),
        )

    def bench(self, plan: BenchPlan) -> BenchResult:
        """Times the first sample over and over, after a warm-up until it has settled. Where instructions are counted a few
        repeats do, without a warm-up: they are all the same.
        """
        clock, count, warm_up, stable = self._board.clock, _COUNTED_REPEATS, np.zeros(0, np.int64), True
        if clock.icount_shift is None:
            warm_up, stable = self._warm_up(plan.warmup_max_ns)
        begun_s = time.monotonic()
        first = self._repeat(1)[1]
        if clock.icount_shift is None:
            each_ns = max(1, clock.one_ns(int(first[0])) or 1)
            count = min(max(plan.min_samples, plan.min_ns // each_ns), max(1, plan.max_ns // each_ns))
        parts = [first]
        while (missing := count - sum(map(len, parts))) > 0:
            parts.append(self._repeat(missing)[1])
        ticks = np.concatenate(parts)
        if not ticks.any():
            raise ProtocolError(
                f"the board's counter ({clock.tick_hz} Hz) does not move while it runs the model",
                where=self._board.name,
                hint="the board's port needs a finer counter (docs/guides/adding-an-mcu-board.md)",
            )
        pace_ns = round((time.monotonic() - begun_s) / len(ticks) * 1e9)
        return BenchResult(
            samples_ns=clock.ns(ticks),
            warmup_ns=warm_up,
            warmup_stable=stable,
            counts=clock.counts(ticks),
            pace_ns=pace_ns,
        )

    def _warm_up(self, max_ns: int) -> tuple[np.ndarray, bool]:
        """Runs until three windows in a row have about the same median, the rule of boards with Linux, or the time is
        over: int64 [n] ns, and whether it settled. Three windows there always are.
        """
        windows: list[np.ndarray] = []
        spent_ns = 0
        near_ns = max(_STABLE_NS, self._board.clock.one_ns(1) or 0)  # a coarse timer's last tick is no drift
        while len(windows) < 3 or spent_ns < max_ns:
            windows.append(self._window())
            spent_ns += int(windows[-1].sum())
            medians = [int(np.median(window)) for window in windows[-3:]]
            if len(medians) == 3 and max(medians) - min(medians) <= max(_STABLE_SHARE * min(medians), near_ns):
                return np.concatenate(windows), True
        return np.concatenate(windows), False

    def _window(self) -> np.ndarray:
        """int64 [n] ns of one window of the warm-up."""
        clock = self._board.clock
        parts = [clock.ns(self._repeat(1)[1])]
        while True:
            done, spent_ns = sum(map(len, parts)), sum(int(part.sum()) for part in parts)
            each_ns = max(1, spent_ns // done)
            wanted = max(-(-_WINDOW_NS // each_ns), min(_WINDOW_SAMPLES, _WINDOW_MOST_NS // each_ns))
            missing = min(wanted, _WINDOW_MOST_SAMPLES) - done
            if missing <= 0:
                return np.concatenate(parts)
            parts.append(clock.ns(self._repeat(missing)[1]))

    def placement(self) -> PlacementResult:
        """Every node runs on the core, but for those that the host worked out beforehand."""
        nodes = self._loaded().nodes
        return PlacementResult(nodes=nodes, delegated_nodes=None, partitions=None)

    def stats(self) -> WorkerStats:
        """Memory as the firmware knows it."""
        stats = self._ask("evaluate", self._board.session.stats)
        hello = self._board.hello
        return WorkerStats(
            arena_bytes=stats.arena_used,
            stack_peak_bytes=stats.stack_peak,
            model_bytes=stats.model_bytes,
            code_bytes=hello.code_bytes,
            frequency_hz=hello.clock_hz,
        )

    def layers(self) -> LayerCosts | None:
        """What each node costs, by inferences of their own on the first sample."""
        if not self._board.hello.features & Feature.TELLS_LAYERS or not self._loaded().plan_nodes:
            return None
        limit_s = self._deadlines.bench_s
        stays = self._batch is not None and self._batch.first == 0

        def told(node: int) -> NodeTicks:
            if not stays:
                arrays = [self._board.samples(sha256)[:1] for sha256 in self._sample]
                self._ask("layers", lambda: self._board.session.write_inputs(interleave(arrays)))
            return self._ask(
                "layers",
                lambda: self._board.session.profile(
                    node=node,
                    direct=not stays,
                    inference_limit_ms=_ms(limit_s),
                    deadline_s=self._patience_s(2, limit_s),
                ),
            )

        return layer_costs(self._loaded().plan_nodes, self._board.clock, told, where=self._board.name)

    def close(self) -> str:
        """Nothing to end; returns what the line had to put up with, when it had."""
        return self._board.take_log()

    # ------------------------------------------------------------------------------------------------ samples

    def _stay(self, sha256s: Sequence[str], row: int, *, wanted: int | None = None) -> bool:
        """Makes a row be in the board's sample memory, with as many behind it as are wanted; False: the board has no room."""
        batch, hashes = self._batch, tuple(sha256s)
        if batch and batch.sha256s == hashes and batch.first <= row < batch.first + batch.count:
            return True
        arrays = [self._board.samples(sha256) for sha256 in hashes]
        wanted = self._board.samples_expected if wanted is None else max(wanted, 1)
        count = min(self._samples_room(wanted), min(len(a) for a in arrays) - row)
        if count < 1:
            return False
        data = interleave([a[row : row + count] for a in arrays])
        self._ask("evaluate", lambda: self._board.session.upload(Target.SAMPLES, data))
        self._batch = Batch(sha256s=hashes, first=row, count=count)
        return True

    def _samples_room(self, wanted: int) -> int:
        """How many samples fit into the sample memory, with results of one request behind them."""
        model = self._loaded()
        sample, result = _bytes(model.inputs), self._result_bytes()
        room = self._board.hello.sample_bytes - _ALIGNMENT_BYTES
        everything = min(wanted, (room - min(wanted, RUN_COUNT) * result) // sample)
        return everything if everything >= 1 else int(room >= sample + result)

    def _results_room(self, batch: Batch) -> int:
        """How many inferences one request may be for."""
        used = batch.count * _bytes(self._loaded().inputs) + _ALIGNMENT_BYTES
        return max(1, min(RUN_COUNT, (self._board.hello.sample_bytes - used) // self._result_bytes()))

    # ------------------------------------------------------------------------------------------------ running

    def _run(
        self,
        phase: Phase,
        first: int,
        count: int,
        *,
        repeat: bool = False,
        carry: bool = False,
        limit_s: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs samples of the board's memory: uint8 [count, output bytes] and int64 [count] ticks."""
        session, each_s = self._board.session, limit_s or self._deadlines.evaluate_s
        answer = self._ask(
            phase,
            lambda: session.run(
                first=first,
                count=count,
                repeat=repeat,
                carry=carry,
                inference_limit_ms=_ms(each_s),
                while_working=True,
                deadline_s=self._patience_s(count, each_s),
            ),
        )
        self._require_done(answer, count)
        data = self._ask(phase, lambda: session.read(Target.RESULTS, 0, count * self._result_bytes()))
        records = np.frombuffer(data, np.uint8).reshape(count, self._result_bytes())
        ticks = np.ascontiguousarray(records[:, :8]).view("<u8")[:, 0]
        checked_ticks(int(ticks.max()), "RESULTS")
        return records[:, 8:], ticks.astype(np.int64)

    def _direct(
        self, phase: Phase, sha256s: Sequence[str], row: int, *, carry: bool = False, limit_s: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Writes one sample to the inputs, runs it, and reads the outputs: as `_run`, with count 1."""
        session, each_s = self._board.session, limit_s or self._deadlines.evaluate_s
        arrays = [self._board.samples(sha256) for sha256 in sha256s]
        data = interleave([a[row : row + 1] for a in arrays])
        self._ask(phase, lambda: session.write_inputs(data))
        done = self._ask(
            phase,
            lambda: session.run(
                direct=True,
                carry=carry,
                inference_limit_ms=_ms(each_s),
                while_working=True,
                deadline_s=self._patience_s(1, each_s),
            ),
        )
        self._require_done(done, 1)
        sizes = _bytes(self._loaded().outputs)
        raw = self._ask(phase, lambda: session.read(Target.OUTPUTS, 0, sizes))
        padded = np.zeros((1, self._result_bytes() - 8), np.uint8)
        padded[0, :sizes] = np.frombuffer(raw, np.uint8)
        return padded, np.array([done.total_ticks], np.int64)

    def _repeat(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first sample again, at most as often as one request allows."""
        batch = self._batch
        if batch is not None and batch.first == 0:
            return self._run(
                "bench", 0, min(count, self._results_room(batch)), repeat=True, limit_s=self._deadlines.bench_s
            )
        return self._direct("bench", self._sample, 0, limit_s=self._deadlines.bench_s)

    def _patience_s(self, count: int, each_s: float) -> float:
        """How long the host waits for a request of `count` inferences: the board's own watchdog ends a hang before."""
        return each_s + 10.0 + count * self._pace_s * 10

    # ------------------------------------------------------------------------------------------------ helpers

    def _ask(self, phase: Phase, request: Callable[[], Result]) -> Result:
        return self._board.ask(phase, request)

    def _loaded(self) -> McuModel:
        if self._model is None:
            raise StableDeviceError("no model is loaded", where=self._board.name)
        return self._model

    def _result_bytes(self) -> int:
        return 8 + -(-_bytes(self._loaded().outputs) // 4) * 4

    def _outputs(self, raw: np.ndarray) -> tuple[np.ndarray, ...]:
        """uint8 [count, bytes] as one array per output, without the batch axis."""
        arrays, at = [], 0
        for io in self._loaded().outputs:
            kind = np.dtype(io.dtype).newbyteorder("<")
            size = _bytes([io])
            part = np.ascontiguousarray(raw[:, at : at + size]).view(kind)
            arrays.append(part.reshape(len(raw), *io.shape[1:]).astype(np.dtype(io.dtype)))
            at += size
        return tuple(arrays)

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserInputError(f"cannot be read: {error.strerror}", where=str(path)) from error

    def _require_done(self, answer: RunAnswer, count: int) -> None:
        """A board that runs fewer inferences than asked would leave old results in its memory."""
        if answer.done != count:
            raise ProtocolError(f"RUN: done is {answer.done}, asked were {count} inferences", where=self._board.name)

    def _require_sizes(self, what: str, tensors: Sequence[TensorIo], found: Sequence[int]) -> None:
        """The board and the host must mean the same tensors."""
        wanted = [_bytes([io]) for io in tensors]
        if wanted != list(found):
            raise WorkerFailure(
                f"the board says that the {what}s have {list(found)} bytes, the model's have {wanted}",
                kind="exit",
                phase="load",
                where=self._board.name,
            )


def interleave(arrays: Sequence[np.ndarray]) -> bytes:
    """Samples as they lie on the board: for each, its inputs one after the other."""
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0]).tobytes()
    flat = [np.ascontiguousarray(a).reshape(len(a), -1).view(np.uint8) for a in arrays]
    return np.concatenate(flat, axis=1).tobytes()


def _alike(start: int, count: int, beginnings: Sequence[int] | np.ndarray | None) -> Callable[[int], tuple[bool, int]]:
    """Tells of a row whether it carries on what the one before left, and up to which row the next ones do alike."""
    end = start + count
    if beginnings is None:
        return lambda row: (False, end)
    rows = np.unique([start, *(int(row) for row in beginnings if start <= row < end), end])

    def of(row: int) -> tuple[bool, int]:
        following = int(np.searchsorted(rows, row, side="right"))
        begins = int(rows[following - 1]) == row
        return (False, row + 1) if begins else (True, int(rows[following]))

    return of


def _bytes(tensors: Sequence[TensorIo]) -> int:
    return sum(int(np.prod(io.shape, dtype=np.int64)) * np.dtype(io.dtype).itemsize for io in tensors)


def _ms(seconds: float) -> int:
    return min(0xFFFF_FFFF, max(1, round(seconds * 1000)))
