"""One of every kind of model that users bring, with what TensorFlow answers: made once per session, in two processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fixtures_session import MakeOnce


@pytest.fixture(scope="session")
def kind_models(make_once: MakeOnce) -> Path:
    """A folder with each kind's files; see `tests/support/kind_models.py`."""
    from harness.workloads.keras.env import worker_environment

    def make(folder: Path) -> None:
        for keras in (2, 3):
            environment = {**worker_environment(keras), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
            command = [sys.executable, "-m", "tests.support.kind_models", f"keras{keras}", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
            assert done.returncode == 0, done.stderr[-3000:]

    return make_once("kind-models", make)
