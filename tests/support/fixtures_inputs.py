"""Fixtures of models with several inputs: made once per session, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.prepare.prepared import PreparedModel
from harness.run.plan import ModelRequest, prepare_requests
from harness.workloads.datasets import DataSource
from harness.workloads.user import user_workload
from tests.support.fixtures_session import MakeOnce

_MODULE = "tests.support.several_inputs"


def _run(verb: str, folder: Path, *, keras: int) -> None:
    from harness.workloads.keras.env import worker_environment

    done = subprocess.run(
        [sys.executable, "-m", _MODULE, verb, str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**worker_environment(keras), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session")
def keras2_inputs(make_once: MakeOnce) -> Path:
    """NAME.h5 and NAME (a SavedModel) of Keras 2, NAME.npz, NAME.expected.npz (what Keras answers to the test samples)."""
    return make_once("several-inputs-2", lambda folder: _run("save2", folder, keras=2))


@pytest.fixture(scope="session")
def keras3_inputs(make_once: MakeOnce) -> Path:
    """The same of Keras 3 (NAME.keras), and `signature`, a SavedModel without layers."""
    return make_once("several-inputs-3", lambda folder: _run("save3", folder, keras=3))


def prepared(model: Path, data: Path, recipes: Sequence[str], **more: Any) -> list[PreparedModel]:
    """A model of several inputs as built by recipes, with its samples and references."""
    workload = user_workload(model, data, **more)
    return prepare_requests([ModelRequest(workload=workload, recipe=r, seed=0) for r in recipes], DataSource())
