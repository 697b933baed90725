"""Runs one .tflite after the other on a board: float twins on the host, single ops anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.boards.base import BackendSpec, Board, Deadlines, Worker, WorkerFailure
from harness.core.files import atomic_file, sha256_file, write_bytes_atomic


class Alone:
    """Runs models on one backend of a board; an instance is a `harness.measure.op_cases.Run`. Use as a context manager.

    One worker loads model after model, because starting one may take longer than running an op. A model that ends it costs
    that model only: the next one gets a new worker.
    """

    def __init__(self, board: Board, backend: BackendSpec, folder: Path, deadlines: Deadlines | None = None) -> None:
        """
        Args:
            board: connected.
            folder: where models and samples are written before they travel; a temporary folder of the caller's.
            deadlines: of each request.
        """
        self._board = board
        self._backend = backend
        self._folder = folder
        self._deadlines = deadlines or Deadlines()
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
            DeviceError: the board or the link failed.
        """
        files = [self._samples(number, values) for number, values in enumerate(inputs)]
        return self.on_files(model, files, len(inputs[0]))

    def on_files(self, model: bytes, samples: Sequence[Path], count: int) -> tuple[np.ndarray, ...]:
        """The outputs on the first `count` samples of .npy files, one per input. Raises as above."""
        path = self._folder / "model.tflite"
        write_bytes_atomic(path, model)
        digests = [sha256_file(file) for file in samples]
        model_digest = sha256_file(path)
        for file, digest in ((path, model_digest), *zip(samples, digests, strict=True)):
            self._board.ensure_file(file, digest)
        if self._worker is None:
            self._worker = self._board.open_worker(self._backend, self._deadlines)
        try:
            self._worker.load(model_digest)
            return self._worker.evaluate(digests, count).outputs
        except WorkerFailure:
            self.close()
            raise

    def _samples(self, number: int, values: np.ndarray) -> Path:
        path = self._folder / f"input_{number}.npy"
        with atomic_file(path) as file:
            np.save(file, np.ascontiguousarray(values), allow_pickle=False)
        return path
