"""Fixtures of the audit's tests: real models of the published networks, built once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.tflite.graph import Graph, read_graph
from tests.support.fixtures_session import MakeOnce
from tests.support.places import ROOT


@dataclass(frozen=True, kw_only=True)
class AuditModels:
    """A folder of built models; see tests/support/audit_models_main.py."""

    folder: Path

    def path(self, workload: str, recipe: str) -> Path:
        return self.folder / f"{workload}__{recipe}.tflite"

    def graph(self, workload: str, recipe: str) -> Graph:
        return read_graph(self.path(workload, recipe))

    def summary(self, workload: str, training: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{workload}__{training}.json").read_text())


@pytest.fixture(scope="session")
def audit_models(make_once: MakeOnce) -> AuditModels:
    return AuditModels(folder=make_once("audit-models", _build))


def _build(folder: Path) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.audit_models_main", str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
