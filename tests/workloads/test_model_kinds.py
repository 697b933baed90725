"""Every kind of model that users bring: the harness reads, converts and scores it as other libraries say that it should.

What is expected is computed from what Keras, or TensorFlow's own interpreter, predicted; nothing of the harness has a part in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.measure.reference import References
from harness.measure.scoring import answers_of, real_values
from harness.prepare.prepared import PreparedModel, prepare_model
from harness.tflite.graph import read_graph
from harness.variants.artifact import AS_IS
from harness.variants.build.build import artifact_from_file
from harness.workloads.datasets import DataSource
from harness.workloads.user import user_workload
from tests.support.kind_table import KINDS, Kind

pytestmark = pytest.mark.slow
#: of a float model's outputs from Keras' own
_CLOSE = 5e-5
#: the same of finished models, whose kernels round otherwise than TensorFlow's reference: a few steps of 1/256
_STEPS = {"finished-int8": 5 / 256, "finished-uint8": 5 / 256, "finished-int16": 1e-3, "finished-dynamic-range": 2e-2}
#: type of the input of finished models, and of the weights of the second layer
_TYPES = {
    "finished-float": ("float32", "float32"),
    "finished-int8": ("int8", "int8"),
    "finished-uint8": ("uint8", "int8"),
    "finished-int16": ("float32", "int8"),
    "finished-dynamic-range": ("float32", "int8"),
}


def test_the_table_has_twenty_kinds_of_both_keras_and_of_finished_files():
    assert len(KINDS) >= 20
    assert {kind.made_by for kind in KINDS.values()} == {"keras2", "keras3", "tflite"}
    assert len({judge for kind in KINDS.values() for judge in kind.judges}) >= 10


@pytest.fixture(scope="module")
def references():
    with References(None) as asked:
        yield asked


def prepared(folder, kind: Kind) -> PreparedModel:
    """The model as a run has it: read as the user names it, its labels read by the metric that was named or found."""
    path, data = folder / kind.file, folder / f"{kind.name}.npz"
    with np.load(data) as arrays:
        outputs = [key.removeprefix("y_test").lstrip("_") for key in arrays.files if key.startswith("y_test")]
    asked = "; ".join(
        f"{output}={judge.metric}" if output else judge.metric
        for output, judge in zip(outputs, kind.outputs, strict=True)
        if judge.asked
    )
    (stated,) = {judge.stated for judge in kind.outputs} if len(kind.outputs) == 1 else (None,)
    workload = user_workload(path, data, "none" if stated else asked or None)
    dataset = workload.load_dataset(DataSource())
    if stated is not None:
        with np.load(data) as arrays:
            # As a dataset has boxes: the sixth number says that one is no crowd.
            dataset = replace(dataset, y_test=np.pad(arrays["y_test"], ((0, 0), (0, 0), (0, 1))))
        workload = replace(workload, metric=stated, task=None, left_out=())
    finished = kind.made_by == "tflite"
    artifact = artifact_from_file(path if finished else folder / f"{kind.name}.built.tflite")
    recipe = AS_IS if finished else "ptq-float32"
    return prepare_model(workload, recipe, replace(artifact, recipe=recipe), dataset)


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_scores_and_outputs_are_those_of_other_libraries(kind, kind_models, references):
    model = prepared(kind_models, kind)
    outputs, io = references.float_outputs(model, len(model.sample_ids)), model.artifact.outputs
    with np.load(kind_models / f"{kind.name}.npz") as arrays:
        x, labels = arrays["x_test"], {key: arrays[key] for key in arrays.files if key != "x_test"}
    with np.load(kind_models / f"{kind.name}.predicted.npz") as predicted:
        found = {key: predicted[key] for key in predicted.files}
    judged = model.judged
    assert [one.metric.name for one in judged] == [judge.metric for judge in kind.outputs]
    for one, judge, key in zip(judged, kind.outputs, found, strict=True):
        if one.name:
            assert key == f"y_test_{one.name}"
        answers = answers_of(one.metric, outputs, io, one.output)
        score = one.metric.score(answers, one.labels)
        assert score.value == pytest.approx(judge.truth(labels[key], found[key], x), abs=1e-5), judge.metric
        assert score.low is None or score.low <= score.value <= score.high
        if not one.metric.all_outputs:
            real = real_values(outputs[one.output], io[one.output])
            expected = found[key][model.sample_ids].reshape(real.shape)
            np.testing.assert_allclose(real, expected, atol=_STEPS.get(kind.name, _CLOSE), rtol=1e-4)


@pytest.mark.parametrize("name", _TYPES)
def test_finished_files_are_what_they_are_called(name, kind_models):
    graph = read_graph(kind_models / f"{name}.tflite")
    second = [node for node in graph.nodes if node.op == "CONV_2D"][1]
    assert (graph.tensors[graph.inputs[0]].dtype, graph.tensors[second.inputs[1]].dtype) == _TYPES[name]
