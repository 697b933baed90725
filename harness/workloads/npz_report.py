"""What is in an .npz of samples, in words, and whether it is one of the published datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.archive import Archive, ArrayHeader
from harness.workloads.datasets import PUBLISHED, read_published
from harness.workloads.input_keys import InputKeys, input_keys
from harness.workloads.input_names import ModelInput
from harness.workloads.metrics.classes import is_whole
from harness.workloads.npz import check_finite, check_kind, check_labels, file_digest, npz_keys
from harness.workloads.outputs import is_further

_PAIRS = (("x_train", "y_train"), ("x_test", "y_test"), ("x", "y"))


def describe_npz(path: Path, inputs: Sequence[ModelInput] = ()) -> list[str]:
    """Reads and checks every array that the harness would use; returns lines for a reader.

    Args:
        inputs: those of a model with several, for which the samples are.

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    keys = npz_keys(path)
    if inputs:
        return _several_lines(path, input_keys(keys, inputs, str(path)))
    if "x_test" not in keys and "x" not in keys:
        raise UserInputError(
            f"has neither 'x_test' nor 'x'; found the keys: {', '.join(keys) or 'none'}",
            where=str(path),
            hint="name the arrays x_train, y_train, x_test, y_test, or x and y; with --model also one per input",
        )
    used = [key for pair in _PAIRS for key in pair if key in keys]
    further = [key for key in keys if key.startswith(("y_test_", "y_train_")) or (key.startswith("y_") and "x" in keys)]
    further = [key for key in further if key not in used]
    lines = []
    with Archive(path) as archive:
        headers = {key: archive.header(key) for key in used}
        for x_key, y_key in _PAIRS:
            if x_key in headers:
                lines.append(_samples_line(archive, headers[x_key]))
            if y_key in headers:
                if x_key not in headers:
                    raise UserInputError(f"has '{y_key}' without '{x_key}'", where=str(path))
                lines.append(_labels_line(archive, headers[y_key], headers[x_key].shape[0]))
        for key in further:
            base = next((x for x, y in _PAIRS if key.startswith(f"{y}_") and x in headers), None)
            if base is not None:
                lines.append(_labels_line(archive, archive.header(key), headers[base].shape[0]))
                used.append(key)
    unused = [*(key for key in keys if key not in used), *(f"{name} (no array)" for name in archive.others)]
    if unused:
        lines.append(f"beside   {', '.join(unused)}")
    lines.append(f"layout   {_layout(path, headers)}")
    lines.append(f"digest   {file_digest(path, used)}")
    return lines


def _several_lines(path: Path, found: InputKeys) -> list[str]:
    """The same of a model with several inputs."""
    lines: list[str] = []
    used: list[str] = []
    with Archive(path) as archive:
        for part, arrays in found.parts.items():
            headers = [archive.header(key) for key in arrays.values()]
            lines += [_samples_line(archive, header, kinds="uifb", axes=1) for header in headers]
            used += arrays.values()
            labels = part.replace("x", "y", 1)
            for key in found.others:
                if key == labels or is_further(key, labels):
                    lines.append(_labels_line(archive, archive.header(key), headers[0].shape[0]))
                    used.append(key)
    unused = [key for key in found.others if key not in used]
    if unused:
        lines.append(f"beside   {', '.join(unused)}")
    return [*lines, f"digest   {file_digest(path, used)}"]


def _samples_line(archive: Archive, header: ArrayHeader, *, kinds: str = "uif", axes: int = 2) -> str:
    """Type, shape and range of samples, after a look at every value."""
    check_kind(header.shape, header.dtype, path=archive.path, key=header.key, kinds=kinds, axes=axes)
    blocks = iter([archive.read(header.key)]) if header.in_fortran_order else archive.blocks(header.key)
    low, high, first = math.inf, -math.inf, 0
    for block in blocks:
        check_finite(block, path=archive.path, key=header.key, first=first)
        low, high, first = min(low, block.min()), max(high, block.max()), first + len(block)
    return f"{header.key:<8} {header.dtype} {list(header.shape)}, values {low:g} to {high:g}"


def _labels_line(archive: Archive, header: ArrayHeader, count: int) -> str:
    words = _labels(archive.read(header.key), count, archive.path, header.key)
    return f"{header.key:<8} {header.dtype} {list(header.shape)}, {words}"


def _labels(y: np.ndarray, count: int, path: Path, key: str) -> str:
    """What labels are: numbers to be met where they have fractions, else class numbers, by their shape of what."""
    if len(y) == count and (words := _other_kinds(y)) is not None:
        return words
    if y.dtype.kind == "f" and y.size and np.isfinite(y).all() and not is_whole(y):
        if len(y) != count:
            raise UserInputError(f"array '{key}' has {len(y)} labels for {count} samples", where=str(path))
        return f"numbers {y.min():g} to {y.max():g}"
    values, counts = np.unique(check_labels(y, count=count, path=path, key=key), return_counts=True)
    return f"{len(values)} classes {values[0]}..{values[-1]}, {counts.min():,} to {counts.max():,} samples each"


def _other_kinds(y: np.ndarray) -> str | None:
    """Labels that are no list of class numbers: boxes, maps, several labels per sample (docs/guides/metrics.md)."""
    if y.ndim < 2 or y.size == 0 or y.dtype.kind not in "uifb" or y[0].size == 1 or not np.isfinite(y).all():
        return None
    if y.ndim == 3 and y.shape[2] in (5, 6) and (y[..., 4] >= -1).all() and is_whole(y[..., 4]):
        there = y[..., 4] != -1
        classes = np.unique(y[..., 4][there])
        return f"{there.sum():,} boxes of {len(classes)} classes" if there.any() else "no box in any image"
    if not is_whole(y):
        return None
    if y.ndim > 2:
        return f"maps of classes {y.min():g}..{y.max():g}"
    if np.isin(y, (0, 1)).all():
        return f"0 and 1 for {y.shape[1]} labels, {y.sum(axis=1).mean():.2f} of them per sample"
    return f"whole numbers {y.min():g} to {y.max():g}"


def _layout(path: Path, headers: dict[str, ArrayHeader]) -> str:
    for dataset in PUBLISHED.values():
        if "x_test" in headers and headers["x_test"].shape[1:] == dataset.sample_shape:
            try:
                read_published(path, dataset)
            except UserInputError as error:
                return f"samples for a model of your own (not usable as {dataset.title}: {error.what})"
            return f"that of {dataset.title}: usable as {dataset.name}.npz in --data-dir, or for a model of your own"
    return "samples for a model of your own"
