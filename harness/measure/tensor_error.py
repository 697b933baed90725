"""How far tensors of a quantized model are from those of the float model: pure figures over real values.

SQNR = 10 log10(sum x^2 / sum (x - q)^2) in dB     6.02 dB more are one bit more of precision
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: of tensors that are equal, and the bound of all others: nothing measured in float32 is nearer
MOST_DB = 200.0


@dataclass(kw_only=True)
class TensorError:
    """The error of one tensor, summed up sample by sample.

    Attributes:
        signal: sum of squares of the float values.
        noise: sum of squares of the differences.
        cross, other: sum of products, and of squares of the other values, for the cosine.
        count: how many values.
    """

    signal: float = 0.0
    noise: float = 0.0
    cross: float = 0.0
    other: float = 0.0
    count: int = 0

    def add(self, reference: np.ndarray, values: np.ndarray) -> None:
        """Adds real values of both, of one shape."""
        x, q = reference.astype(np.float64).reshape(-1), values.astype(np.float64).reshape(-1)
        self.signal += float(x @ x)
        self.noise += float((x - q) @ (x - q))
        self.cross += float(x @ q)
        self.other += float(q @ q)
        self.count += len(x)

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise, dB; `MOST_DB` where there is no noise, its negative where there is nothing but noise."""
        if not math.isfinite(self.noise):
            return -MOST_DB
        if self.noise <= 0.0:
            return MOST_DB
        return max(-MOST_DB, min(MOST_DB, 10 * math.log10(self.signal / self.noise))) if self.signal else -MOST_DB

    @property
    def cosine(self) -> float:
        """1 for the same direction, however long."""
        size = math.sqrt(self.signal * self.other)
        return self.cross / size if size else 1.0

    @property
    def rmse(self) -> float:
        """Root of the mean squared difference, in the unit of the values."""
        return math.sqrt(self.noise / self.count) if self.count else 0.0


def tensor_errors(reference: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> dict[str, TensorError]:
    """The error of every tensor that both have, by name.

    Args:
        reference, values: real values, one array per tensor, of one shape for the same name.
    """
    errors = {}
    for name, array in reference.items():
        if name in values:
            errors[name] = TensorError()
            errors[name].add(array, values[name])
    return errors
