"""Models that no plain runtime runs, or not as they look: each ends in a sentence that says what and what to do."""

from __future__ import annotations

import re

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.tflite.graph import read_graph
from harness.tflite.support import newest_runtimes, runtime_supports
from harness.workloads.datasets import DataSource
from harness.workloads.rows import by_input
from harness.workloads.user import model_ends, user_workload
from tests.support.odd_models import ODD

#: name -> what is said when it is given as a model
REFUSED = {
    "string": "the input 'x' takes values of type string.*feed it numbers",
    "float64": "the input 'x' takes values of type float64.*float32 inputs",
    "complex64": "the input 'x' takes values of type complex64",
    "truncated": "is a truncated or corrupt .tflite file",
    "empty": "is empty",
    "zeros": "is not a .tflite file: the identifier TFL3 is missing",
}
#: name -> what speaks against it on a runtime
AGAINST = {
    "custom": "custom op MyOwnOp: only a delegate or a runtime built with it",
    "flex": "custom op FlexErf: TensorFlow's op Erf, which only a runtime built with the Flex delegate runs",
    "edgetpu": "custom op edgetpu-custom-op: the model was compiled for Google's Edge TPU.*give the .tflite",
    "vela": "custom op ethos-u: the model was compiled by Vela.*give the .tflite",
}


def written(folder, name):
    path = folder / f"{name}.tflite"
    path.write_bytes(ODD[name]())
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fed_is_refused_with_its_reason(tmp_path, name):
    with pytest.raises(UserInputError, match=REFUSED[name]) as caught:
        user_workload(written(tmp_path, name), None)
    assert caught.value.where is not None and caught.value.where.startswith(str(tmp_path))
    # Nothing is foretold of it, either.
    checked = CliRunner().invoke(cli, ["check", str(tmp_path / f"{name}.tflite"), "--device", "host-litert"])
    assert checked.exit_code == 1 and re.search(REFUSED[name], str(checked.exception))


@pytest.mark.parametrize("name", ["bool", "if"])
def test_yes_and_no_are_drawn_where_there_are_no_samples(tmp_path, name):
    samples = user_workload(written(tmp_path, name), None).load_dataset(DataSource()).x_test
    conditions = by_input(samples)["condition" if name == "if" else ""]
    assert conditions.dtype == bool and 0 < conditions[:].mean() < 1


@pytest.mark.parametrize("name", AGAINST)
def test_a_custom_op_is_told_by_what_put_it_there(name):
    for runtime, version in newest_runtimes():
        support = runtime_supports(runtime, version, read_graph(ODD[name]()), kernels="default")
        assert support.loads is None and support.right is None
        (reason,) = support.reasons
        assert re.search(AGAINST[name], reason)


def test_a_batch_that_is_fixed_is_told_with_the_samples(tmp_path):
    np.savez(tmp_path / "s.npz", x_test=np.zeros((40, 4), np.float32))
    with pytest.raises(UserInputError, match="the model takes 8 samples at once.*export it with a batch of 1"):
        user_workload(written(tmp_path, "batch_of_8"), tmp_path / "s.npz")


def test_a_model_without_a_batch_takes_each_sample_whole(tmp_path):
    np.savez(tmp_path / "s.npz", x_test=np.zeros((40, 8), np.float32))
    assert user_workload(written(tmp_path, "no_batch"), tmp_path / "s.npz").metric is None
    assert model_ends(tmp_path / "no_batch.tflite").input.sample_shape == (8,)


def test_a_file_of_100_mb_is_described_from_its_head(tmp_path):
    path = written(tmp_path, "large")
    assert path.stat().st_size > 100_000_000
    assert model_ends(path).outputs[0].units == 6_600_000
