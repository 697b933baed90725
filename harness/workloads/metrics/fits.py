"""Which metrics can judge a model's output by some labels, and which one they ask for."""

from __future__ import annotations

import numpy as np

from harness.core.errors import UserInputError
from harness.tflite.post_process import POST_PROCESS
from harness.workloads.metrics.base import Ends, Fit
from harness.workloads.metrics.classes import is_whole
from harness.workloads.metrics.registry import get_metric, metric_names


def usual_metric(labels: np.ndarray, ends: Ends) -> str:
    """The name of what a model of this output is judged by with such labels; whether it can be is asked of the metric (`fit`).

    Numbers to be met (floats, as many per sample as the model gives) ask for the mean absolute error, class numbers for accuracy,
    of maps for IoU. Labels 0 and 1 of a model that gives its input back say what is an anomaly; a row of them with none or
    several 1 says what a sample shows. A model with one output that is no probability is never a classifier.
    """
    special = _by_shape(labels, ends)
    if special is not None:
        return special
    floats = labels.dtype.kind == "f"
    fractions = floats and not is_whole(labels)
    width = labels[0].size
    if ends.numbers:
        return "class_number"
    if ends.units == 1:
        return "mean_absolute_error" if fractions or (floats and not ends.squashed) else "binary"
    return "mean_absolute_error" if fractions and ends.units in (None, width) else "top1"


def _by_shape(labels: np.ndarray, ends: Ends) -> str | None:
    """What the shapes of labels and output say for themselves; None where they leave it open."""
    if ends.made_by == POST_PROCESS:
        return "detection_map"
    whole = labels.dtype.kind in "uib" or labels.dtype.kind == "f" and is_whole(labels)
    if not whole:
        return None
    per_sample = labels[0].size
    is_map = ends.places is not None and ends.places > 1 and (labels.ndim > 2 or ends.places == per_sample)
    # A description of a model may leave the sizes of a map open.
    is_map = is_map or (ends.places is None and ends.shape is not None and 2 < len(ends.shape) <= labels.ndim)
    if per_sample > 1 and is_map and (ends.numbers or ends.units != 1):
        return "class_map_iou" if ends.numbers else "mean_iou"
    zero_or_one = bool(np.isin(labels, (0, 1)).all())
    if per_sample == 1 and zero_or_one and _gives_input_back(ends):
        return "autoencoder_auc"
    several = labels.ndim == 2 and per_sample > 1 and zero_or_one and bool((labels.sum(axis=1) != 1).any())
    return "multilabel_f1_macro" if several and ends.squashed_by == "sigmoid" else None


def _gives_input_back(ends: Ends) -> bool:
    """Whether the output has the input's size, and is more than the scores of two classes."""
    shape = ends.input_shape
    if shape is None or -1 in shape or ends.values is None or ends.numbers or ends.squashed_by == "softmax":
        return False
    return ends.values == np.prod(shape, dtype=np.int64) and ends.values > 2


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
