"""What no study is begun for: finished models, models without a score, and limits that nothing can break."""

from __future__ import annotations

import numpy as np
import pytest

import harness
from harness.core.errors import UserInputError
from tests.support.tiny_model import float_mlp
from tests.support.workload_files import dense_classifier, write_h5


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A 8 -> 4 softmax classifier as far as its description goes, and samples with labels and without."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    x, y = rng.random((60, 8), dtype=np.float32), np.arange(60) % 4
    np.savez(tmp_path / "labelled.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    np.savez(tmp_path / "plain.npz", x_train=x[:40], x_test=x[40:])
    return write_h5(tmp_path / "m.h5", dense_classifier(4, input_shape=(8,)))


@pytest.mark.parametrize("study", [harness.study_calibration, harness.study_schemes])
def test_a_study_needs_a_float_model_with_a_score(model, study):
    folder = model.parent
    with pytest.raises(UserInputError, match="without labels there is none"):
        study(model, data=folder / "plain.npz", devices="host-litert", results=folder / "r")
    (folder / "done.tflite").write_bytes(float_mlp())
    with pytest.raises(UserInputError, match="a finished .tflite is calibrated already"):
        study(folder / "done.tflite", devices="host-litert", results=folder / "r")
    assert not (folder / "r").exists()


def test_a_search_refuses_a_drop_that_no_accuracy_can_exceed_before_it_begins(model):
    folder = model.parent
    with pytest.raises(UserInputError, match="a drop of 1 is more than all of a score"):
        harness.tune(model, device="host-litert", data=folder / "labelled.npz", max_drop=1, results=folder / "r")
