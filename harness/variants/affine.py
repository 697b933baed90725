"""The affine equations of integer quantization: from a range of real values to scale and zero point.

r = S (q - Z)                                     Jacob et al. 2018, arXiv:1712.05877, equation 1
S = (r_max - r_min) / (q_max - q_min)             section 3.1; the range must contain 0
Z = round(q_min - r_min / S)                      so that the real 0 is an integer exactly
symmetric (weights): S = max|r| / (2^(b-1) - 1), Z = 0      TFLite 8-bit quantization specification
bias: S = S_input * S_weight per channel, Z = 0              the same specification
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: stored type -> lowest and highest integer
INTEGER_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int2": (-2, 1),
}


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Scale and zero point; arrays of one entry per channel, or of one for the whole tensor."""

    scale: np.ndarray
    zero_point: np.ndarray


def asymmetric(
    range_min: np.ndarray | float, range_max: np.ndarray | float, dtype: str, *, narrow_range: bool = False
) -> Affine:
    """Scale and zero point of an activation's range (or of asymmetric weights), in float64.

    Args:
        range_min, range_max: real values; widened to contain 0 as TFLite does.
        dtype: the stored type. int16 activations are symmetric in TFLite, and so they are here.
        narrow_range: leaves out the lowest integer, as TFMOT's weight quantizers do.
    """
    low = np.minimum(np.atleast_1d(np.asarray(range_min, dtype=np.float64)), 0.0)
    high = np.maximum(np.atleast_1d(np.asarray(range_max, dtype=np.float64)), 0.0)
    q_min, q_max = INTEGER_RANGES[dtype]
    q_min += narrow_range
    if dtype == "int16":
        return symmetric(low, high, bits=16)
    scale = (high - low) / (q_max - q_min)
    safe = np.where(scale > 0, scale, 1.0)
    zero_point = np.clip(np.rint(q_min - low / safe), q_min, q_max).astype(np.int64)
    return Affine(scale=scale, zero_point=zero_point)


def symmetric(range_min: np.ndarray | float, range_max: np.ndarray | float, *, bits: int) -> Affine:
    """Scale of symmetric weights in the narrow range, -(2^(bits-1) - 1) .. 2^(bits-1) - 1; the zero point is 0."""
    low = np.atleast_1d(np.asarray(range_min, dtype=np.float64))
    high = np.atleast_1d(np.asarray(range_max, dtype=np.float64))
    scale = np.maximum(np.abs(low), np.abs(high)) / (2 ** (bits - 1) - 1)
    return Affine(scale=scale, zero_point=np.zeros(scale.shape, dtype=np.int64))


def ulp_distance(stored: np.ndarray | float, computed: np.ndarray | float) -> float:
    """|stored - computed| in units in the last place of the stored float32 value, the largest of all channels.

    `computed` is in float64: a stored value that is the correctly rounded result is at most 0.5 away.
    """
    rounded = np.atleast_1d(np.asarray(stored, dtype=np.float32))
    exact = np.atleast_1d(np.asarray(computed, dtype=np.float64))
    distance = np.abs(rounded.astype(np.float64) - exact) / np.spacing(np.abs(rounded)).astype(np.float64)
    return float(distance.max())
