"""Fixtures of models that Keras 3 has saved: made once per session, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fixtures_session import MakeOnce

_MODULE = "tests.support.keras3_models"


def run_models(verb: str, folder: Path, *, keras: int) -> str:
    """What `keras3_models.py` prints, in a process with Keras 2 or 3."""
    from harness.workloads.keras.env import worker_environment

    environment = {**worker_environment(keras), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, verb, str(folder)],
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def keras3_models(make_once: MakeOnce) -> Path:
    """A folder with NAME.keras, NAME.npz (samples), NAME.expected.npy (Keras' answers) and NAME/ (what copies are made from)."""
    return make_once("keras3-models", lambda folder: run_models("save", folder, keras=3))


@pytest.fixture(scope="session")
def keras2_copies(keras3_models: Path, make_once: MakeOnce) -> dict[str, Any]:
    """Model name -> how far its Keras 2 copy is from it, or the words in which there is none."""

    def make(folder: Path) -> None:
        answer = run_models("copy", keras3_models, keras=2).splitlines()[-1]
        (folder / "copies.json").write_text(answer)

    return json.loads((make_once("keras2-copies", make) / "copies.json").read_text())
