"""Fixtures of built variants: the bundled digits, real trainings, built once per test session."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from harness.variants.artifact import Artifact
from harness.variants.build.build import BuildRequest, build_artifacts
from harness.variants.recipe import parse_recipe
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

#: mnist-cnn recipes that cover every kind of training, conversion and refusal, and what the suites' tests run
BUILT_RECIPES = (
    "ptq-float32",
    "ptq-default",
    "ptq-default-pt",
    "ptq-wo8",
    "ptq-int8-io",
    "ptq-uint8-io",
    "ptq-int8-io-dynbatch",
    "ptq-int16x8",
    "ptq-aeq-dyn8",
    "ft-int8-io",
    "qat-default",
    "qat-int8-io",
    "qat-int16x8",
    "qat-dense-default",
    "qat-q[movavg,per-channel]-int8-io",
)


def bundled_digits() -> DataSource:
    """A source without any folder: every workload falls back to the digits that come with scikit-learn."""
    return DataSource()


def request_for(recipe: str, workload: str = "mnist-cnn", seed: int = 0) -> BuildRequest:
    """A request on the bundled digits."""
    return BuildRequest(
        workload=get_workload(workload), recipe=parse_recipe(recipe), source=bundled_digits(), seed=seed
    )


#: of the other networks: what the suites' tests run, and what tells of the float trainings
OTHER_WORKLOADS = ("sensor-cnn", "cifar-conv")
OTHER_RECIPES = ("ptq-int8-io", "ptq-default-pt", "qat-default")


@pytest.fixture(scope="session")
def built(session_cache: Path, shared_folder: Path) -> dict[str, Artifact]:
    """Recipe name -> artifact of mnist-cnn on the bundled digits, seed 0; see BUILT_RECIPES."""
    with FileLock(shared_folder / "built-mnist.lock"):
        artifacts = build_artifacts([request_for(name) for name in BUILT_RECIPES])
    return dict(zip(BUILT_RECIPES, artifacts, strict=True))


@pytest.fixture(scope="session")
def built_others(session_cache: Path, shared_folder: Path) -> dict[tuple[str, str], Artifact]:
    """(workload, recipe) -> artifact of the other networks; see OTHER_RECIPES."""
    wanted = [(workload, recipe) for workload in OTHER_WORKLOADS for recipe in OTHER_RECIPES]
    with FileLock(shared_folder / "built-others.lock"):
        artifacts = build_artifacts([request_for(recipe, workload) for workload, recipe in wanted])
    return dict(zip(wanted, artifacts, strict=True))


@pytest.fixture
def in_build_cache(built: dict[str, Artifact], session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The session's filled cache as this test's cache."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(session_cache))
    return session_cache


@pytest.fixture
def keras2(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as a build worker that was started for Keras 2: for tests that make and train models right here."""
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
