"""What metrics of numbers share: which labels and outputs they take."""

from __future__ import annotations

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.metrics.base import Ends


def number_rows(labels: np.ndarray, ends: Ends) -> np.ndarray:
    """Labels that are numbers to be met, float32 [N, K].

    Raises:
        UserInputError: other labels, or not as many per sample as the model gives.
    """
    if labels.dtype.kind not in "uifb":
        what = f"array '{ends.key}' has dtype {labels.dtype}, expected numbers"
        raise UserInputError(what, where=ends.where)
    if labels.ndim == 0 or labels.size == 0:
        raise UserInputError(f"array '{ends.key}' is empty", where=ends.where)
    rows = labels.reshape(len(labels), -1).astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise UserInputError(
            f"array '{ends.key}' has NaN or infinite values in {len(bad)} of {len(rows)} labels, first in label {bad[0]}",
            where=ends.where,
        )
    expected = ends.values
    if expected is None and labels.ndim <= 2:
        expected = ends.units
    if expected is not None and rows.shape[1] != expected:
        raise UserInputError(
            f"array '{ends.key}' has {rows.shape[1]} numbers per sample, the model gives {expected}",
            where=ends.where,
        )
    return rows


def output_rows(outputs: np.ndarray) -> np.ndarray:
    """Outputs as rows of numbers, float32 [N, K]."""
    return outputs.reshape(len(outputs), -1).astype(np.float32)


def same_shape(answers: np.ndarray, labels: np.ndarray) -> None:
    """Raises ValueError when answers and labels have different numbers of values per sample."""
    if answers.shape != labels.shape:
        raise ValueError(f"answers of shape {list(answers.shape)} for labels of shape {list(labels.shape)}")
