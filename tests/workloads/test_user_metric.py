"""What a model of the user's own is judged by: by its output and labels, or by the metric that was named."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.run.matrix import make_plan
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.variants.build.worker_jobs import workload_reference
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload
from tests.support.tiny_model import float_mlp
from tests.support.workload_files import dense_classifier, write_h5

SOURCE = DataSource()
FRACTIONS = np.array([0.25, 1.5, -2.0, 3.0], np.float32)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def own(tmp_path):
    """own(units, activation, labels, metric=None) -> the workload of such a model with four samples."""

    def make(units, activation, labels, metric=None):
        model = write_h5(tmp_path / "mine.h5", dense_classifier(units, activation))
        arrays = {} if labels is None else {"y": labels}
        np.savez(tmp_path / "samples.npz", x=np.zeros((4, 28, 28), np.uint8), **arrays)
        return get_workload(str(model), data=tmp_path / "samples.npz", metric=metric)

    return make


@pytest.mark.parametrize(
    ("units", "activation", "labels", "metric"),
    [
        (10, "softmax", np.array([0, 1, 2, 9]), "top1"),
        (10, "softmax", np.array([0.0, 1.0, 2.0, 9.0]), "top1"),
        (10, "linear", np.array([0, 1, 2, 9]), "top1"),
        (1, "sigmoid", np.array([0, 1, 1, 0]), "binary"),
        (1, "sigmoid", np.array([0.0, 1.0, 1.0, 0.0]), "binary"),
        (1, "linear", FRACTIONS, "mean_absolute_error"),
        (1, "linear", np.array([20.0, 25.0, 30.0, 21.0]), "mean_absolute_error"),
        (1, "sigmoid", np.array([0.25, 0.5, 1.0, 0.0]), "mean_absolute_error"),
        (2, "linear", np.stack([FRACTIONS, FRACTIONS], axis=1), "mean_absolute_error"),
        (10, "softmax", None, None),
    ],
)
def test_output_and_labels_ask_for_a_metric(own, units, activation, labels, metric):
    workload = own(units, activation, labels)
    assert (workload.metric and workload.metric.name) == metric
    dataset = workload.load_dataset(SOURCE)
    if labels is None:
        assert dataset.y_test is None
    else:
        assert len(dataset.y_test) == 4 and dataset.y_test.dtype in (np.int64, np.float32)


@pytest.mark.parametrize(
    ("units", "activation", "labels", "message"),
    [
        (1, "linear", np.array([0, 1, 1, 0]), "one output without a sigmoid.*as floats"),
        (10, "softmax", FRACTIONS, "dtype float32, expected integer class numbers"),
        (3, "linear", np.ones((4, 2)) / 3, "expected .4. class numbers"),
        (10, "softmax", np.array([0, 1, 2, 10]), "holds the label 10, expected 0..9"),
    ],
)
def test_labels_that_nothing_can_judge_are_refused(own, units, activation, labels, message):
    with pytest.raises(UserInputError, match=message):
        own(units, activation, labels)


def test_a_metric_can_be_named(own):
    labels = np.array([0, 1, 2, 9])
    workload, usual = own(10, "softmax", labels, "f1"), own(10, "softmax", labels)
    assert workload.metric.name == "f1" and workload.task is None and usual.task == "multiclass"
    assert workload_reference(workload)["metric"] == "f1"
    # Another question about the same samples is another cell.
    assert workload.dataset_digest(SOURCE) != usual.dataset_digest(SOURCE)
    with pytest.raises(UserInputError, match="unknown metric 'f2'.*did you mean f1"):
        own(10, "softmax", labels, "f2")
    with pytest.raises(UserInputError, match="metric 'f1' needs labels, and there is no array 'y'"):
        own(10, "softmax", None, "f1")
    with pytest.raises(UserInputError, match="expected 0..1"):
        own(1, "sigmoid", np.array([0, 1, 2, 1]), "f1_positive")


def test_a_metric_is_chosen_for_models_of_ones_own_only(tmp_path):
    with pytest.raises(UserInputError, match="'mnist-cnn' is judged by its own metric, 'f1' does not apply"):
        get_workload("mnist-cnn", metric="f1")
    with pytest.raises(UserInputError, match="--metric does not apply to a bundle"):
        make_plan(RunOptions(bundle=str(tmp_path), metric="f1"), [])
    (tmp_path / "m.tflite").write_bytes(float_mlp())
    options = RunOptions(workloads=(str(tmp_path / "m.tflite"),), recipes=(), devices=("host-litert",), metric="f1")
    with pytest.raises(UserInputError, match="metric 'f1' needs samples with labels"):
        measure_plan(options, 8)


def test_numbers_to_be_met_are_told_when_samples_are_checked(tmp_path, harness_cli):
    np.savez(tmp_path / "samples.npz", x=np.zeros((4, 28, 28), np.uint8), y=FRACTIONS)
    model = write_h5(tmp_path / "mine.h5", dense_classifier(1, "linear"))
    done = harness_cli("data", "check", tmp_path / "samples.npz", "--model", model)
    assert done.code == 0, done.err
    assert "numbers -2 to 3" in done.out and "fits mine.h5: metric mean_absolute_error" in done.out
