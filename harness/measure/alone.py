"""Runs one .tflite after the other on a board: float twins on the host, pieces of a model anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.boards.adapt import NotAdapted, adapt
from harness.boards.base import (
    BackendSpec,
    BenchPlan,
    BenchResult,
    Board,
    Deadlines,
    EvalResult,
    LayerCosts,
    PlacementResult,
    Worker,
    WorkerFailure,
)
from harness.core.errors import UnsupportedError
from harness.core.files import atomic_file, sha256_file, write_bytes_atomic
from harness.prepare.bare import bare_model
from harness.prepare.samples import InputFile

#: how many times longer than the first inference the later ones may take before their request is late
_HEADROOM = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """A model run and timed in one go.

    Attributes:
        evaluated: outputs, and times or counts of each sample.
        bench: timing on the last sample; None where it was not asked for, or the board has no processes:
            its samples were all timed or counted while they were evaluated.
        placement: where its nodes ran; None where it was not asked for.
        layers: what each node costs; None where it was not asked for, or the board does not tell.
    """

    evaluated: EvalResult
    bench: BenchResult | None = None
    placement: PlacementResult | None = None
    layers: LayerCosts | None = None


def _request_starts(count: int, size: int, beginnings: np.ndarray | None) -> list[int]:
    """The rows at which requests of about `size` samples begin; a sequence is never cut, because its state would be lost."""
    if beginnings is None:
        return list(range(0, count, size))
    starts = [0]
    for row in sorted(int(row) for row in beginnings if 0 < row < count):
        if row - starts[-1] >= size:
            starts.append(row)
    return starts


class Alone:
    """Runs models on one backend of a board; an instance is a `harness.measure.op_cases.Run`. Use as a context manager.

    Each model takes the form that the board wants (a plan, an offline compiler's output) before it travels. One worker loads
    model after model, because starting one may take longer than running an op. A model that ends it costs that model only: the
    next one gets a new worker.
    """

    def __init__(
        self,
        board: Board,
        backend: BackendSpec,
        folder: Path,
        deadlines: Deadlines | None = None,
        *,
        paced: bool = False,
    ) -> None:
        """
        Args:
            board: connected.
            folder: where models and samples are written before they travel; a temporary folder of the caller's.
            deadlines: of each request.
            paced: for models that may never end: one sample comes first, and says how many go into a request, so that no
                inference has more time than `deadlines.first_invoke_s`, and all together as much as they need.
        """
        self._board = board
        self._backend = backend
        self._folder = folder
        self._deadlines = deadlines or Deadlines()
        self._paced = paced
        if paced:
            self._deadlines = replace(self._deadlines, evaluate_s=self._deadlines.first_invoke_s)
        self._worker: Worker | None = None

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker, if there is one."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def __call__(self, model: bytes, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The outputs of a model on samples [n, ...] per input, in the input's dtype.

        Raises:
            WorkerFailure: the runtime or the delegate refuses the model, or it ends badly.
            UnsupportedError: the board cannot be given the model.
            DeviceError: the board or the link failed.
        """
        files = [self._samples(number, values) for number, values in enumerate(inputs)]
        return self.on_files(model, files, len(inputs[0]))

    def on_files(
        self, model: bytes, samples: Sequence[Path], count: int, *, beginnings: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        """The outputs on the first `count` samples of .npy files, one per input. Raises as above."""
        path = self._folder / "model.tflite"
        write_bytes_atomic(path, model)
        files = [InputFile(path=file, sha256=sha256_file(file), count=count) for file in samples]
        return self.on_file(path, files, count, beginnings=beginnings)

    def on_file(
        self, path: Path, samples: Sequence[InputFile], count: int, *, beginnings: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        """The same of a .tflite file and of samples whose hashes are known.

        Args:
            beginnings: rows before which a model that remembers is put into its initial state; None: before every row.
        """
        worker = self._loaded(path, samples, count)
        try:
            return self._answers(worker, [file.sha256 for file in samples], count, beginnings)
        except WorkerFailure:
            self.close()
            raise

    def probe(
        self,
        model: bytes,
        inputs: Sequence[np.ndarray],
        *,
        plan: BenchPlan | None = None,
        placement: bool = False,
        layers: bool = False,
    ) -> Probe:
        """A model on samples [n, ...] per input, timed too where a plan says how. Raises as `__call__`."""
        path, count = self._folder / "model.tflite", len(inputs[0])
        write_bytes_atomic(path, model)
        paths = [self._samples(number, values) for number, values in enumerate(inputs)]
        files = [InputFile(path=file, sha256=sha256_file(file), count=count) for file in paths]
        worker = self._loaded(path, files, count)
        try:
            evaluated = worker.evaluate([file.sha256 for file in files], count)
            return Probe(
                evaluated=evaluated,
                bench=worker.bench(plan) if plan is not None and self._board.fresh_starts else None,
                placement=worker.placement() if placement else None,
                layers=self._layers(worker, [file.sha256 for file in files]) if layers else None,
            )
        except WorkerFailure:
            self.close()
            raise

    def _layers(self, worker: Worker, samples: list[str]) -> LayerCosts | None:
        if self._board.fresh_starts:
            return None
        worker.first_invoke(samples)  # the costs are of the first sample
        return worker.layers()

    def _loaded(self, path: Path, samples: Sequence[InputFile], count: int) -> Worker:
        """The worker with a model loaded, and with its samples on the board."""
        adapted = adapt(self._board, bare_model(path, tuple(samples), dataset_name="recorded"), self._backend)
        if isinstance(adapted, NotAdapted):
            raise UnsupportedError(adapted.reason)
        if not adapted.runs:
            raise UnsupportedError("nothing runs on this device")
        self._board.announce(adapted, samples=count)
        travels = adapted.model.artifact
        self._board.ensure_file(travels.file, travels.file_sha256)
        for file in samples:
            self._board.ensure_file(file.path, file.sha256)
        if self._worker is None:
            self._worker = self._board.open_worker(self._backend, self._deadlines)
        try:
            self._worker.load(travels.file_sha256)
        except WorkerFailure:
            self.close()
            raise
        return self._worker

    def _answers(
        self, worker: Worker, samples: list[str], count: int, beginnings: np.ndarray | None
    ) -> tuple[np.ndarray, ...]:
        if not self._paced:
            return worker.evaluate(samples, count, beginnings=beginnings).outputs
        first_ns = worker.first_invoke(samples)
        size = count if not first_ns else int(self._deadlines.evaluate_s * 1e9 / _HEADROOM / first_ns)
        ends = [*_request_starts(count, max(1, size), beginnings)[1:], count]
        parts, start = [], 0
        for end in ends:
            parts.append(worker.evaluate(samples, end - start, start=start, beginnings=beginnings).outputs)
            start = end
        return parts[0] if len(parts) == 1 else tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def _samples(self, number: int, values: np.ndarray) -> Path:
        path = self._folder / f"input_{number}.npy"
        with atomic_file(path) as file:
            np.save(file, np.ascontiguousarray(values), allow_pickle=False)
        return path
