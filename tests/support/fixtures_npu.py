"""Fixtures of the NPU stand-in's tests: the compiled delegate, sanitized too, and models run with and without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.emulation.npu.build import build_standin, compile_command, source_files
from harness.tflite.delegates.log import DelegateLog, parse_delegate_log
from tests.support.kernels_build import SANITIZERS, sanitizer_environment
from tests.support.places import SUPPORT

RUNNER = SUPPORT / "npu_runner.py"


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuCase:
    """A model and one set of inputs."""

    model: bytes
    inputs: tuple[np.ndarray, ...]
    text: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class NpuResult:
    """What came out with the delegate and without it (BUILTIN_REF), and what the delegate said; or the runtime's error."""

    delegated: list[np.ndarray]
    plain: list[np.ndarray]
    log: DelegateLog
    error: str | None = None

    @property
    def identical(self) -> bool:
        return len(self.delegated) == len(self.plain) > 0 and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(self.delegated, self.plain, strict=True)
        )


RunNpu = Callable[..., list[NpuResult]]


@pytest.fixture(scope="session")
def standin() -> Path:
    """The stand-in for this machine."""
    return build_standin("native")


@pytest.fixture(scope="session")
def aarch64_standin() -> Path:
    """The stand-in for emulated boards."""
    return build_standin("aarch64")


@pytest.fixture(scope="session")
def sanitized_standin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same under AddressSanitizer and UndefinedBehaviourSanitizer; every finding ends the process."""
    library = tmp_path_factory.mktemp("npu") / "libnpu_sanitized.so"
    # The sanitizers' symbols come from the runtime that is loaded first, so undefined ones are allowed here.
    command = [
        word for word in compile_command(["cc"], source_files(), library, *SANITIZERS, "-O1") if word != "-Wl,-z,defs"
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


@pytest.fixture(scope="session")
def run_npu(standin: Path, tflite_python: str, litert_python: str, tmp_path_factory: pytest.TempPathFactory) -> RunNpu:
    """Runs cases in a process of a runtime: `run_npu(cases, module=..., options={...}, library=...)`."""

    def run(
        cases: Sequence[NpuCase],
        *,
        module: str = "tflite_runtime",
        options: Mapping[str, str] | None = None,
        library: Path | None = None,
        sanitized: bool = False,
    ) -> list[NpuResult]:
        folder = tmp_path_factory.mktemp("npu-run")
        arrays: dict[str, np.ndarray] = {"count": np.array(len(cases))}
        for i, case in enumerate(cases):
            arrays[f"model_{i}"] = np.frombuffer(case.model, np.uint8)
            arrays.update({f"input_{i}_{j}": value for j, value in enumerate(case.inputs)})
        np.savez(folder / "in.npz", **arrays)
        python = {"tflite_runtime": tflite_python, "ai_edge_litert": litert_python}[module]
        command = [
            python,
            "-u",
            str(RUNNER),
            module,
            str(library or standin),
            json.dumps(dict(options or {})),
            str(folder / "in.npz"),
            str(folder / "out.npz"),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(sanitizer_environment() if sanitized else {})}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
        assert done.returncode == 0, done.stderr[-4000:]
        return _results(folder / "out.npz", done.stderr, len(cases))

    return run


def _results(path: Path, log: str, count: int) -> list[NpuResult]:
    found = np.load(path, allow_pickle=False)
    parts = {int(m[1]): m[2] for m in re.finditer(r"^case=(\d+)\n(.*?)(?=^case=|\Z)", log, re.MULTILINE | re.DOTALL)}

    def outputs(kind: str, i: int) -> list[np.ndarray]:
        names = [f"{kind}_{i}_{k}" for k in range(len(found.files))]
        return [found[name] for name in names if name in found.files]

    return [
        NpuResult(
            delegated=outputs("delegated", i),
            plain=outputs("plain", i),
            log=parse_delegate_log(parts.get(i, "")),
            error=str(found[f"error_{i}"]) if f"error_{i}" in found.files else None,
        )
        for i in range(count)
    ]
