"""What a cell's outputs say about the question: answers that guessing reaches, labels numbered otherwise, a model's own NaN.

Pure, and beside the outcome: the number stays, with an `error` finding that keeps it out of every answer. The rows of
`harness.workloads.checks.table` that are known only after the run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.measure.chance import at_chance, no_better_than_constant, renumbered
from harness.measure.finite import own_not_finite
from harness.measure.judged import reference_values
from harness.measure.scoring import answers_of
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord
from harness.workloads.checks.table import misread


def note_question(record: CellRecord, outputs: Sequence[np.ndarray], count: int, model: PreparedModel) -> None:
    """Adds the findings of a cell that ran to its end. The score of outputs that are `wrong` is no answer anyway.

    Args:
        outputs: one array per model output, [count, ...], of the first `count` samples.
    """
    _note_not_finite(record, outputs, count, model)
    if record.outcome != "wrong" and model.labels is not None and model.metric is not None:
        _note_score(record, [values[:count] for values in outputs], model.labels[:count], model)


def _note_score(record: CellRecord, outputs: Sequence[np.ndarray], labels: np.ndarray, model: PreparedModel) -> None:
    metric = model.metric
    assert metric is not None
    if not metric.classes and metric.name != "mean_absolute_error":
        return
    answers = answers_of(metric, outputs, model.artifact.outputs, model.output)
    if not metric.classes:
        if metric.name == "mean_absolute_error" and (words := no_better_than_constant(answers, labels)) is not None:
            record.findings.append(misread("score-at-chance", record.key.text, words))
        return
    other = renumbered(answers, labels)
    if other is not None:
        words = (
            f"{other.renumbered_right:,} of {other.samples:,} answers are right if {other.words}, "
            f"and {other.right:,} as the labels are"
        )
        record.findings.append(misread("labels-renumbered", record.key.text, words))
    elif (words := at_chance(answers, labels)) is not None:
        record.findings.append(misread("score-at-chance", record.key.text, words + _float_words(labels, model)))


def _float_words(labels: np.ndarray, model: PreparedModel) -> str:
    """Whether the float model does better on the same samples: then it is the quantization that lost everything."""
    if model.float_answers is None:
        return ""
    answers = model.float_answers[: len(labels)]
    right = int((answers == labels).sum())
    words = f"; the float model is right on {right:,}"
    return f"{words}, so this variant lost it" if at_chance(answers, labels) is None else f"{words}, no better either"


def _note_not_finite(record: CellRecord, outputs: Sequence[np.ndarray], count: int, model: PreparedModel) -> None:
    """`model-not-finite`, by the reference's outputs; without a reference nobody can tell whose it is."""
    if model.reference is None:
        return
    shared = min(count, len(model.reference.outputs[0]))
    bad = own_not_finite([values[:shared] for values in reference_values(model, model.reference)])
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        number = int(model.sample_ids[first]) if model.sample_ids is not None else first
        words = (
            f"the model itself gives NaN or infinity on {int(bad.sum()):,} of {shared:,} samples, first on test sample {number}: "
            f"{model.reference.identity} gives it too"
        )
        record.findings.append(misread("model-not-finite", record.key.text, words))
