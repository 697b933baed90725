"""What an output is: one probability behind any reshape, class numbers, a map; and which labels it can be judged by."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.tflite.graph import read_graph
from harness.workloads.checks.model import graph_findings
from harness.workloads.checks.outputs import output_ends, units_and_places
from harness.workloads.datasets import DataSource
from harness.workloads.metrics.registry import get_metric
from harness.workloads.user import user_workload
from tests.support import question_models as models


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((10,), (10, 1)),
        ((1,), (1, 1)),
        ((), (1, 1)),
        ((1, 1, 1), (1, 1)),
        ((1, 1, 10), (10, 1)),
        ((10, 1), (10, 1)),
        ((8, 8, 10), (10, 64)),
        ((8, 8, 1), (1, 64)),
        ((8, 8), (8, 8)),
        ((-1, -1, 10), (10, None)),
        ((-1,), (None, 1)),
        (None, (None, None)),
    ],
)
def test_values_and_places_of_an_output(shape, expected):
    assert units_and_places(shape) == expected


def workload(tmp_path, model: bytes, labels, x=None, **arrays):
    (tmp_path / "m.tflite").write_bytes(model)
    x = models.vectors(len(labels)) if x is None else x
    np.savez(tmp_path / "s.npz", x_test=x, y_test=labels, **arrays)
    return user_workload(tmp_path / "m.tflite", tmp_path / "s.npz")


CLASSES = models.scores(models.vectors()).argmax(axis=1)


@pytest.mark.parametrize(
    "tail, labels, metric",
    [
        ("softmax", CLASSES, "top1"),
        ("logits", CLASSES, "top1"),
        ("values", CLASSES, "top1"),
        ("sigmoid-reshape", CLASSES % 2, "binary"),
        ("argmax", CLASSES, "class_number"),
        ("argmax-float", CLASSES, "class_number"),
        ("linear", models.scores(models.vectors())[:, 0], "mean_absolute_error"),
    ],
)
def test_the_metric_is_that_of_what_the_output_is(tmp_path, tail, labels, metric):
    chosen = workload(tmp_path, models.classifier(tail), labels).metric
    assert chosen is not None and chosen.name == metric


@pytest.mark.parametrize(
    "model, labels, words",
    [
        (models.map_model(), np.arange(5) % 3, "one label per sample, and the model answers at 16 places of each"),
        (models.map_model(1), np.arange(5) % 2, "one label per sample, and the model answers at 16 places of each"),
        (models.map_model(choose=True), np.arange(5) % 3, "the model gives 16 whole numbers for each"),
        (models.classifier("linear"), CLASSES % 2, "one output without a sigmoid"),
        (models.classifier("sigmoid-reshape"), CLASSES, r"'y_test' holds the label 3, expected 0\.\.1"),
        (models.classifier(), CLASSES + 1, r"the label 4, expected 0\.\.3 .*they lie in 1\.\.4: subtract 1"),
        (models.classifier(), CLASSES - 1, r"the label -1, expected 0\.\.3 .*they lie in -1\.\.2: add 1"),
        (models.classifier(), CLASSES * 100, "the model has 4 classes: use the model that belongs to these labels"),
        (models.classifier(), np.eye(4)[CLASSES], "one-hot labels become class numbers"),
        (models.map_model(), np.zeros((5, 3, 4), int), "has 3x4 pixels per sample, the model answers at 16"),
        (models.with_signature_shape(models.map_model(), (1, -1, -1, 2)), np.arange(5) % 3, r"\[1, open, open, 2\]"),
        (models.classifier(first_axis=(3,)), CLASSES, "the model takes 3 samples at once"),
    ],
)
def test_labels_and_shapes_that_do_not_fit_are_refused_in_a_sentence(tmp_path, model, labels, words):
    image = read_graph(model).tensors[0].shape[1:] == (4, 4, 2)
    x = np.zeros((len(labels), 4, 4, 2), np.float32) if image else None
    with pytest.raises(UserInputError, match=words):
        workload(tmp_path, model, labels, x).load_dataset(DataSource())


def test_an_open_size_is_refused_without_data_too(tmp_path):
    (tmp_path / "m.tflite").write_bytes(models.with_signature_shape(models.map_model(), (-1, -1, -1, 2)))
    with pytest.raises(UserInputError, match="open beyond the batch.*a runtime would take each open size as 1"):
        user_workload(tmp_path / "m.tflite", None)


def test_an_open_batch_is_nothing_to_refuse(tmp_path):
    model = models.with_signature_shape(models.map_model(), (-1, 4, 4, 2))
    (tmp_path / "m.tflite").write_bytes(model)
    assert user_workload(tmp_path / "m.tflite", None).metric is None


@pytest.mark.parametrize("name", ["top1", "f1", "binary"])
def test_a_metric_of_scores_takes_no_class_numbers(name):
    ends = output_ends(read_graph(models.classifier("argmax")))[0].ends()
    with pytest.raises(UserInputError, match="the class itself.*class_number judges it"):
        get_metric(name).checked(CLASSES % 2, ends)


def test_class_numbers_are_answers_as_they_are():
    metric = get_metric("class_number")
    outputs = np.array([[2.0], [0.0], [np.nan], [1.5]])
    assert metric.answers(outputs).tolist() == [2, 0, -1, -1]
    assert metric.agreement(outputs, np.array([[2.0], [1.0], [0.0], [0.0]])) == 0.25


def test_several_outputs_are_told_where_one_is_judged():
    graph = read_graph(models.classifier("two"))
    assert graph_findings(graph, judged=[], where="w") == []
    (finding,) = graph_findings(graph, judged=[0], where="w")
    assert finding.code == "outputs-not-judged"
    assert finding.what == "the score is that of output 'shares' [4]; 'scores' [4] is not judged"


def test_signatures_that_are_not_run_are_told():
    (finding,) = graph_findings(read_graph(models.with_signatures(models.classifier())), judged=[], where="w")
    assert finding.code == "signatures-not-run"
    assert finding.what == "of the signatures only 'serve' is run, and not 'train'"
    same = read_graph(models.with_signatures(models.classifier(), subgraphs=1))
    assert graph_findings(same, judged=[0], where="w") == []


def test_outputs_are_called_as_the_user_knows_them():
    """A converter calls a Keras model's outputs `output_0`, `output_1`; labels are given by the layers' names."""
    graph = read_graph(models.classifier("two"))
    (finding,) = graph_findings(graph, judged=[0], where="w", names={0: "kind", 1: "place"})
    assert finding.what == "the score is that of output 'kind' [4]; 'place' [4] is not judged"
