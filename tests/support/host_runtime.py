"""Runs .tflite models on a runtime of this machine, with kernels of choice, each model in a process of its own.

State is reset before every sample, so that the order of samples does not matter to recurrent models.
"""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Sequence

import numpy as np

from tests.support.places import SUPPORT

_WORKER = SUPPORT / "host_runtime_worker.py"


class RuntimeRefused(Exception):
    """The runtime did not load or run a model; the text is its own."""


class HostRuntime:
    """One runtime environment; use as a context manager."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HostRuntime:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(10)
            self._process = None

    def run(self, model: bytes, inputs: Sequence[np.ndarray], *, kernels: str = "reference") -> list[np.ndarray]:
        """All outputs of a model.

        Args:
            model: the .tflite.
            inputs: one array per input, [N, ...] without the batch axis, in the input's dtype.
            kernels: as in `harness.boards.base.BackendSpec`.

        Returns:
            One array per output, [N, ...] without the batch axis where that is 1.

        Raises:
            RuntimeRefused: the runtime said no, or crashed.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                [self._python, "-u", str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        body = io.BytesIO()
        arrays = {f"input_{i}": array for i, array in enumerate(inputs)}
        np.savez(body, model=np.frombuffer(model, np.uint8), kernels=np.array(kernels), **arrays)
        self._process.stdin.write(struct.pack("<Q", body.tell()) + body.getvalue())
        self._process.stdin.flush()
        header = self._process.stdout.read(8)
        assert len(header) == 8, f"the runtime's process ended with status {self._process.wait()}"
        reply = io.BytesIO(self._process.stdout.read(struct.unpack("<Q", header)[0]))
        with np.load(reply, allow_pickle=False) as answer:
            if "error" in answer:
                raise RuntimeRefused(str(answer["error"]))
            return [answer[f"output_{i}"] for i in range(len(answer.files))]
