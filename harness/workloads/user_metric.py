"""What a model of the user's own is judged by: the metrics that were named, or those that its outputs and labels ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.base import METRIC_OF_TASK
from harness.workloads.input_keys import input_keys
from harness.workloads.input_names import ModelInput
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.metrics.fits import fitting_words, usual_metric
from harness.workloads.metrics.registry import described, get_metric
from harness.workloads.npz import npz_keys, read_arrays
from harness.workloads.outputs import (
    NONE,
    OutputMetric,
    asked_metrics,
    label_keys,
    output_name,
    position_of,
    unlabelled,
)
from harness.workloads.sources.imported import class_names, told_of_source


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What of a model is judged.

    Attributes:
        metric: of the main output, the first that has labels; None where none has.
        output: its position.
        further: the other outputs that have labels.
        left_out: positions of outputs that nothing is to be said of.
    """

    metric: Metric | None = None
    output: int = 0
    further: tuple[OutputMetric, ...] = ()
    left_out: tuple[int, ...] = ()


def chosen_metrics(data: Path, outputs: Sequence[Ends], asked: str | None, inputs: Sequence[ModelInput] = ()) -> Judged:
    """What a file's labels and a model's outputs are judged by.

    Args:
        asked: what `--metric` says; None: what labels and outputs ask for.
        inputs: those of a model with several.

    Raises:
        UserInputError: no samples, an unknown metric or output, or a metric that takes no such labels or output.
    """
    keys = npz_keys(data)
    samples = input_keys(keys, inputs, str(data))
    if samples.test not in samples.parts:
        found = ", ".join(keys) or "none"
        raise UserInputError(
            f"has neither 'x_test' nor 'x'; found the keys: {found}",
            where=str(data),
            hint="name the arrays x_train, y_train, x_test, y_test, or x and y",
        )
    with told_of_source(data):
        judged = judged_outputs(
            data, outputs, asked, samples.labels, samples.others, lambda key: read_arrays(data, [key])[key]
        )
    for metric in (judged.metric, *(one.metric for one in judged.further)):
        if inputs and metric is not None and metric.reads_inputs:
            raise UserInputError(
                f"the metric '{metric.name}' compares an output with the model's one input, and this model has several",
                where=str(data),
            )
    return judged


def judged_outputs(
    data: Path,
    outputs: Sequence[Ends],
    asked: str | None,
    base: str,
    keys: Sequence[str],
    read: Callable[[str], np.ndarray],
) -> Judged:
    """The same of labels whose arrays are read by `read`.

    Args:
        base: what the labels' arrays are called: `y_test`, or `y`.
        keys: the arrays of the file.
    """
    wanted = asked_metrics(asked)
    places = label_keys(keys, base, outputs, str(data))
    plain = next((one.metric for one in wanted if one.output is None), None)
    if not places and plain not in (None, NONE):
        raise UserInputError(f"the metric '{plain}' needs labels, and there is no array '{base}'", where=str(data))
    unlabelled(wanted, list(places), outputs, data, base)
    named = {position_of(outputs, one.output): one.metric for one in wanted if one.output is not None}
    if plain is not None:
        # A metric without the name of an output is that of the first one with labels that has none of its own.
        free = [position for position in places if position not in named]
        if free:
            named[free[0]] = plain
        elif plain != NONE:
            what = f"the metric '{plain}' is no output's: each with labels has one of its own, or is left out"
            raise UserInputError(what, where=str(data), hint="leave it out, or name its output")
    found = []
    for position, key in places.items():
        name = named.get(position)
        if name == NONE:
            continue
        metric = metric_for(read(key), outputs[position], name, data, key)
        found.append(OutputMetric(output=position, name=output_name(outputs, position), metric=metric))
    left_out = tuple(position for position, name in named.items() if name == NONE)
    if not found:
        return Judged(left_out=left_out)
    return Judged(metric=found[0].metric, output=found[0].output, further=tuple(found[1:]), left_out=left_out)


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
    return metric.fitted(here)


def ends_for(ends: Ends, data: Path, key: str) -> Ends:
    """The model's output and the place of the labels, as metrics ask for them."""
    return replace(ends, where=str(data), key=key, class_names=class_names(data))


def data_words(metric: Metric | None) -> Any:
    """The metric in the digest of the data. The names are those of tasks where a task means the metric, as digests always had."""
    if metric is None:
        return "none"
    task = next((task for task, name in METRIC_OF_TASK.items() if name == metric.name), None)
    return task or described(metric)
