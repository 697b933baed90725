"""Models and data from files to prepared models: what is found on the way, with the real references of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.measure.reference import References
from harness.run.plan import ModelRequest, prepare_requests
from harness.run.question import scale_findings
from harness.variants.artifact import AS_IS
from harness.workloads.checks.table import CODES
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload
from tests.support import question_models as models
from tests.support.fixtures_session import MakeOnce


def prepared(tmp_path, model: bytes, *, labels=None, x=None):
    (tmp_path / "m.tflite").write_bytes(model)
    x = models.vectors() if x is None else x
    labels = models.scores(models.vectors()).argmax(axis=1) if labels is None else labels
    np.savez(tmp_path / "s.npz", x_test=x, y_test=labels)
    workload = get_workload(str(tmp_path / "m.tflite"), data=tmp_path / "s.npz")
    (found,) = prepare_requests([ModelRequest(workload=workload, recipe=AS_IS, seed=0)], DataSource())
    return found


def misread(model):
    return sorted(f.code for f in model.findings if f.code in CODES)


def true_score(model):
    """The score of the reference's own outputs."""
    labels, outputs = model.labels[: len(model.reference.outputs[0])], model.reference.outputs[0]
    return model.metric.score(model.metric.answers(outputs.astype(np.float64)), labels).value


@pytest.mark.parametrize("tail", ["softmax", "logits", "values", "argmax", "argmax-float"])
def test_a_classifier_gives_its_true_score_whatever_its_end(tmp_path, tail):
    model = prepared(tmp_path, models.classifier(tail))
    assert true_score(model) == 1.0 and misread(model) == []


def test_a_probability_behind_a_reshape_gives_its_true_score(tmp_path):
    scores = models.scores(models.vectors())
    model = prepared(tmp_path, models.classifier("sigmoid-reshape"), labels=(scores[:, 0] >= scores[:, 1]).astype(int))
    assert true_score(model) == 1.0 and misread(model) == []


def test_a_model_without_a_batch_axis_gives_its_true_score(tmp_path):
    model = prepared(tmp_path, models.classifier("logits", first_axis=()))
    assert true_score(model) == 1.0


@pytest.mark.parametrize(
    "content, code",
    [
        (models.classifier("two"), "outputs-not-judged"),
        (models.with_signatures(models.classifier()), "signatures-not-run"),
    ],
)
def test_what_is_not_judged_or_not_run_is_told(tmp_path, content, code):
    assert misread(prepared(tmp_path, content)) == [code]


def test_pixels_into_an_integer_input_that_spans_0_to_1(tmp_path):
    assert misread(prepared(tmp_path, models.int8_classifier())) == []
    assert misread(prepared(tmp_path, models.int8_classifier(), x=models.vectors() * 255)) == ["input-range"]
    assert misread(prepared(tmp_path, models.int8_classifier(scale=1.0))) == ["input-range"]


def drawn(count=600):
    """Labels drawn from the probabilities of the softmax classifier: what a model whose confidence is right sees."""
    scores = models.scores(models.vectors(count))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return (shares.cumsum(axis=1) > np.random.default_rng(0).random((count, 1))).argmax(axis=1)


@pytest.mark.parametrize("tail", ["softmax", "logits"])
@pytest.mark.parametrize(
    "scale, offset, told", [(1, 0, False), (255, 0, True), (16, 0, True), (2, -1, True)], ids=lambda v: str(v)
)
def test_pixels_into_a_float_model_that_was_trained_on_0_to_1(tmp_path, tail, scale, offset, told):
    """A factor alone leaves every answer of this linear model as it is, and shows in its confidence."""
    x = (models.vectors(600) * scale + offset).astype(np.float32)
    model = prepared(tmp_path, models.classifier(tail), labels=drawn(), x=x)
    assert misread(model) == (["input-scale"] if told else [])


PUBLISHED = ["mnist-cnn", "sensor-cnn", "cifar-conv"]
SHARED = os.environ.get("HARNESS_SHARED")
#: samples of the real data sets: networks that see so many are good enough, and are trained in seconds
TRAINED_ON, TESTED_ON = 4000, 1000


@pytest.fixture(scope="session")
def real_data(make_once: MakeOnce) -> Path:
    """A folder with the real data sets, cut short."""

    def make(folder: Path) -> None:
        for path in (Path(SHARED) / "data").glob("*.npz"):
            with np.load(path, allow_pickle=False) as data:
                np.savez(folder / path.name, **{n: data[n][: TRAINED_ON if "train" in n else TESTED_ON] for n in data})

    return make_once("real-data", make)


@pytest.fixture(scope="module")
def published(request, session_cache, built_others):
    """What is told of each published workload, on the bundled data or on real ones; prepared together."""
    data_dir = None if request.param == "bundled" else request.getfixturevalue(request.param)
    requests = [
        ModelRequest(workload=get_workload(name), recipe=recipe, seed=0)
        for name in PUBLISHED
        for recipe in ("ptq-float32", "ptq-int8-io")
    ]
    models = prepare_requests(requests, DataSource(data_dir=data_dir))
    return [(model.workload, misread(model)) for model in models]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("published", ["bundled", *(["real_data"] if SHARED else [])], indirect=True)
def test_nothing_is_told_of_the_published_workloads(published, name):
    assert [told for workload, told in published if workload == name] == [[], []]


if SHARED:

    @pytest.mark.slow
    def test_nothing_is_told_of_a_network_fed_as_it_was_trained(in_build_cache):
        """MLPerf Tiny's ResNet-8, trained on raw pixels of 0..255; fed 0..1 instead, it is told."""
        data = Path(SHARED) / "data" / "cifar10_subset.npz"
        workload = get_workload(str(Path(SHARED) / "models" / "pretrainedResnet.h5"), data=data)
        requests = [ModelRequest(workload=workload, recipe="ptq-float32", seed=0)]
        (model,) = prepare_requests(requests, DataSource())
        assert misread(model) == []
        dataset = workload.load_dataset(DataSource())
        unit = dataset.x_test / np.float32(255)
        with References() as references:
            (finding,) = scale_findings(model, replace_test(dataset, unit), references)
        assert finding.code == "input-scale"


def replace_test(dataset, x_test):
    from dataclasses import replace

    return replace(dataset, x_test=x_test, digest="1" * 64)


ARRANGED = {
    "with red and blue exchanged": ("channel-order", lambda x: x[..., ::-1]),
    "with rows and columns exchanged": ("input-layout", lambda x: x.swapaxes(1, 2)),
    "read as planes": ("input-layout", lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape)),
}


@pytest.mark.parametrize("name", ARRANGED)
def test_images_that_are_laid_out_otherwise_are_told(tmp_path, name):
    code, arrange = ARRANGED[name]
    x = models.images()
    found = prepared(tmp_path, models.image_classifier(), x=arrange(x), labels=models.image_labels(x))
    assert misread(found) == [code]
    (finding,) = [f for f in found.findings if f.code == code]
    assert "the samples are 6x6x3" in finding.what and name in finding.what and "accuracy 1 instead of" in finding.what


def test_images_that_lie_as_they_should_are_not(tmp_path):
    x = models.images()
    found = prepared(tmp_path, models.image_classifier(), x=x, labels=models.image_labels(x))
    assert true_score(found) == 1.0 and misread(found) == []
