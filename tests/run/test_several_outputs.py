"""A finished model with two outputs, measured: each has its metric, its score, its row and its word in a verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import root_mean_squared_error

from harness.cli.main import cli
from harness.reports.report import Report
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.verdict.answers import AnswerBook
from harness.verdict.scored import Pair, judge_scores
from tests.support import question_models as models

COUNT = 120


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[CellRecord, ObjectStore, np.ndarray]:
    """The record of `harness measure` of a softmax and its logits, judged by accuracy and by RMSE; its objects; the noise."""
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "two.tflite").write_bytes(models.classifier("two"))
    x = models.vectors(COUNT)
    scores = models.scores(x)
    noise = np.random.default_rng(1).normal(scale=0.1, size=scores.shape).astype(np.float32)
    labels = np.where(np.arange(COUNT) % 4 == 0, 0, scores.argmax(axis=1))
    np.savez(folder / "s.npz", x_test=x, y_test=labels, y_test_scores=scores + noise)
    arguments = ["measure", str(folder / "two.tflite"), "--data", str(folder / "s.npz"), "--device", "host-litert"]
    arguments += ["--backend", "cpu", "--metric", "scores=rmse(unit=V)", "--results", str(folder / "results")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    with Store.open(folder / "results") as store:
        (record,) = store.cells()
    return record, ObjectStore(folder / "results"), noise


def test_each_output_has_its_score_under_its_own_name(measured):
    record, _, noise = measured
    first, second = record.output_scores
    assert (first["output"], first["metric"], first["score"]) == ("shares", "top1", record.accuracy)
    assert (second["output"], second["metric"], second["metric_unit"]) == ("scores", "rmse", "V")
    assert second["score"] == pytest.approx(root_mean_squared_error(noise.ravel(), np.zeros(noise.size)), rel=1e-4)
    assert record.score_output == "shares"
    assert "outputs-not-judged" not in {finding.code for finding in record.findings}


def test_tables_say_which_score_is_of_which_output(measured):
    record, _, _ = measured
    report = Report(records=(record,))
    (summary,) = report.summaries
    assert summary.score_head == "shares: accuracy; scores: RMSE (V, lower is better)"
    assert summary.main_head == "shares: accuracy"
    frame = report.frames["Outputs"]
    assert frame["output"].tolist() == ["shares", "scores"] and frame["metric_unit"].tolist() == [None, "V"]


def test_the_page_shows_every_output(measured):
    record, objects, _ = measured
    page = (objects.root.parent / record.run / "index.html").read_text()
    rmse = f"<small>scores {record.output_scores[1]['score']:.4g} V</small>"
    assert page.count(rmse) == 2, "in the matrix and among the cells"
    assert "Upper figure: shares: accuracy; scores: RMSE (V, lower is better)" in page


def test_a_verdict_names_the_output_that_got_worse(measured):
    record, objects, _ = measured
    stored = objects.get_arrays(record.outputs_object)
    worse = {**stored, "output_1": stored["output_1"] + np.float32(0.2)}
    later = replace(record, outputs_object=objects.put_arrays(worse))
    (verdict,) = judge_scores([Pair(before=record, after=later)], AnswerBook(objects))
    assert (
        verdict.status == "worse"
        and verdict.reason.startswith("output scores: RMSE ")
        and " V on 120 " in verdict.reason
    )
    (same,) = judge_scores([Pair(before=record, after=record)], AnswerBook(objects))
    assert same.status == "same"
