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


def defined(
    device: Sequence[np.ndarray], rounded: Sequence[np.ndarray], clamped: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """A device's outputs and those of the two float twins of its model, per output, with 0 where a twin is not finite: what is
    undefined by the model is nobody's error. What is not finite in the device's alone stays, and is one.
    """
    triples = [_where_finite(*triple) for triple in zip(device, rounded, clamped, strict=True)]
    return [t[0] for t in triples], [t[1] for t in triples], [t[2] for t in triples]


def _where_finite(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    finite = np.logical_and.reduce([np.isfinite(a) for a in arrays[1:]])
    return arrays if finite.all() else tuple(np.where(finite, a, np.zeros((), a.dtype)) for a in arrays)
