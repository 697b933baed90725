"""A detector with TFLite_Detection_PostProcess, measured on a real runtime: judged before suppression, mAP behind it."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.results.record import CellRecord
from harness.results.store import Store
from tests.support.detector_models import detector, scenes
from tests.workloads.metrics.test_detection import theirs


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[CellRecord, Store, np.ndarray]:
    """The record of an int8 detector on 80 images, its store, and the labels."""
    folder = tmp_path_factory.mktemp("detector")
    (folder / "detector.tflite").write_bytes(detector(int8=True))
    images, boxes = scenes(80)
    np.savez(folder / "s.npz", x_test=images, y_test=boxes)
    arguments = ["measure", str(folder / "detector.tflite"), "--data", str(folder / "s.npz"), "--device", "host-litert"]
    result = CliRunner().invoke(cli, [*arguments, "--backend", "cpu", "--results", str(folder / "results")])
    assert result.exit_code == 0, (result.output, result.exception)
    store = Store.open(folder / "results")
    (record,) = store.cells()
    return record, store, boxes


def test_the_score_is_pycocotools_of_the_stored_outputs(measured):
    record, store, _ = measured
    outputs = [rows for _, rows in sorted(store.objects.get_arrays(record.outputs_object).items())]
    boxes, classes, scores, count = outputs
    found = np.concatenate([boxes, classes[..., None], scores[..., None]], axis=2)
    found[np.arange(boxes.shape[1]) >= count.reshape(-1, 1)] = (0, 0, 0, 0, -1, 0)
    labels = store.objects.get_array(record.labels_object)
    assert (record.metric, record.metric_title, record.accuracy) == ("detection_map", "mAP@[.5:.95]", None)
    assert record.score_output is None
    assert record.score == pytest.approx(theirs(found, labels, np.linspace(0.5, 0.95, 10)), abs=1e-6)
    assert 0.3 < record.score_low < record.score < record.score_high < 1


def test_it_is_ok_by_the_boxes_before_suppression(measured):
    record, _, _ = measured
    assert record.outcome == "ok" and record.reference_rule.startswith("of the boxes and scores before suppression:")
    assert len(record.reference_figures) == 2
    assert not {finding.code for finding in record.findings} & {"outputs-not-judged", "score-at-chance"}
