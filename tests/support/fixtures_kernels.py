"""Fixtures of the kernel tests: the compiled library, and tflite-runtime's reference kernels in a process of their own."""

from __future__ import annotations

import io
import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.fixtures_session import MakeOnce
from tests.support.kernel_cases import Case
from tests.support.kernels_abi import Kernels
from tests.support.kernels_build import build_library
from tests.support.places import SUPPORT

#: cases per op in an ordinary test run; HARNESS_KERNEL_CASES sets another number
QUICK_CASES = 250
_WORKER = SUPPORT / "reference_worker.py"


def case_count() -> int:
    return int(os.environ.get("HARNESS_KERNEL_CASES", QUICK_CASES))


class ReferenceRuntime:
    """One process of a runtime (BUILTIN_REF) that runs batches of single-op models."""

    def __init__(self, package: str) -> None:
        from harness.envs.hostenv import ensure_runtime_env, parse_package

        command = [str(ensure_runtime_env(package).python), "-u", str(_WORKER), parse_package(package).module]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, cases: Sequence[Case], *, steps: int = 0) -> list[np.ndarray | str]:
        """Per case the first output, or the text of the runtime's error.

        Args:
            steps: above 0, so many inferences in a row: the first axis of every input, and of the output.

        Raises:
            RuntimeError: the process ended (the runtime aborts on some parameters).
        """
        arrays: dict[str, np.ndarray] = {"count": np.array(len(cases)), "steps": np.array(steps)}
        for i, case in enumerate(cases):
            arrays[f"model_{i}"] = np.frombuffer(case.model, np.uint8)
            arrays.update({f"input_{i}_{j}": value for j, value in enumerate(case.inputs)})
        body = io.BytesIO()
        np.savez(body, **arrays)
        self._process.stdin.write(struct.pack("<Q", body.tell()) + body.getvalue())
        self._process.stdin.flush()
        header = self._process.stdout.read(8)
        if len(header) < 8:
            raise RuntimeError(
                f"the reference runtime ended with status {self._process.wait()} on one of: "
                + "; ".join(case.text for case in cases[:5])
            )
        results = np.load(io.BytesIO(self._process.stdout.read(struct.unpack("<Q", header)[0])), allow_pickle=False)
        return [
            results[f"output_{i}"] if f"output_{i}" in results else str(results[f"error_{i}"])
            for i in range(len(cases))
        ]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def kernel_library(make_once: MakeOnce) -> Path:
    return make_once("kernels", build_library) / "kernels.so"


@pytest.fixture(scope="session")
def kernels(kernel_library: Path) -> Kernels:
    return Kernels(kernel_library)


@pytest.fixture(scope="session")
def reference_runtime() -> Iterator[ReferenceRuntime]:
    runtime = ReferenceRuntime("tflite-runtime==2.14.0")
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def newer_runtime() -> Iterator[ReferenceRuntime]:
    """A second oracle, which rounds once where the first one rounds twice."""
    runtime = ReferenceRuntime("ai-edge-litert==2.3.0")
    yield runtime
    runtime.close()
