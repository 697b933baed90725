"""`[score.outputs.NAME]`: each output of a project's model has its labels, its metric and its word when it is wrong."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.init.create import create_project
from harness.tune.split import half_of, split_of
from harness.workloads.datasets import DataSource
from harness.workloads.project import project_workload
from tests.support import question_models as models

COUNT = 200
#: the first line of the tables that a test writes behind these
HEAD = '[model]\npath = "two.tflite"\n[data]\npath = "{data}"\n[score]\n'
FIRST = HEAD.count("\n") + 1


@pytest.fixture
def project(tmp_path):
    """project(tables, data="s.npz", **arrays) -> the path of a project of a softmax (`shares`) and its logits (`scores`)."""
    (tmp_path / "two.tflite").write_bytes(models.classifier("two"))

    def write(tables, data="s.npz", **arrays):
        if arrays:
            np.savez(tmp_path / "s.npz", **arrays)
        (tmp_path / "harness.toml").write_text(HEAD.format(data=data) + tables)
        return tmp_path / "harness.toml"

    return write


def samples():
    """Labels that say which sample they are of: the logits themselves, and the class that is largest."""
    x = models.vectors(COUNT)
    return {"x": x, "y_shares": models.scores(x).argmax(axis=1), "y_scores": models.scores(x)}


def test_each_output_has_its_metric_and_the_labels_of_its_samples(project):
    tables = '[score.outputs.scores]\nmetric = "rmse(unit=V)"\n[score.outputs.shares]\ntask = "multiclass"\n'
    workload = project_workload(project(tables, **samples()))
    (further,) = workload.further
    assert (workload.output_name, workload.metric.name) == ("shares", "top1")
    assert (further.name, further.metric.name, further.metric.unit) == ("scores", "rmse", "V")
    dataset = workload.load_dataset(DataSource())
    truth = models.scores(np.asarray(dataset.x_test[:]))
    assert len(dataset.x_test) == COUNT
    np.testing.assert_array_equal(dataset.y_test, truth.argmax(axis=1))
    np.testing.assert_allclose(dataset.y_test_of["scores"], truth, rtol=1e-6)


def test_a_split_takes_the_labels_of_every_output_along(project):
    text = project("", **samples())
    text.write_text(text.read_text().replace('path = "s.npz"', 'path = "s.npz"\ntest = 0.5'))
    dataset = project_workload(text).load_dataset(DataSource())
    assert COUNT * 0.4 < len(dataset.x_test) < COUNT * 0.6
    truth = models.scores(np.asarray(dataset.x_test[:]))
    np.testing.assert_allclose(dataset.y_test_of["scores"], truth, rtol=1e-6)


def test_the_halves_of_a_search_have_the_labels_of_their_own_samples(project):
    workload = project_workload(project("", **samples()))
    dataset = workload.load_dataset(DataSource())
    half = half_of(workload, split_of(dataset), "proof").load_dataset(DataSource())
    truth = models.scores(np.asarray(half.x_test[:]))
    np.testing.assert_allclose(half.y_test_of["scores"], truth, rtol=1e-6)


def test_an_output_is_left_out_on_purpose(project):
    for tables in ('[score.outputs.scores]\nmetric = "none"\n', '[score.outputs.1]\ntask = "none"\n'):
        workload = project_workload(project(tables, **samples()))
        assert workload.further == () and workload.left_out == (1,)


def test_a_function_gives_labels_of_each_output(project, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\ndef load():\n    x = np.random.default_rng(0).random((60, 8), dtype=np.float32)\n"
        "    return {'x': x, 'y_shares': np.arange(60) % 4, 'y_scores': x[:, :4]}\n"
    )
    workload = project_workload(project('[score.outputs.scores]\nmetric = "mean_absolute_error"\n', data="mine:load"))
    dataset = workload.load_dataset(DataSource())
    np.testing.assert_array_equal(dataset.y_test_of["scores"], np.asarray(dataset.x_test[:])[:, :4])


@pytest.mark.parametrize(
    "tables, line, what, hint",
    [
        ('[score.outputs.angle]\nmetric = "r2"\n', 0, "score.outputs.angle: unknown output 'angle'", "shares, scores"),
        ('[score.outputs.scores]\n[score.outputs.1]\n', 1, r"is the output of \[score.outputs.scores\], too", "leave one"),
        ('[score.outputs.scores]\nmetric = "rsme"\n', 1, "score.outputs.scores.metric: unknown metric 'rsme'", "rmse"),
        ('[score.outputs.scores]\ntask = "guess"\n', 1, "no metric is usual for the task 'guess'", "regression"),
        ('[score.outputs.scores]\ntask = "none"\nmetric = "r2"\n', 2, "judged by no metric, and 'r2' is one", "one of"),
        ('task = "none"\n[score.outputs.scores]\nmetric = "r2"\n', 0, "leaves all labels aside", "leave one"),
        ('[score.outputs."a;b"]\nmetric = "r2"\n', 0, "score.outputs.a;b: unknown output 'a;b'", "shares, scores"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(project, tables, line, what, hint):
    path = project(tables, **samples())
    with pytest.raises(UserInputError, match=what) as caught:
        project_workload(path)
    assert caught.value.where.startswith(f"{path}:{FIRST + line}:") and hint in caught.value.hint


def test_labels_that_are_missing_are_told_of_the_users_own_file(project, tmp_path):
    arrays = samples()
    del arrays["y_scores"]
    path = project('[score.outputs.scores]\nmetric = "r2"\n', **arrays)
    with pytest.raises(
        UserInputError, match="output 'scores' needs labels, and there is no array 'y_test_scores'"
    ) as caught:
        project_workload(path)
    assert caught.value.where == str(tmp_path / "s.npz")


def test_labels_of_no_output_are_told(project):
    with pytest.raises(UserInputError, match="array 'y_angle'.*unknown output 'angle'.*shares, scores"):
        project_workload(project("", y_angle=np.zeros(COUNT), **samples()))


def test_init_writes_a_table_for_each_labelled_output(project, tmp_path):
    project("", **samples())
    created = create_project(tmp_path / "two.tflite", tmp_path / "s.npz", folder=tmp_path, force=True, ask=False)
    text = created.project.path.read_text()
    outputs = {"shares": {"task": "multiclass", "metric": "top1"}, "scores": {"metric": "mean_absolute_error"}}
    found = tomllib.loads(text)["score"]["outputs"]
    assert {name: {**one} for name, one in found.items()} == {
        **outputs,
        "scores": {"task": "regression", **outputs["scores"]},
    }
    assert "# labels: 4 float32 per sample" in text and "# the output gives 4 probabilities: softmax" in text
    assert "judged by      shares by top1, scores by mean_absolute_error" in created.summary
    workload = project_workload(created.project.path)
    assert [one.metric.name for one in workload.further] == ["mean_absolute_error"]


def test_init_says_which_output_has_no_labels(project, tmp_path):
    arrays = samples()
    project("", x=arrays["x"], y=arrays["y_shares"])
    text = create_project(
        tmp_path / "two.tflite", tmp_path / "s.npz", folder=tmp_path, force=True, ask=False
    ).project.path.read_text()
    assert "# output scores has no labels (y_test_scores)" in text
    assert '# metric = "none" in [score.outputs.scores] says' in text
    assert list(tomllib.loads(text)["score"]["outputs"]) == ["shares"]
