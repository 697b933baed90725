"""Samples of sequences in a project's data: their numbers come along, or it is said why they cannot."""

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.project.settings import DataSettings, PreprocessingSettings
from harness.workloads.sources.imported import import_data
from harness.workloads.sources.parts import Wanted

IO = TensorIo(name="x", dtype="float32", shape=(-1, 3))
NUMBERS = np.array([4, 4, 4, 7, 7, 1])
X = np.random.default_rng(0).random((6, 3), dtype=np.float32)


def imported(tmp_path, *, finished=False, **arrays):
    np.savez(tmp_path / "s.npz", **arrays)
    wanted = Wanted(input=IO, finished=finished)
    return np.load(import_data(tmp_path / "s.npz", wanted, DataSettings(path="s.npz"), PreprocessingSettings()).path)


@pytest.mark.parametrize("parts", [{"x_test": X, "x_train": X + 2}, {"x_test": X}])
def test_the_numbers_stand_beside_the_samples(tmp_path, parts):
    found = imported(tmp_path, sequence=NUMBERS, **parts)
    np.testing.assert_array_equal(found["sequence"], NUMBERS)
    np.testing.assert_array_equal(found["x_test"], X)


def test_one_set_for_a_finished_model_is_tested_whole_and_in_its_order(tmp_path):
    found = imported(tmp_path, finished=True, x=X, sequence=NUMBERS)
    np.testing.assert_array_equal(found["sequence"], NUMBERS)
    np.testing.assert_array_equal(found["x_test"], X)


def test_one_set_that_would_be_split_by_content_is_refused(tmp_path):
    with pytest.raises(UserInputError, match="cannot be split by their content") as caught:
        imported(tmp_path, x=X, sequence=NUMBERS)
    assert "x_train and x_test" in caught.value.hint


def test_numbers_of_another_count_are_refused(tmp_path):
    with pytest.raises(UserInputError, match="expected one whole number for each of 6 samples"):
        imported(tmp_path, x_test=X, sequence=NUMBERS[:4])
