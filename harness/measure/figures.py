"""How far a device's outputs are from the model's float twin, as numbers: nothing is judged here.

What `harness/measure/rule.py` decides by, of one output of a model. The numbers are enough to decide again by later bounds, so
that the arrays behind them need not be kept where there are many (every op of a model, one by one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.measure.finite import defined

Classes = Callable[[np.ndarray], np.ndarray]
"""From real-valued outputs [n, ...] to the class of each sample, int [n] or, for maps, [n, ...]."""


@dataclass(frozen=True, kw_only=True)
class OutputFigures:
    """One output of a model, in its own unit: D the device's, F the float twin's, C its companion's.

    Attributes:
        error: e, the RMS of D - F; infinite where D is not finite. None for an output of class numbers.
        bias: the RMS over outputs of the mean over samples of D - F.
        quantization_error: q, the RMS of F - C.
        spread: S, the RMS of F around its mean over the samples.
        step: u, the quantization step; None for float outputs.
        disagreement: share of answers in which D and F differ; None without classes.
        own_disagreement: the same of C and F: what rounding alone does.
        size: the RMS of F.
        values: how many there are, over all samples.
        not_finite: how many of D are no finite number where F is one.
        stands_still: D is the same for every sample.
        moves: the largest range that one value of F has over the samples.
        known_classes: how many classes F knows; None without classes.
        noise: N, what rounding may amount to; 0 until it is judged.
        noise_is: which of its terms that is, in words.
    """

    error: float | None
    bias: float | None
    quantization_error: float
    spread: float
    step: float | None
    disagreement: float | None
    own_disagreement: float | None
    size: float
    values: int
    not_finite: int = 0
    stands_still: bool = False
    moves: float = 0.0
    known_classes: int | None = None
    noise: float = 0.0
    noise_is: str = ""

    @property
    def are_classes(self) -> bool:
        """Whether the output is class numbers, of which no difference means anything."""
        return self.error is None


def figures_of(
    device: Sequence[np.ndarray],
    rounded: Sequence[np.ndarray],
    clamped: Sequence[np.ndarray],
    *,
    steps: Sequence[float | None],
    classes: Sequence[Classes | None],
) -> tuple[OutputFigures, ...]:
    """The figures of every output.

    Args:
        device: D per output, real values, [n, ...].
        rounded: F per output, of the same shapes.
        clamped: C per output; F again for models without quantized activations.
        steps: u per output; None where an output is really float.
        classes: per output, what makes classes of it; None where it has none. An output of class numbers (integers without a
            step) needs none.

    Raises:
        ValueError: no samples, or shapes that differ.
    """
    _check(device, rounded, clamped)
    device, rounded, clamped = defined(device, rounded, clamped)
    return tuple(_figures(*one) for one in zip(device, rounded, clamped, steps, classes, strict=True))


def _figures(
    device: np.ndarray, rounded: np.ndarray, clamped: np.ndarray, step: float | None, classes: Classes | None
) -> OutputFigures:
    are_classes = step is None and not np.issubdtype(rounded.dtype, np.floating)
    to_classes: Classes | None = np.asarray if are_classes else classes
    disagreement = own = known = None
    if to_classes is not None:
        mine, exact, other = (to_classes(outputs) for outputs in (device, rounded, clamped))
        disagreement, own = float((mine != exact).mean()), float((other != exact).mean())
        known = len(np.unique(exact))
    mine, exact = _flat(device), _flat(rounded)
    not_finite = int((~np.isfinite(mine)).sum())
    difference = mine - exact
    return OutputFigures(
        error=None if are_classes else float("inf") if not_finite else rms(difference),
        bias=None if are_classes or not_finite else rms(difference.mean(axis=0)),
        quantization_error=rms(exact - _flat(clamped)),
        spread=rms(exact - exact.mean(axis=0)),
        step=step,
        disagreement=disagreement,
        own_disagreement=own,
        size=rms(exact),
        values=mine.size,
        not_finite=not_finite,
        stands_still=len(mine) > 1 and not are_classes and not np.ptp(mine, axis=0).any(),
        moves=float(np.ptp(exact, axis=0).max(initial=0.0)),
        known_classes=known,
    )


def rms(values: np.ndarray) -> float:
    """Root of the mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def top_class(outputs: np.ndarray) -> np.ndarray:
    """The class with the largest score along the last axis; -1 where a score is no number."""
    best = np.argmax(outputs, axis=-1)
    return np.where(np.isnan(outputs).any(axis=-1), -1, best)


def above(threshold: float) -> Classes:
    """Two classes by a threshold, such as 0.5 for one sigmoid and 0 for its logit; -1 where the score is no number."""

    def classes(outputs: np.ndarray) -> np.ndarray:
        flat = outputs.reshape(len(outputs), -1)
        return np.where(np.isnan(flat), -1, flat >= threshold).astype(np.int64)

    return classes


def _flat(outputs: np.ndarray) -> np.ndarray:
    return np.asarray(outputs, np.float64).reshape(len(outputs), -1)


def _check(device: Sequence[np.ndarray], rounded: Sequence[np.ndarray], clamped: Sequence[np.ndarray]) -> None:
    for mine, exact, smooth in zip(device, rounded, clamped, strict=True):
        if not mine.shape == exact.shape == smooth.shape:
            raise ValueError(f"outputs of shape {mine.shape} against {exact.shape} and {smooth.shape}")
    if not device or not len(device[0]):
        raise ValueError("no outputs to judge")
