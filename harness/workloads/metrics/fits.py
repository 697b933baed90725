"""Which metrics can judge a model's output by some labels, and which one they ask for."""

from __future__ import annotations

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends, Fit
from harness.workloads.metrics.classes import is_whole
from harness.workloads.metrics.registry import get_metric, metric_names


def usual_metric(labels: np.ndarray, ends: Ends) -> str:
    """The name of what a model of this output is judged by with such labels; whether it can be is asked of the metric (`fit`).

    Numbers to be met (floats, as many per sample as the model gives) ask for the mean absolute error, class numbers for accuracy.
    A model with one output that is no probability is never a classifier.
    """
    floats = labels.dtype.kind == "f"
    fractions = floats and not is_whole(labels)
    width = labels[0].size
    if ends.numbers:
        return "class_number"
    if ends.units == 1:
        return "mean_absolute_error" if fractions or (floats and not ends.squashed) else "binary"
    return "mean_absolute_error" if fractions and ends.units in (None, width) else "top1"


def fits(labels: np.ndarray, ends: Ends) -> list[Fit]:
    """What every metric says of these labels and this output: the usual one first, then those that fit, then the others.

    A metric of another package that cannot be loaded does not fit, and says why.

    Args:
        labels: [N, ...] as they stand in the user's file, N >= 1.
    """
    usual = usual_metric(labels, ends)
    found = [_fit(name, labels, ends) for name in metric_names()]
    return sorted(found, key=lambda fit: (not fit.fits, fit.metric != usual, fit.metric))


def _fit(name: str, labels: np.ndarray, ends: Ends) -> Fit:
    try:
        return get_metric(name).fit(labels, ends)
    except UserInputError as error:
        return Fit(metric=name, fits=False, reason=error.what)


def fitting_words(labels: np.ndarray, ends: Ends) -> str:
    """The names of the metrics that fit, for a hint; empty where none does."""
    return ", ".join(fit.metric for fit in fits(labels, ends) if fit.fits)
