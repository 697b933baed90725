"""The usual ways to rescale samples, by which two scales are recognised as one and the same data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Rescaling:
    """x -> x * factor + offset."""

    name: str
    factor: float
    offset: float = 0.0

    def of(self, values: np.ndarray) -> np.ndarray:
        """The values rescaled, in their own floating type."""
        return values * values.dtype.type(self.factor) + values.dtype.type(self.offset)


#: between pixels 0..255, shares 0..1, -1..1, signed bytes, and the 16 grey levels of scikit-learn's digits
USUAL: tuple[Rescaling, ...] = (
    Rescaling(name="divided by 255", factor=1 / 255),
    Rescaling(name="times 255", factor=255.0),
    Rescaling(name="0..255 to -1..1", factor=1 / 127.5, offset=-1.0),
    Rescaling(name="-1..1 to 0..255", factor=127.5, offset=127.5),
    Rescaling(name="0..1 to -1..1", factor=2.0, offset=-1.0),
    Rescaling(name="-1..1 to 0..1", factor=0.5, offset=0.5),
    Rescaling(name="minus 128", factor=1.0, offset=-128.0),
    Rescaling(name="plus 128", factor=1.0, offset=128.0),
    Rescaling(name="-128..127 to -1..1", factor=1 / 128),
    Rescaling(name="-1..1 to -128..127", factor=128.0),
    Rescaling(name="divided by 16", factor=1 / 16),
    Rescaling(name="times 16", factor=16.0),
    Rescaling(name="0..16 to 0..255", factor=255 / 16),
    Rescaling(name="0..255 to 0..16", factor=16 / 255),
    Rescaling(name="divided by 32768", factor=1 / 32768),
    Rescaling(name="times 32768", factor=32768.0),
)


def standardising(values: np.ndarray) -> Rescaling | None:
    """To mean 0 and standard deviation 1; None for values that are all the same."""
    spread = float(values.std(dtype=np.float64))
    if not spread:
        return None
    mean = float(values.mean(dtype=np.float64))
    return Rescaling(name="standardised", factor=1 / spread, offset=-mean / spread)


def sensible(low: float, high: float) -> Iterator[Rescaling]:
    """The usual rescalings that make sense of values in low..high: their result is what some model may be trained on."""
    for rescaling in USUAL:
        ends = sorted((low * rescaling.factor + rescaling.offset, high * rescaling.factor + rescaling.offset))
        size = max(abs(ends[0]), abs(ends[1]))
        # At least a tenth of 0..1, at most 16 bits; and what is divided is large, what is multiplied small.
        if 0.1 <= size <= 70_000 and _fits(rescaling, low, high):
            yield rescaling


def _fits(rescaling: Rescaling, low: float, high: float) -> bool:
    """Whether the values are of the kind that the rescaling starts from."""
    size, negative = max(abs(low), abs(high)), low < -1e-6
    if rescaling.name in ("minus 128", "0..255 to -1..1", "divided by 255", "0..255 to 0..16"):
        return not negative and 2 < size <= 260
    if rescaling.name in ("0..1 to -1..1", "times 255", "times 16"):
        return not negative and size <= 1.5
    if rescaling.name in ("-1..1 to 0..1", "-1..1 to 0..255", "-1..1 to -128..127"):
        return negative and size <= 1.5
    if rescaling.name in ("plus 128", "-128..127 to -1..1"):
        return negative and 2 < size <= 130
    if rescaling.name in ("divided by 16", "0..16 to 0..255"):
        return not negative and 2 < size <= 17
    if rescaling.name == "divided by 32768":
        return 260 < size <= 33_000
    return rescaling.name == "times 32768" and size <= 1.1
