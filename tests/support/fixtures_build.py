"""Fixtures of built variants: the bundled digits, real trainings, built once per test session.

Set HARNESS_TEST_CACHE to a folder to keep what was built between sessions; keys take care that nothing stale is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.variants.artifact import Artifact
from harness.variants.build.build import BuildRequest, build_artifacts
from harness.variants.recipe import parse_recipe
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

#: mnist-cnn recipes that cover every kind of training, conversion and refusal
BUILT_RECIPES = (
    "ptq-float32",
    "ptq-default",
    "ptq-default-pt",
    "ptq-wo8",
    "ptq-int8-io",
    "ptq-uint8-io",
    "ptq-int8-io-dynbatch",
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


@pytest.fixture(scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The session's cache folder; fixtures put it into the environment while they build."""
    kept = os.environ.get("HARNESS_TEST_CACHE")
    return Path(kept).absolute() if kept else tmp_path_factory.mktemp("build-cache")


@pytest.fixture(scope="session")
def built(build_cache: Path) -> dict[str, Artifact]:
    """Recipe name -> artifact of mnist-cnn on the bundled digits, seed 0; see BUILT_RECIPES."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(build_cache))
        artifacts = build_artifacts([request_for(name) for name in BUILT_RECIPES])
    return dict(zip(BUILT_RECIPES, artifacts, strict=True))


@pytest.fixture
def in_build_cache(built: dict[str, Artifact], build_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The session's filled cache as this test's cache."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(build_cache))
    yield build_cache
