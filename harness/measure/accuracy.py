"""Accuracy on the device: share of right answers with a Wilson interval, paired with the float model's by McNemar.

A difference of two accuracies on the same samples is judged by the samples on which the two models disagree (McNemar
1947, exact binomial form), not by two separate intervals: pairing sees changes an order of magnitude smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.errors import UserInputError
from harness.workloads.base import Task


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of right answers on `samples` samples with its 95 % Wilson interval (Wilson 1927)."""

    samples: int
    right: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Paired:
    """This cell against the float model on the same samples.

    `delta` is cell minus float. `p` is the exact two-sided McNemar p-value; 1.0 when the two never disagree.
    """

    delta: float
    only_float_right: int
    only_cell_right: int
    p: float


def answers(outputs: np.ndarray, task: Task, *, scale: float = 0.0, zero_point: int = 0) -> np.ndarray:
    """The class each sample is given.

    Args:
        outputs: [N, classes] for multiclass, [N, 1] or [N] for binary, in the model's output dtype.
        task: `multiclass` takes the largest output (the first of equals), `binary` compares the probability with .5.
        scale, zero_point: of a quantized output; scale 0 means real values.

    Returns:
        int64 [N].
    """
    flat = outputs.reshape(len(outputs), -1)
    if task == "binary" and flat.shape[1] == 1:
        real = (flat[:, 0].astype(np.float64) - zero_point) * scale if scale else flat[:, 0].astype(np.float64)
        return (real >= 0.5).astype(np.int64)
    # NaN would win argmax; an output that is NaN is an answer nobody gave, and never a right one.
    best = np.argmax(flat, axis=1).astype(np.int64)
    if np.issubdtype(flat.dtype, np.floating):
        best[np.isnan(flat).any(axis=1)] = -1
    return best


def accuracy(right: np.ndarray) -> Accuracy:
    """Accuracy of a boolean array [N] of right answers, N >= 1."""
    from scipy.stats import binomtest

    if right.size == 0:
        raise UserInputError("accuracy needs at least one sample")
    count, total = int(right.sum()), int(right.size)
    interval = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
    return Accuracy(samples=total, right=count, value=count / total, low=float(interval.low), high=float(interval.high))


def paired(cell_right: np.ndarray, float_right: np.ndarray) -> Paired:
    """The paired difference of two boolean arrays [N] over the same sample ids in the same order."""
    from scipy.stats import binomtest

    if cell_right.shape != float_right.shape:
        raise ValueError(f"paired answers differ in number: {cell_right.shape} and {float_right.shape}")
    only_float = int((float_right & ~cell_right).sum())
    only_cell = int((cell_right & ~float_right).sum())
    discordant = only_float + only_cell
    p = float(binomtest(only_cell, discordant, 0.5).pvalue) if discordant else 1.0
    delta = (only_cell - only_float) / cell_right.size
    return Paired(delta=delta, only_float_right=only_float, only_cell_right=only_cell, p=p)
