"""Builds of a user's own model, and finished files, which are artifacts as they are."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.variants.build.build import (
    BuildRequest,
    artifact_from_file,
    build_artifacts,
)
from harness.variants.recipe import select_recipes
from harness.workloads.registry import get_workload
from tests.support.fixtures_build import bundled_digits
from tests.support.small_models import dense_net

slow = pytest.mark.slow
pytestmark = pytest.mark.usefixtures("keras2")


@slow
def test_a_model_of_the_users_own_is_converted_as_it_is_and_not_trained_without_labels(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    model, data = tmp_path / "mine.h5", tmp_path / "mine.npz"
    dense_net().save(model)
    np.savez(data, x_test=np.random.default_rng(0).random((30, 6), dtype=np.float32))
    workload = get_workload(str(model), data=data)
    requests = [
        BuildRequest(workload=workload, recipe=recipe, source=bundled_digits(), seed=seed)
        for recipe in select_recipes(["ptq-int8-io", "qat-default"])
        for seed in (0, 1)
    ]
    first, second, refused, _ = build_artifacts(requests, jobs=1)
    assert (first.workload, first.inputs[0].dtype) == ("mine", "int8")
    assert (first.key, first.seed, second.seed) == (
        second.key,
        0,
        1,
    )  # nothing was trained: every seed is the same model
    assert "labels" in refused.refused


@slow
def test_a_finished_file_is_an_artifact_of_its_own(built, tmp_path):
    path = tmp_path / "mine.tflite"
    shutil.copy(built["ptq-int8-io"].path, path)
    artifact = artifact_from_file(path)
    assert (artifact.recipe, artifact.workload, artifact.path) == ("as-is", "mine", path)
    assert (artifact.inputs, artifact.sha256) == (built["ptq-int8-io"].inputs, built["ptq-int8-io"].sha256)


@slow
@pytest.mark.parametrize("keep", [0, 3, 100, 20_000])
def test_a_truncated_file_is_a_clear_error(built, tmp_path, keep):
    path = tmp_path / "cut.tflite"
    path.write_bytes(built["ptq-int8-io"].path.read_bytes()[:keep])
    with pytest.raises(UserInputError) as caught:
        artifact_from_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(UserInputError, match="none.tflite"):
        artifact_from_file(tmp_path / "none.tflite")
