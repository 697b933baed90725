"""A cell's score: by its workload's metric, on real values, against the float model; nothing where there is no metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.core.tensor import TensorIo
from harness.measure.scoring import real_values, score
from harness.results.sections import Score
from harness.workloads.metrics.registry import get_metric
from tests.judge.facts import COUNT, LABELS, OUTPUTS, model


def test_quantized_outputs_are_real_values_before_they_are_answers():
    # scale 1/256, zero point -128: q = 0 is probability 0.5
    io = TensorIo(name="out", dtype="int8", shape=(1, 1), scale=1 / 256, zero_point=-128)
    values = real_values(np.array([[-1], [0]], dtype=np.int8), io)
    assert get_metric("binary").answers(values).tolist() == [0, 1]


def test_accuracy_is_a_score_and_stands_under_both_names():
    section = score([OUTPUTS], 30, replace(model(), float_identity="float runtime 1.0"))
    assert (section.metric, section.metric_unit, section.metric_direction) == ("top1", None, "higher")
    assert (section.score, section.score_delta, section.score_p) == (1.0, 0.0, 1.0)
    assert (section.accuracy, section.accuracy_low, section.accuracy_high) == (
        1.0,
        section.score_low,
        section.score_high,
    )
    assert (section.accuracy_delta, section.mcnemar_p, section.score_test) == (0.0, 1.0, "exact McNemar")
    assert (section.only_float_right, section.only_cell_right) == (0, 0)
    assert section.score_baseline == "float runtime 1.0"


def test_another_metric_fills_no_accuracy():
    section = score([OUTPUTS], COUNT, model(metric=get_metric("f1")))
    assert (section.metric, section.score, section.accuracy, section.mcnemar_p) == ("f1", 1.0, None, None)


def test_a_regression_has_its_unit_and_direction():
    answers = np.linspace(0, 1, COUNT, dtype=np.float32)[:, None]
    metric = get_metric("mean_absolute_error", unit="K")
    section = score([answers], COUNT, model(metric=metric, labels=answers + 0.5, float_answers=answers + 0.25))
    assert (section.metric_unit, section.metric_direction) == ("K", "lower")
    assert (section.metric_title, section.metric_settings) == ("mean absolute error", {"unit": "K"})
    assert section.score == pytest.approx(0.5) and section.score_delta == pytest.approx(0.25)
    assert section.score_p < 0.001 and section.only_cell_right is None


@pytest.mark.parametrize("without", [{"metric": None}, {"labels": None}])
def test_without_a_metric_or_labels_there_is_no_score(without):
    assert score([OUTPUTS], COUNT, model(**without)) == Score()


def test_without_a_float_model_there_is_no_difference():
    section = score([OUTPUTS], COUNT, model(float_answers=None))
    assert section.score == 1.0
    assert (section.score_delta, section.score_p, section.score_baseline) == (None, None, None)


def test_fewer_samples_are_a_prefix():
    wrong = OUTPUTS.copy()
    wrong[20:] = np.roll(wrong[20:], 1, axis=1)
    assert score([wrong], 20, model()).score == 1.0
    assert score([wrong], COUNT, model()).score == 0.5 and len(LABELS) == COUNT
