"""Outputs that are no finite numbers: the model's own, or the runtime's?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def own_not_finite(reference: Sequence[np.ndarray]) -> np.ndarray:
    """Samples on which the model itself gives NaN or infinity, as its reference shows: bool [N].

    Args:
        reference: real values of every output, [N, ...].
    """
    return np.any([~np.isfinite(values).reshape(len(values), -1).all(axis=1) for values in reference], axis=0)


def comparable(outputs: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with 0 where the reference is not finite: what is undefined by the model is nobody's error.

    What is not finite in `outputs` alone stays, and is one.
    """
    defined = np.isfinite(reference)
    if defined.all():
        return outputs, reference
    return np.where(defined, outputs, 0.0), np.where(defined, reference, 0.0)
