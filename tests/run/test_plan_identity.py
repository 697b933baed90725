"""Which model a cell's recipe started from: told by content, so that two files of one name are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.core.files import sha256_file
from harness.run.matrix import make_plan
from harness.run.options import RunOptions
from harness.run.plan import ModelRequest, prepare_requests
from harness.variants.artifact import AS_IS
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload
from tests.support.tiny_model import float_mlp, int8_dense


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "samples.npz"
    np.savez(path, x=rng.standard_normal((12, 4), np.float32), y=np.arange(12) % 3)
    return path


def test_two_models_of_one_name_have_the_hashes_of_their_files(tmp_path, samples):
    told = []
    for number, data in enumerate((float_mlp(), float_mlp() + b"\0" * 16)):
        path = tmp_path / str(number) / "model.tflite"
        path.parent.mkdir()
        path.write_bytes(data)
        workload = get_workload(str(path), data=samples)
        [model] = prepare_requests([ModelRequest(workload=workload, recipe=AS_IS, seed=0)], DataSource.default(None))
        assert (model.workload, model.model_sha256) == ("model", sha256_file(path))
        told.append(model.model_sha256)
    assert len(set(told)) == 2


def test_a_recipe_for_a_finished_file_is_refused_and_never_ran_as_it_is(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(int8_dense())
    options = RunOptions(workloads=(str(path),), recipes=("ptq-int8-io",), devices=("host-litert",))
    with pytest.raises(UserInputError, match="a finished .tflite runs as it is") as refused:
        make_plan(options, [])
    assert "leave --recipe out" in refused.value.hint
