"""`top-5` of a model with twelve classes, from the command to the page: scikit-learn's value under its own name."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from harness.cli.main import cli
from harness.reports.report import Report
from harness.results.record import CellRecord
from harness.results.store import Store
from tests.support.odd_models import dense

COUNT, CLASSES = 90, 12


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[CellRecord, dict, str, float]:
    """The record of a run that is judged by `top-5`, its cell in the JSON, its page, and what scikit-learn says."""
    from ai_edge_litert.interpreter import Interpreter

    folder = tmp_path_factory.mktemp("top5")
    (folder / "twelve.tflite").write_bytes(dense(rows=CLASSES))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(COUNT, 4)).astype(np.float32)
    interpreter = Interpreter(model_path=str(folder / "twelve.tflite"))
    interpreter.allocate_tensors()
    scores = np.empty((COUNT, CLASSES), np.float32)
    for row, found in zip(x, scores, strict=True):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        found[:] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    places = rng.choice(CLASSES, COUNT, p=np.array([6, 4, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1]) / 25)
    labels = np.take_along_axis(np.argsort(-scores, axis=1), places[:, None], axis=1)[:, 0]
    np.savez(folder / "s.npz", x_test=x, y_test=labels)
    (folder / "harness.toml").write_text(
        '[model]\npath = "twelve.tflite"\n[data]\npath = "s.npz"\n[score]\nmetric = "top-5"\n'
    )
    arguments = [
        "run",
        "--workload",
        str(folder / "harness.toml"),
        "--device",
        "host-litert",
        "--backend",
        "cpu",
        "--samples",
        "all",
    ]
    arguments += ["--budget", "20s", "--results", str(folder / "results"), "--json", str(folder / "run.json")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    with Store.open(folder / "results") as store:
        (record,) = store.cells()
    (page,) = (folder / "results" / record.run).glob("*.html")
    (cell,) = json.loads((folder / "run.json").read_text())["cells"]
    expected = top_k_accuracy_score(labels, scores, k=5, labels=np.arange(CLASSES))
    assert accuracy_score(labels, scores.argmax(axis=1)) < expected < 1
    return record, cell, page.read_text(), expected


def test_the_record_has_scikit_learns_score_and_no_accuracy(measured):
    record, cell, _, expected = measured
    assert record.score == pytest.approx(expected) and record.samples == COUNT
    assert (record.metric, record.metric_title, record.accuracy) == ("top-5", "top-5 accuracy", None)
    assert record.score_low < record.score < record.score_high
    assert cell["score"] == record.score and cell["metric"] == "top-5"


def test_report_and_page_show_it_under_its_own_name(measured):
    record, _, page, expected = measured
    assert f"top-5 accuracy {expected:.4f}".replace(" 0.", " .") in page
    (summary,) = Report(records=(record,)).summaries
    assert summary.score_head == "top-5 accuracy (higher is better)"
