"""A cell's score by its workload's metric, with the paired difference to the float model on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from harness.core.tensor import TensorIo
from harness.prepare.prepared import PreparedModel
from harness.results.sections import Score


def real_values(output: np.ndarray, io: TensorIo) -> np.ndarray:
    """An output as real numbers, float64 of the same shape: a quantized one by r = S (q - Z)."""
    values = output.astype(np.float64)
    return (values - io.zero_point) * io.scale if io.scale else values


def score(outputs: Sequence[np.ndarray], count: int, model: PreparedModel) -> Score:
    """The section of a record that says how good outputs are. Without a metric or labels nothing is in it.

    Args:
        outputs: one array per model output, [N, ...] with N >= count, of the model's first samples; the first one is judged.
        count: how many samples count.
    """
    metric = model.metric
    if metric is None or model.labels is None:
        return Score()
    labels = model.labels[:count]
    answers = metric.answers(real_values(outputs[0][:count], model.artifact.outputs[0]))
    scored = metric.score(answers, labels)
    section = Score(
        metric=metric.name,
        metric_title=metric.title,
        metric_unit=metric.unit,
        metric_direction=metric.direction,
        metric_settings=asdict(metric),
        score=scored.value,
        score_low=scored.low,
        score_high=scored.high,
    )
    if model.float_answers is not None:
        paired = metric.paired(answers, model.float_answers[:count], labels)
        section.score_delta, section.score_p, section.score_test = paired.delta, paired.p, paired.test
        section.score_baseline = model.float_identity
        section.only_float_right, section.only_cell_right = paired.only_baseline_right, paired.only_cell_right
    if metric.accuracy:
        section.accuracy, section.accuracy_low, section.accuracy_high = (
            section.score,
            section.score_low,
            section.score_high,
        )
        section.accuracy_delta, section.mcnemar_p = section.score_delta, section.score_p
    return section
