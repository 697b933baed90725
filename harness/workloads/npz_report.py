"""What is in an .npz of samples, in words, and whether it is one of the published datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.datasets import PUBLISHED, read_published
from harness.workloads.digest import arrays_digest
from harness.workloads.metrics.classes import is_whole
from harness.workloads.npz import check_labels, check_samples, npz_keys, read_arrays

_PAIRS = (("x_train", "y_train"), ("x_test", "y_test"), ("x", "y"))


def describe_npz(path: Path) -> list[str]:
    """Reads and checks every array that the harness would use; returns lines for a reader.

    Raises:
        UserInputError: naming file, key and what was expected.
    """
    keys = npz_keys(path)
    if "x_test" not in keys and "x" not in keys:
        raise UserInputError(
            f"has neither 'x_test' nor 'x'; found the keys: {', '.join(keys) or 'none'}",
            where=str(path),
            hint="name the arrays x_train, y_train, x_test, y_test, or x and y",
        )
    used = [key for pair in _PAIRS for key in pair if key in keys]
    arrays = read_arrays(path, used)
    lines = []
    for x_key, y_key in _PAIRS:
        if x_key in arrays:
            x = arrays[x_key]
            check_samples(x, path=path, key=x_key)
            lines.append(f"{x_key:<8} {x.dtype} {list(x.shape)}, values {x.min():g} to {x.max():g}")
        if y_key in arrays:
            if x_key not in arrays:
                raise UserInputError(f"has '{y_key}' without '{x_key}'", where=str(path))
            y = arrays[y_key]
            lines.append(f"{y_key:<8} {y.dtype} {list(y.shape)}, {_labels(y, len(arrays[x_key]), path, y_key)}")
    unused = [key for key in keys if key not in used]
    if unused:
        lines.append(f"beside   {', '.join(unused)}")
    lines.append(f"layout   {_layout(path, arrays)}")
    lines.append(f"digest   {arrays_digest(arrays)}")
    return lines


def _labels(y: np.ndarray, count: int, path: Path, key: str) -> str:
    """What labels are: numbers to be met where they have fractions, else class numbers."""
    if y.dtype.kind == "f" and y.size and np.isfinite(y).all() and not is_whole(y):
        if len(y) != count:
            raise UserInputError(f"array '{key}' has {len(y)} labels for {count} samples", where=str(path))
        return f"numbers {y.min():g} to {y.max():g}"
    values, counts = np.unique(check_labels(y, count=count, path=path, key=key), return_counts=True)
    return f"{len(values)} classes {values[0]}..{values[-1]}, {counts.min():,} to {counts.max():,} samples each"


def _layout(path: Path, arrays: dict[str, np.ndarray]) -> str:
    for dataset in PUBLISHED.values():
        if "x_test" in arrays and arrays["x_test"].shape[1:] == dataset.sample_shape:
            try:
                read_published(path, dataset)
            except UserInputError as error:
                return f"samples for a model of your own (not usable as {dataset.title}: {error.what})"
            return f"that of {dataset.title}: usable as {dataset.name}.npz in --data-dir, or for a model of your own"
    return "samples for a model of your own"
