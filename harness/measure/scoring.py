"""A cell's score by its workload's metric, with the paired difference to the float model on the same samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.core.tensor import TensorIo
from harness.prepare.prepared import JudgedOutput, PreparedModel
from harness.results.objects import FURTHER, SINGLE
from harness.results.sections import OUTPUT_FIELDS, Score
from harness.workloads.metrics.base import Metric


def real_values(output: np.ndarray, io: TensorIo) -> np.ndarray:
    """An output as real numbers, float64 of the same shape: a quantized one by r = S (q - Z)."""
    values = output.astype(np.float64)
    return (values - io.zero_point) * io.scale if io.scale else values


def answers_of(metric: Metric, outputs: Sequence[np.ndarray], io: Sequence[TensorIo], output: int = 0) -> np.ndarray:
    """What a model answers, [N, ...], as a metric sees it.

    Args:
        outputs: one array per model output, [N, ...], as stored.
        io: the model's outputs.
        output: the one that is judged; a metric of all outputs sees all.
    """
    if metric.all_outputs:
        return metric.answers_of([real_values(values, one) for values, one in zip(outputs, io, strict=True)])
    return metric.answers(real_values(outputs[output], io[output]))


@dataclass(frozen=True, kw_only=True)
class StoredJudged:
    """One judged output of a stored model, whose arrays lie in the objects of labels and of float answers.

    Attributes:
        output: its position.
        name: empty for the only one.
        metric: as `registry.restored` takes it.
        array: what its labels, and its float answers, are called in their objects.
    """

    output: int
    name: str
    metric: Mapping[str, Any] | None
    array: str


def stored_judged(model: Mapping[str, Any]) -> list[StoredJudged]:
    """The judged outputs of a model as `harness.judge.stored` keeps it, the main one first."""
    main = StoredJudged(
        output=model.get("output", 0), name=model.get("output_name", ""), metric=model["metric"], array=SINGLE
    )
    further = zip(model.get("further", []), model.get("further_metrics", []), strict=True)
    return [
        main,
        *(
            StoredJudged(output=one["output"], name=one["name"], metric=metric, array=f"{FURTHER}{number}")
            for number, (one, metric) in enumerate(further)
        ),
    ]


def score(outputs: Sequence[np.ndarray], count: int, model: PreparedModel) -> Score:
    """The section of a record that says how good outputs are. Without a metric or labels nothing is in it.

    Args:
        outputs: one array per model output, [N, ...] with N >= count, of the model's first samples.
        count: how many samples count.
    """
    sections = [_score(one, outputs, count, model) for one in model.judged]
    if not sections:
        return Score()
    main = sections[0]
    if model.output_name:
        main.score_output = model.output_name
    if len(sections) > 1:
        main.output_scores = [
            {"output": one.name} | {name: getattr(section, name) for name in OUTPUT_FIELDS}
            for one, section in zip(model.judged, sections, strict=True)
        ]
    return main


def _score(judged: JudgedOutput, outputs: Sequence[np.ndarray], count: int, model: PreparedModel) -> Score:
    metric = judged.metric
    assert metric is not None and judged.labels is not None
    labels = judged.labels[:count]
    answers = answers_of(metric, [values[:count] for values in outputs], model.artifact.outputs, judged.output)
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
    if judged.float_answers is not None:
        paired = metric.paired(answers, judged.float_answers[:count], labels)
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
