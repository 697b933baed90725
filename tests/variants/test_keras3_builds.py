"""Models of Keras 3 built for real: Keras' own answers come out of the .tflite, and what cannot be built says why."""

from __future__ import annotations

import numpy as np
import pytest

from harness.tflite.graph import read_graph
from harness.variants.build.build import BuildRequest, build_outcomes, cached_outcomes
from harness.variants.recipe import parse_recipe
from harness.workloads.datasets import DataSource
from harness.workloads.keras.keras2_copy import difference
from harness.workloads.prepare import quantize_samples
from harness.workloads.registry import get_workload

#: model -> recipes that are built of it
BUILT = {
    "nested": ("ptq-float32", "ptq-int8-io", "qat-int8-io"),
    "lstm": ("ptq-float32", "ptq-int8-io", "qat-int8-io"),
    "lstm-hard-sigmoid": ("ptq-float32", "ft-float32"),
    "lstm-stateful": ("ptq-float32", "ptq-int8-io"),
    "gru": ("ptq-float32", "ptq-int8-io", "qat-int8-io"),
    "hard-sigmoid": ("ptq-float32", "ptq-int8-io", "qat-int8-io"),
    "arithmetic": ("ptq-float32", "ptq-aeq-static8"),
    "augmented": ("ptq-float32", "qat-int8-io"),
    "uint8-input": ("ptq-float32", "ptq-int8-io", "qat-int8-io"),
    "words": ("ptq-float32", "ptq-int8-io", "ptq-float32-dynbatch"),
    "sigmoid-behind-reshape": ("ptq-float32", "qat-int8-io"),
}
FLOATS = [(name, recipe) for name, recipes in BUILT.items() for recipe in recipes if recipe.startswith("ptq-float32")]
INTEGERS = [(n, "ptq-int8-io") for n in ("nested", "lstm", "lstm-stateful", "hard-sigmoid", "uint8-input", "words")]
INTEGERS += [("arithmetic", "ptq-aeq-static8")]
TRAINED = [(n, "qat-int8-io") for n in ("nested", "augmented", "sigmoid-behind-reshape", "lstm", "uint8-input")] + [
    ("lstm-hard-sigmoid", "ft-float32")
]
REFUSED = {
    ("hard-sigmoid", "qat-int8-io"): "layer 'gate' (Dense) uses hard_sigmoid, which is another function in Keras 2",
    ("gru", "ptq-int8-io"): "layer 'gru' (GRU) is a loop in the .tflite, and TFLiteConverter crashed the process when it",
    ("gru", "qat-int8-io"): "layer 'gru' (GRU) is a loop in the .tflite, and TFLiteConverter crashed the process when it",
}  # fmt: skip


def request(folder, name, recipe):
    workload = get_workload(str(folder / f"{name}.keras"), data=folder / f"{name}.npz")
    return BuildRequest(workload=workload, recipe=parse_recipe(recipe), source=DataSource())


@pytest.fixture(scope="session")
def keras3_builds(keras3_models):
    """(model, recipe) -> artifact."""
    wanted = [(name, recipe) for name, recipes in BUILT.items() for recipe in recipes]
    outcomes = build_outcomes([request(keras3_models, *pair) for pair in wanted])
    return dict(zip(wanted, (outcome.artifact for outcome in outcomes), strict=True))


def answers(runtime, artifact, folder, name):
    """What the .tflite answers to the samples, as real numbers, and what Keras answered."""
    with np.load(folder / f"{name}.npz") as samples:
        x = quantize_samples(samples["x_test"].astype(np.float32), artifact.inputs[0])
    (found,) = runtime.run(artifact.path.read_bytes(), [x])
    io = artifact.outputs[0]
    if io.scale:
        found = (found.astype(np.float32) - io.zero_point) * io.scale
    expected = np.load(folder / f"{name}.expected.npy")
    return found.reshape(expected.shape), expected


@pytest.mark.parametrize("name, recipe", FLOATS)
def test_a_float_model_answers_what_keras_answers(keras3_builds, keras3_models, litert, name, recipe):
    artifact = keras3_builds[name, recipe]
    assert artifact.path, artifact.refused
    graph = read_graph(artifact.path)
    assert graph.tensors[graph.inputs[0]].is_dynamic == recipe.endswith("-dynbatch")
    assert difference(*answers(litert, artifact, keras3_models, name)) < 1e-4


@pytest.mark.parametrize("name, recipe", INTEGERS)
def test_an_integer_model_answers_nearly_that(keras3_builds, keras3_models, litert, name, recipe):
    artifact = keras3_builds[name, recipe]
    assert artifact.path, artifact.refused
    found, expected = answers(litert, artifact, keras3_models, name)
    assert np.abs(found - expected).mean() < 0.05 * np.ptp(expected)


@pytest.mark.parametrize("name, recipe", TRAINED)
def test_trainings_are_built_in_whichever_keras_can(keras3_builds, name, recipe):
    artifact = keras3_builds[name, recipe]
    assert artifact.path, artifact.refused
    assert artifact.manifest["keras"] == (3 if name == "lstm-hard-sigmoid" else 2)


@pytest.mark.parametrize("pair", REFUSED)
def test_what_cannot_be_built_says_which_layer_and_what_works(keras3_builds, pair):
    refused = keras3_builds[pair].refused
    assert refused is not None and REFUSED[pair] in refused
    assert "ptq" in refused
    assert not any(
        noise in refused for noise in ("\n", "<class", "site-packages", "cuda", "CUDA", "QuantizeConfig", "\x1b")
    )


def test_everything_was_tried(keras3_builds):
    assert {*FLOATS, *INTEGERS, *TRAINED, *REFUSED} == set(keras3_builds)


@pytest.mark.parametrize("name, layer", [("lstm", "(LSTM)"), ("uint8-input", "(Rescaling)")])
def test_what_tfmot_cannot_train_is_named_and_costs_no_recipe(keras3_builds, name, layer):
    findings = keras3_builds[name, "qat-int8-io"].manifest["audit"]["findings"]
    (told,) = [finding for finding in findings if finding["code"] == "annotated-around"]
    assert layer in told["what"]


def test_an_lstm_is_one_op_and_another_recurrence_a_loop(keras3_builds):
    def ops(name):
        return {op["op"] for op in keras3_builds[name, "ptq-float32"].manifest["ops"]}

    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in ops("lstm")
    assert "WHILE" in ops("gru") and "WHILE" in ops("lstm-hard-sigmoid")


def test_pixels_go_into_a_model_of_uint8_input_as_they_are(keras3_builds):
    whole, integer = (keras3_builds["uint8-input", recipe].inputs[0] for recipe in ("ptq-float32", "ptq-int8-io"))
    assert whole.dtype == "float32" and (integer.dtype, integer.zero_point) == ("int8", -128)
    assert integer.scale == pytest.approx(1, rel=0.02)


def test_words_go_in_as_whole_numbers(keras3_builds):
    assert keras3_builds["words", "ptq-int8-io"].inputs[0].dtype == "int32"


def test_nothing_is_built_twice_and_the_bytes_are_the_same_again(keras3_builds, keras3_models, tmp_path, monkeypatch):
    again = cached_outcomes([request(keras3_models, *pair) for pair in keras3_builds])
    assert [o and o.artifact.key for o in again] == [a.key for a in keras3_builds.values()]
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    (rebuilt,) = build_outcomes([request(keras3_models, "nested", "ptq-int8-io")], jobs=1)
    assert rebuilt.artifact.sha256 == keras3_builds["nested", "ptq-int8-io"].sha256
