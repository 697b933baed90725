"""What a model of the user's own is judged by: the metric that was named, or the one that its output and labels ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.base import METRIC_OF_TASK
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.metrics.classes import is_whole
from harness.workloads.metrics.registry import described, get_metric
from harness.workloads.npz import npz_keys, read_arrays

if TYPE_CHECKING:
    from harness.workloads.user import ModelEnds


def chosen_metric(data: Path, ends: ModelEnds, name: str | None) -> Metric | None:
    """The metric of that name, or the one that labels and output ask for; None without labels.

    Raises:
        UserInputError: no samples, an unknown metric, or one that takes no such labels or output.
    """
    keys = npz_keys(data)
    if "x_test" not in keys and "x" not in keys:
        found = ", ".join(keys) or "none"
        raise UserInputError(
            f"has neither 'x_test' nor 'x'; found the keys: {found}",
            where=str(data),
            hint="name the arrays x_train, y_train, x_test, y_test, or x and y",
        )
    key = "y_test" if "x_test" in keys else "y"
    if key not in keys:
        if name is not None:
            raise UserInputError(f"the metric '{name}' needs labels, and there is no array '{key}'", where=str(data))
        return None
    return metric_for(read_arrays(data, [key])[key], ends, name, data, key)


def metric_for(labels: np.ndarray, ends: ModelEnds, name: str | None, data: Path, key: str) -> Metric:
    """The metric of that name, or the one that these labels and the output ask for.

    Args:
        labels: as they stand in `data` under `key`.

    Raises:
        UserInputError: an unknown metric, or one that takes no such labels or output.
    """
    if len(labels.shape) == 0 or labels.size == 0:
        raise UserInputError(f"array '{key}' is empty", where=str(data), hint="leave it out when there are no labels")
    metric = get_metric(name if name is not None else _usual_metric(labels, ends))
    metric.checked(labels, ends_for(ends, data, key))
    return metric


def _usual_metric(labels: np.ndarray, ends: ModelEnds) -> str:
    """What a model of this output is judged by with such labels.

    Numbers to be met (floats, as many per sample as the model gives) ask for the mean absolute error, class numbers for accuracy.
    A model with one output that is no probability is never a classifier.
    """
    floats = labels.dtype.kind == "f"
    fractions = floats and not is_whole(labels)
    width = labels[0].size
    if ends.numbers:
        return "class_number"
    if ends.output_units == 1:
        return "mean_absolute_error" if fractions or (floats and ends.from_logits) else "binary"
    return "mean_absolute_error" if fractions and ends.output_units in (None, width) else "top1"


def ends_for(ends: ModelEnds, data: Path, key: str) -> Ends:
    """The model's output and the place of the labels, as metrics ask for them."""
    return Ends(
        units=ends.output_units,
        places=ends.places,
        squashed=not ends.from_logits,
        numbers=ends.numbers,
        where=str(data),
        key=key,
    )


def data_words(metric: Metric | None) -> Any:
    """The metric in the digest of the data. The names are those of tasks where a task means the metric, as digests always had."""
    if metric is None:
        return "none"
    task = next((task for task, name in METRIC_OF_TASK.items() if name == metric.name), None)
    return task or described(metric)
