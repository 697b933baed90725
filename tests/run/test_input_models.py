"""Float models with several inputs, built and prepared: each gets its own samples, in whatever order converters put them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from harness.prepare.prepared import PreparedModel
from harness.run.plan import ModelRequest, prepare_requests
from harness.workloads.datasets import DataSource
from harness.workloads.user import user_workload

#: model -> its files, by the Keras that saved it
FILES = {
    "mixed, Keras 2": (2, "mixed.h5", "mixed"),
    "siamese, SavedModel": (2, "siamese", "siamese"),
    "text, Keras 2": (2, "text.h5", "text"),
    "mixed, Keras 3": (3, "mixed.keras", "mixed"),
    "text, Keras 3": (3, "text.keras", "text"),
    "signature": (3, "signature#compare", "signature"),
}
RECIPES = {
    "mixed, Keras 2": ("ptq-float32", "ptq-int8-io", "ptq-aeq-static8"),
    "mixed, Keras 3": ("ptq-float32", "ptq-int8-io-dynbatch", "qat-int8-io"),
    "text, Keras 2": ("ptq-float32", "qat-int8-io"),
    "signature": ("ptq-float32", "ptq-int8-io", "qat-int8-io"),
}
USUAL = ("ptq-float32", "ptq-int8-io")
FLOAT = [(name, "ptq-float32") for name in FILES]
QUANTIZED = [
    (name, recipe)
    for name in FILES
    for recipe in RECIPES.get(name, USUAL)[1:]
    if "mixed" in name or "qat" not in recipe
]


@pytest.fixture(scope="module")
def prepared(keras2_inputs: Path, keras3_inputs: Path) -> dict[tuple[str, str], PreparedModel]:
    """(model, recipe) -> as a board gets it."""
    folders = {2: keras2_inputs, 3: keras3_inputs}
    requests = {}
    for name, (keras, file, data) in FILES.items():
        workload = user_workload(folders[keras] / file, folders[keras] / f"{data}.npz")
        for recipe in RECIPES.get(name, USUAL):
            requests[name, recipe] = ModelRequest(workload=workload, recipe=recipe, seed=0)
    # One worker of each Keras: what takes time is TensorFlow's start.
    return dict(zip(requests, prepare_requests(list(requests.values()), DataSource(), jobs=1), strict=True))


@pytest.fixture
def expected(keras2_inputs, keras3_inputs):
    """What Keras itself answers to a model's test samples, [N, 3]."""

    def read(name: str) -> np.ndarray:
        keras, _, data = FILES[name]
        return np.load({2: keras2_inputs, 3: keras3_inputs}[keras] / f"{data}.expected.npz")["answers"]

    return read


def answers(model: PreparedModel) -> np.ndarray:
    """What the built file answers to the prepared samples, [N, 3]: real values in the order of the samples."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model.artifact.file), num_threads=1)
    interpreter.allocate_tensors()
    (output,) = interpreter.get_output_details()
    files = [np.load(file.path) for file in model.inputs]
    found = []
    for row in zip(*files, strict=True):
        for detail, values in zip(interpreter.get_input_details(), row, strict=True):
            interpreter.set_tensor(detail["index"], values[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(output["index"])[0])
    scale, zero = output["quantization"]
    values = np.empty((len(found), 3))
    values[model.sample_ids] = np.array(found, np.float64)
    return (values - zero) * scale if scale else values


@pytest.mark.parametrize(("name", "recipe"), FLOAT)
def test_the_float_model_answers_what_keras_does(prepared, expected, name, recipe):
    model = prepared[name, recipe]
    np.testing.assert_allclose(answers(model), expected(name), atol=1e-5)
    right = expected(name).argmax(axis=1)[model.sample_ids] == model.labels
    assert model.metric.score(model.float_answers, model.labels).value == pytest.approx(right.mean())
    assert 0.8 < right.mean() < 0.97 and not [f for f in model.findings if f.severity == "error"]


@pytest.mark.parametrize(("name", "recipe"), QUANTIZED)
def test_quantized_models_score_within_their_interval(prepared, expected, name, recipe):
    model = prepared[name, recipe]
    assert model.artifact.path is not None, model.artifact.refused
    if "qat" in recipe:
        return  # trained on for an epoch: what it answers is another model's
    score = model.metric.score(answers(model).argmax(axis=1)[model.sample_ids], model.labels)
    right = (expected(name).argmax(axis=1)[model.sample_ids] == model.labels).mean()
    assert score.low <= right <= score.high


def test_a_graph_without_layers_is_not_trained(prepared):
    refused = prepared["signature", "qat-int8-io"].artifact
    assert refused.path is None and "is a graph without layers: nothing of it can be trained" in refused.refused


def test_training_quantizes_no_input_of_whole_numbers(prepared):
    model = prepared["text, Keras 2", "qat-int8-io"]
    assert {io.dtype: io.scale > 0 for io in model.artifact.inputs} == {"int32": False, "int8": True}
    layers = {layer["name"]: layer for layer in model.artifact.manifest["training_summary"]["layers"]}
    assert not layers["table"]["wrapped"] and layers["quant_topic"]["wrapped"]
    assert "words" not in {layer.get("reads") for layer in layers.values()}


def test_each_input_is_calibrated_by_its_own_samples(prepared):
    """Exchanged samples would give the left input, which is never negative, the range of the right one."""
    for name in ("siamese, SavedModel", "signature"):
        inputs = {io.name: io for io in prepared[name, "ptq-int8-io"].artifact.inputs}
        left, right = (next(io for key, io in inputs.items() if word in key) for word in ("left", "right"))
        assert left.zero_point == -128 and math.isclose(left.scale, 4 / 255, rel_tol=0.05)
        assert abs(right.zero_point) < 40


def test_ranges_that_training_learned_are_those_of_their_inputs(prepared):
    found = prepared["mixed, Keras 3", "qat-int8-io"].findings
    assert not [f for f in found if "quantize_layer" in f.what]


def test_the_samples_of_whole_numbers_stay_whole(prepared):
    types = {io.name: (io.dtype, np.load(file.path).dtype) for model in (prepared["text, Keras 3", "ptq-int8-io"],)
             for io, file in zip(model.artifact.inputs, model.inputs, strict=True)}  # fmt: skip
    assert {kinds[0] for kinds in types.values()} == {"int32", "int8"}
    assert all(stored == given for given, stored in types.values())
