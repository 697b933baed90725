"""TensorFlow Lite Micro's own interpreter, from its Python package: an oracle for the ops that no other runtime has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from harness.core import paths
from harness.core.files import sha256_json
from tests.support.fixtures_kernels import ReferenceRuntime
from tests.support.places import SUPPORT

#: pinned as every oracle is; numpy as the runtimes' environments have it
REQUIREMENTS = ("tflite-micro==0.dev20261023182759", "numpy==2.2.6", "flatbuffers==25.12.19", "pyyaml==6.0.3")
_WORKER = SUPPORT / "micro_worker.py"


def ensure_environment() -> Path:
    """Its Python; made once on this machine, beside the environments of the other runtimes.

    Raises:
        RuntimeError: the last lines of virtualenv or pip.
    """
    folder = paths.cache_dir() / "envs" / f"tests-tflite-micro-{sha256_json([REQUIREMENTS, sys.version])[:10]}"
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            _make(folder)
            (folder / "made").touch()
    return folder / "env" / "bin" / "python"


def _make(folder: Path) -> None:
    _run([sys.executable, "-m", "virtualenv", "--quiet", str(folder / "env")])
    install = ["-m", "pip", "install", "--quiet", "--no-input", "--only-binary=:all:", "--no-deps", *REQUIREMENTS]
    _run([str(folder / "env" / "bin" / "python"), *install])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")


class MicroRuntime(ReferenceRuntime):
    """As the other runtimes' processes, in an environment of its own."""

    def __init__(self) -> None:
        command = [str(ensure_environment()), "-u", str(_WORKER)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
