"""What a pair of a model and a runtime is judged by: the rule of harness/measure/rule.py, and the one before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.wrong.output_step import rounding_steps
from benchmarks.wrong.subject import Subject
from harness.measure.rule import Judgement, rms
from harness.measure.twins import TwinAnswers, judge_outputs

#: the rule before: 99 % of an integer model's outputs within one step; others by normalised RMSE and agreement
_SHARE, _NRMSE, _AGREEMENT = 0.99, 0.05, 0.97
#: what counts as harm: top-1 changes on more samples than this; without classes, an error of this share of the outputs
_HARM_CLASSES, _HARM_NRMSE = 0.02, 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class References:
    """What a subject's outputs are held against."""

    answers: TwinAnswers
    #: outputs of an integer runtime's reference kernels, as stored, which the old rule trusted; None where none ran
    old: list[np.ndarray] | None


def new_rule(subject: Subject, outputs: list[np.ndarray], references: References) -> Judgement:
    return judge_outputs(subject.graph, outputs, references.answers, classes=subject.classes)


def old_rule(subject: Subject, outputs: list[np.ndarray], references: References) -> bool:
    """Would these outputs have been called wrong?"""
    if references.old is None:
        return False
    mine, theirs = subject.real(outputs), subject.real(references.old)
    if subject.is_integer and all(subject.steps):
        off = [
            (np.abs(a - b) / step > bound + 0.01).ravel()
            for a, b, step, bound in zip(mine, theirs, subject.steps, rounding_steps(subject.graph), strict=True)
        ]
        return bool(np.concatenate(off).mean() > 1 - _SHARE)
    ours, reference = (np.concatenate([np.asarray(v, np.float64).ravel() for v in values]) for values in (mine, theirs))
    if not np.isfinite(ours).all() or rms(ours - reference) > _NRMSE * max(rms(reference), 1e-6):
        return True
    classes = subject.classes[0]
    return classes is not None and float((classes(mine[0]) == classes(theirs[0])).mean()) < _AGREEMENT


def harmful(subject: Subject, clean: list[np.ndarray], outputs: list[np.ndarray]) -> bool:
    """Does a defect change what a user would see? Real values, of the first output."""
    classes = subject.classes[0]
    if classes is not None:
        return bool((classes(clean[0]) != classes(outputs[0])).mean() > _HARM_CLASSES)
    return rms(outputs[0] - clean[0]) > _HARM_NRMSE * max(rms(clean[0]), 1e-9)
