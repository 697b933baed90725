"""Why a layer's own quantization error is as large as it is, from its figures: a rule per cause, the first that holds counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.explain.document import Layer, LayerError

CauseName = Literal[
    "saturation",
    "outlier-channels",
    "wide-range",
    "long-tail",
    "per-tensor-weights",
    "few-weight-bits",
    "rounding",
    "weights",
]

#: a part of the own error decides from this share on
_DECIDES = 0.5
#: a type's range is too wide where its outputs use less than this share of it
_USED = 0.3
#: a tail is long where the bulk of the outputs has less than this share of the range that is used
_BULK = 0.25
#: weights of one scale suffer where channels differ by more than this factor
_SPREAD = 8.0
#: a channel so many times as large as the median one takes three bits from it, whatever the bulk has left
_FAR_OUT = 8.0
#: fewer bits than this tell a channel's weights or a layer's outputs badly apart
_FEW_BITS = 5.0


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A cause with the numbers behind it, in words."""

    name: CauseName
    words: str


def cause_of(error: LayerError, *, dtype: str, weight_dtype: str | None = None) -> Cause | None:
    """Why the layer loses what it loses; None where it adds nothing.

    Args:
        dtype: of its output.
        weight_dtype: of its weights; None without.
    """
    if error.own_db is None:
        return None
    shares = (error.from_saturation or 0.0, error.from_weights or 0.0, error.from_rounding or 0.0)
    if shares[0] >= _DECIDES:
        return Cause(
            name="saturation",
            words=f"saturation: {error.saturated or 0:.2%} of its outputs lie beyond the range of its {dtype}, "
            f"and make {shares[0]:.0%} of its own error",
        )
    if shares[1] >= _DECIDES:
        return _of_weights(error, weight_dtype, shares[1])
    return _of_range(error, dtype)


def _of_weights(error: LayerError, weight_dtype: str | None, share: float) -> Cause:
    told = f"and its weights make {share:.0%} of its own error"
    if weight_dtype in ("int4", "int2", "uint4"):
        return Cause(name="few-weight-bits", words=f"its weights are {weight_dtype}, {told}")
    if error.per_channel is False and (error.weight_spread or 0) >= _SPREAD:
        return Cause(
            name="per-tensor-weights",
            words=f"one scale for all its weights, whose channels differ {error.weight_spread:.3g}-fold: the smallest has "
            f"{error.weight_bits or 0:.1f} bits left, {told}",
        )
    return Cause(name="weights", words=f"rounded weights: {share:.0%} of its own error")


def _of_range(error: LayerError, dtype: str) -> Cause:
    used, bulk, bits = error.used or 1.0, error.bulk or 1.0, error.bits
    few = bits is not None and bits < _FEW_BITS
    left = "" if bits is None else f": {bits:.1f} bits are left to the bulk of its outputs"
    if used < _USED:
        return Cause(
            name="wide-range",
            words=f"a range too wide: its outputs use {used:.0%} of what its {dtype} can hold{left}",
        )
    if error.outliers and (few or bulk < _BULK * used):
        channel, factor = error.outliers[0]
        many = f" and {len(error.outliers) - 1} more" if len(error.outliers) > 1 else ""
        return Cause(
            name="outlier-channels",
            words=f"outlier channel {channel}{many}: {factor:.3g} times as large as the median channel, "
            f"and they share one {dtype} scale{left}",
        )
    if few and bulk < _BULK * used:
        return Cause(
            name="long-tail",
            words=f"a few large outputs take the range: {bulk:.0%} of it holds 99.8 % of the outputs{left}",
        )
    if error.outliers and error.outliers[0][1] >= _FAR_OUT:
        channel, factor = error.outliers[0]
        return Cause(
            name="outlier-channels",
            words=f"outlier channel {channel}: {factor:.3g} times as large as the median channel, "
            f"and they share one {dtype} scale{left}",
        )
    return Cause(name="rounding", words=f"rounding to {dtype}{left}" if dtype != "float32" else "rounded inputs")


def worst_layers(layers: tuple[Layer, ...]) -> list[Layer]:
    """The layers that add error, the one that adds most first: lowest own SQNR."""
    known = [layer for layer in layers if layer.error is not None and layer.error.own_db is not None]
    return sorted(
        known, key=lambda layer: layer.error.own_db if layer.error and layer.error.own_db is not None else 0.0
    )
