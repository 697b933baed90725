"""Samples for a model with several inputs: an .npz with one array per input, called like it, and labels as `y`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.core.tensor import TensorIo
from harness.tflite.graph import Graph
from harness.workloads.archive import Archive
from harness.workloads.checks.outputs import model_outputs
from harness.workloads.digest import cached_digest
from harness.workloads.metrics.base import Ends, Metric
from harness.workloads.npz import check_finite, check_kind, file_digest
from harness.workloads.outputs import OutputMetric, label_keys
from harness.workloads.prepare import fitting_shape, quantize_samples
from harness.workloads.user_metric import Judged, ends_for, judged_outputs

LABELS = "y"
#: what converters put around the name that an input had
_PREFIX, _SUFFIX = "serving_default_", ":0"


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedSamples:
    """Samples of every input, in the model's order.

    Attributes:
        values: one array per input, [N, ...], in the input's own type.
        judged: what the model's outputs are judged by.
        labels: of each judged output, by its position, [N, ...] as its metric takes them.
        digest: of the arrays that were read.
    """

    values: tuple[np.ndarray, ...]
    judged: Judged
    labels: dict[int, np.ndarray]
    digest: str

    @property
    def count(self) -> int:
        return len(self.values[0])


def read_named_samples(path: Path, graph: Graph, inputs: Sequence[TensorIo], metric_name: str | None) -> NamedSamples:
    """Reads and converts the samples of a model with several inputs.

    Args:
        path: the .npz. An array may be called as the input is, or without what a converter put around the name
            (`serving_default_NAME:0`).
        inputs: the model's, in its order.
        metric_name: what `--metric` says; None: what outputs and labels ask for.

    Raises:
        UserInputError: an array is missing or does not fit, counts differ, or a metric without labels.
    """
    with Archive(path) as archive:
        keys = [_key_of(tensor, archive.keys, inputs, path) for tensor in inputs]
        for key in keys:
            header = archive.header(key)
            check_kind(header.shape, header.dtype, path=path, key=key)
        outputs = model_outputs(graph)
        places = label_keys([key for key in archive.keys if key not in keys], LABELS, outputs, str(path))
        arrays = {key: archive.read(key) for key in (*keys, *places.values())}
    counts = {key: len(array) if array.ndim else 0 for key, array in arrays.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"'{key}' {count}" for key, count in counts.items())
        raise UserInputError(f"the arrays hold different numbers of samples: {told}", where=str(path))
    values = tuple(_converted(arrays[key], key, tensor, path) for key, tensor in zip(keys, inputs, strict=True))
    judged = judged_outputs(path, outputs, metric_name, LABELS, list(places.values()), arrays.__getitem__)
    main = OutputMetric(output=judged.output, name="", metric=judged.metric)
    labels = {
        one.output: _labels(
            one.metric, arrays[places[one.output]], ends_for(outputs[one.output], path, places[one.output])
        )
        for one in (main, *judged.further)
        if one.metric is not None
    }
    digest = cached_digest(path, f"named {sorted(arrays)}", lambda: file_digest(path, sorted(arrays)))
    return NamedSamples(values=values, judged=judged, labels=labels, digest=digest)


def _labels(metric: Metric, labels: np.ndarray, ends: Ends) -> np.ndarray:
    if metric.reads_inputs:
        raise UserInputError(
            f"the metric '{metric.name}' compares an output with the model's one input, and this model has several",
            where=ends.where,
        )
    return metric.checked(labels, ends)


def short_name(name: str) -> str:
    """An input's name without what converters put around it."""
    return name.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def _key_of(tensor: TensorIo, keys: Sequence[str], inputs: Sequence[TensorIo], path: Path) -> str:
    if tensor.name in keys:
        return tensor.name
    short = short_name(tensor.name)
    if short in keys and sum(short_name(other.name) == short for other in inputs) == 1:
        return short
    wanted = ", ".join(f"'{short_name(other.name)}'" for other in inputs)
    raise UserInputError(
        f"has no array for the model's input '{tensor.name}'; found the keys: {', '.join(keys) or 'none'}",
        where=str(path),
        hint=f"a model with several inputs takes one array per input, called like it: {wanted}, and labels as '{LABELS}'",
    )


def _converted(x: np.ndarray, key: str, io: TensorIo, path: Path) -> np.ndarray:
    """[N, ...] in the input's type: whole numbers for an input of numbers as they are, anything else by its quantization."""
    check_finite(x, path=path, key=key, first=0)
    try:
        shaped = x.reshape(fitting_shape(x.shape, io))
        if x.dtype == io.dtype:
            return shaped
        if io.dtype in ("int32", "int64", "bool") or not io.scale and io.dtype in ("int8", "uint8", "int16"):
            whole = shaped.astype(io.dtype)
            if not np.array_equal(whole, shaped):
                raise UserInputError(f"values of {x.dtype} that {io.dtype} cannot hold")
            return whole
        return quantize_samples(shaped.astype(np.float32), io)
    except UserInputError as error:
        what = f"array '{key}' does not fit the input '{io.name}': {error.what}"
        raise UserInputError(what, where=str(path), hint=error.hint) from error
