"""Models with several inputs: random values for each, or the user's by name. A real reference runtime."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from tests.support.tiny_model import Node, Tensor, build, sum_and_softmax

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((2, 20, 4)).astype(np.float32)


def two_inputs(names=("serving_default_a:0", "serving_default_b:0")) -> bytes:
    """float32 [1, 4] + float32 [1, 4] -> their sum's softmax."""
    tensors = [Tensor(name=name, shape=(1, 4), dtype="float32") for name in (*names, "sum", "out")]
    add = Node(op="ADD", inputs=(0, 1), outputs=(2,), options="AddOptions")
    softmax = Node(op="SOFTMAX", inputs=(2,), outputs=(3,), options="SoftmaxOptions", fields={"Beta": 1.0})
    return build(tensors, [add, softmax], inputs=(0, 1), outputs=(3,))


@pytest.fixture
def planned(tmp_path):
    """The prepared model of `harness measure`; keywords are arrays of its .npz."""

    def plan(model=None, metric=None, **arrays):
        (tmp_path / "two.tflite").write_bytes(model or two_inputs())
        data = None
        if arrays:
            data = str(tmp_path / "data.npz")
            np.savez(data, **arrays)
        options = RunOptions(
            workloads=(str(tmp_path / "two.tflite"),), devices=("host-litert",), data=data, metric=metric, samples=16
        )
        made = measure_plan(options, 256)
        [prepared] = made.prepare(lambda *_: None)
        assert {key.dataset for key in made.keys} == {prepared.dataset_digest}
        return prepared

    return plan


def test_without_data_every_input_is_random(planned):
    model = planned(sum_and_softmax())
    assert len(model.inputs) == 2 and model.reference is not None and model.findings == ()


@pytest.mark.parametrize("names", [("serving_default_a:0", "serving_default_b:0"), ("a", "b")])
def test_samples_go_to_the_input_that_they_are_called_like(planned, names):
    labels = np.argmax(A + B, axis=1)
    model = planned(y=labels, **dict(zip(reversed(names), (B, A), strict=True)))
    assert model.metric.name == "top1" and model.workload == "two"
    for file, values in zip(model.inputs, (A, B), strict=True):
        np.testing.assert_array_equal(np.load(file.path), values[model.sample_ids])
    assert np.array_equal(model.reference.outputs[0].argmax(axis=1), labels[model.sample_ids])
    np.testing.assert_array_equal(model.labels, labels[model.sample_ids])


def test_without_labels_agreement_is_measured(planned):
    model = planned(a=A, b=B)
    assert model.metric is None and "no labels" in model.dataset_note


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"a": A},
            "no array for the model's input 'b'; the model has the inputs 'a', 'b', and the file has the arrays a",
        ),
        ({"x_test": A, "y_test": A}, "one array for each, called like it: x_test_a, x_test_b"),
        ({"a": A, "b": B[:7]}, "different numbers of samples: 'a' 20, 'b' 7"),
        ({"a": A, "b": np.zeros((20, 5), np.float32)}, "array 'b' does not fit the model: samples have shape"),
        ({"a": A, "b": np.full((20, 4), np.nan, np.float32)}, "NaN"),
        ({"a": A, "b": B, "y": np.zeros(20), "metric": None}, None),
    ],
)
def test_samples_that_do_not_fit_are_named(planned, arrays, words):
    arrays = {key: value for key, value in arrays.items() if value is not None}
    if words is None:
        assert planned(**arrays).metric is not None
        return
    with pytest.raises(UserInputError, match=words):
        planned(**arrays)


def test_a_metric_needs_labels(planned):
    with pytest.raises(UserInputError, match="no array 'y'"):
        planned(metric="top1", a=A, b=B)
    with pytest.raises(UserInputError, match="needs samples with labels"):
        planned(metric="top1")
