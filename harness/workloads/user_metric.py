"""What a model of the user's own is judged by: the metric that was named, or the one that its output and labels ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.base import METRIC_OF_TASK
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.metrics.fits import fitting_words, usual_metric
from harness.workloads.metrics.registry import described, get_metric
from harness.workloads.npz import npz_keys, read_arrays


def chosen_metric(data: Path, ends: Ends, name: str | None) -> Metric | None:
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


def metric_for(labels: np.ndarray, ends: Ends, name: str | None, data: Path, key: str) -> Metric:
    """The metric of that name, or the one that these labels and the output ask for.

    Args:
        labels: as they stand in `data` under `key`.

    Raises:
        UserInputError: an unknown metric, or one that takes no such labels or output.
    """
    if len(labels.shape) == 0 or labels.size == 0:
        raise UserInputError(f"array '{key}' is empty", where=str(data), hint="leave it out when there are no labels")
    here = ends_for(ends, data, key)
    metric = get_metric(name if name is not None else usual_metric(labels, here))
    try:
        metric.checked(labels, here)
    except UserInputError as error:
        fitting = fitting_words(labels, here)
        if name is None or not fitting:
            raise
        hint = f"{error.hint}; " if error.hint else ""
        raise UserInputError(
            f"the metric '{name}' does not fit: {error.what}",
            where=error.where,
            hint=f"{hint}these labels and this output fit: {fitting}",
        ) from error
    return metric


def ends_for(ends: Ends, data: Path, key: str) -> Ends:
    """The model's output and the place of the labels, as metrics ask for them."""
    return replace(ends, where=str(data), key=key)


def data_words(metric: Metric | None) -> Any:
    """The metric in the digest of the data. The names are those of tasks where a task means the metric, as digests always had."""
    if metric is None:
        return "none"
    task = next((task for task, name in METRIC_OF_TASK.items() if name == metric.name), None)
    return task or described(metric)
