"""A layer's quantization error over real samples, in one pass: sums that grow with every chunk of samples.

Of a layer, F is what the float model has there, Q what the quantized model has, U the same before it was rounded, and H what the
layer would give with float weights on the same inputs. Then Q - F is all error up to there, Q - H what the layer itself adds, of
which U - H comes from its weights and Q - U from its rounding; the part of the latter that lies beyond the type's range is
saturation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.explain.document import LayerError

#: a channel is an outlier if its RMS is over so many times the median channel's
OUTLIER = 4.0
#: how many of them are kept
_MOST_OUTLIERS = 8
#: fewer channels have no median to speak of
_LEAST_CHANNELS = 4
#: the share of outputs that the bulk leaves out at each end
_TAIL = 0.001
#: ops whose outputs are shares: most channels are about 0 there, and which are large is the answer and no accident
SHARES = frozenset({"SOFTMAX", "LOGISTIC"})
#: levels that a histogram keeps apart; the types with more share bins
_BINS = 4096


@dataclass(frozen=True, kw_only=True)
class Levels:
    """The numbers that an activation can hold: S (q - Z), q from low to high."""

    scale: float
    zero_point: int
    low: int
    high: int

    @property
    def count(self) -> int:
        return self.high - self.low + 1

    def real_range(self) -> tuple[float, float]:
        return self.scale * (self.low - self.zero_point), self.scale * (self.high - self.zero_point)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A layer's weights: what is known of them without running anything.

    Attributes:
        stored: real values, output channels along `axis`.
        plain: the float model's, of the same shape; None where they are not known.
        scales: one, or one per output channel.
        levels: how many numbers the stored type has.
    """

    stored: np.ndarray
    axis: int
    scales: tuple[float, ...]
    levels: int
    plain: np.ndarray | None = None


@dataclass
class ErrorSums:
    """What is added up over chunks of samples, of one layer; of `shares` no channel is an outlier, and all count together."""

    levels: Levels | None
    shares: bool = False
    signal: float = 0.0
    noise: float = 0.0
    cross: float = 0.0
    size: float = 0.0
    own_signal: float = 0.0
    own: float = 0.0
    weights: float = 0.0
    rounding: float = 0.0
    clipping: float = 0.0
    clipped: int = 0
    count: int = 0
    compared: bool = False
    _bins: np.ndarray = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    _channels: np.ndarray | None = None
    _own: np.ndarray | None = None
    _own_signal: np.ndarray | None = None

    def add(self, plain: np.ndarray | None, value: np.ndarray, unrounded: np.ndarray, shadow: np.ndarray) -> None:
        """A chunk of samples: F (None: unknown), Q, U and H, float arrays [n, ...] of one shape."""
        q, u, h = (np.asarray(a, np.float64) for a in (value, unrounded, shadow))
        if plain is not None:
            f = np.asarray(plain, np.float64).reshape(q.shape)
            self.compared = True
            self.signal += float((f * f).sum())
            self.noise += float(((q - f) ** 2).sum())
            self.cross += float((q * f).sum())
        self.size += float((q * q).sum())
        self.own_signal += float((h * h).sum())
        self.own += float(((q - h) ** 2).sum())
        self._own = _added(self._own, q - h)
        self._own_signal = _added(self._own_signal, h)
        self.weights += float(((u - h) ** 2).sum())
        self.count += q.size
        self._add_rounding(q, u)
        self._channels = _added(self._channels, u)

    def _add_rounding(self, q: np.ndarray, u: np.ndarray) -> None:
        if self.levels is None:
            return
        low, high = self.levels.real_range()
        beyond = (u < low - self.levels.scale / 2) | (u > high + self.levels.scale / 2)
        squared = (q - u) ** 2
        self.clipped += int(beyond.sum())
        self.clipping += float(squared[beyond].sum())
        self.rounding += float(squared[~beyond].sum())
        level = np.round(q / self.levels.scale) + self.levels.zero_point - self.levels.low
        bins = np.clip(level * _BINS // max(self.levels.count, _BINS), 0, _BINS - 1).astype(np.int64)
        self._bins += np.bincount(bins.ravel(), minlength=_BINS)

    def figures(self, weights: Weights | None = None) -> LayerError:
        """What the sums tell."""
        parts = self.weights + self.rounding + self.clipping
        used, bulk, bits = self._range()
        spread, outliers = self._outliers()
        figures = LayerError(
            sqnr_db=ratio_db(self.signal, self.noise) if self.compared else None,
            own_db=self._own_db(),
            cosine=self._cosine(),
            from_weights=self.weights / parts if parts else None,
            from_rounding=self.rounding / parts if parts else None,
            from_saturation=self.clipping / parts if parts else None,
            saturated=self.clipped / self.count if self.levels is not None and self.count else None,
            used=used,
            bulk=bulk,
            bits=bits,
            channel_spread=spread,
            outliers=outliers,
        )
        return figures if weights is None else _with_weights(figures, weights)

    def _own_db(self) -> float | None:
        """The worse of the total and of the median channel: one large channel hides in the total what it takes from all others,
        and the median hides what is lost in a few.
        """
        total = ratio_db(self.own_signal, self.own)
        if (
            self.shares
            or total is None
            or self._own is None
            or self._own_signal is None
            or self._own.size < _LEAST_CHANNELS
        ):
            return total
        alive = self._own_signal > 0
        ratios = self._own[alive] / self._own_signal[alive]
        middle = float(np.median(ratios)) if ratios.size else 0.0
        return min(total, -10.0 * float(np.log10(middle))) if middle > 0 else total

    def _cosine(self) -> float | None:
        length = (self.signal * self.size) ** 0.5
        return self.cross / length if self.compared and length else None

    def _range(self) -> tuple[float | None, float | None, float | None]:
        if self.levels is None or not self.count:
            return None, None, None
        share = max(self.levels.count, _BINS) / _BINS  # levels per bin
        filled = np.flatnonzero(self._bins)
        used = (filled[-1] - filled[0] + 1) * share / self.levels.count
        below = np.cumsum(self._bins) / self.count
        first, last = int(np.searchsorted(below, _TAIL)), int(np.searchsorted(below, 1 - _TAIL))
        steps = max(1.0, (last - first + 1) * share)
        return float(min(1.0, used)), float(min(1.0, steps / self.levels.count)), float(np.log2(steps))

    def _outliers(self) -> tuple[float | None, tuple[tuple[int, float], ...]]:
        if self.shares or self._channels is None or self._channels.size < _LEAST_CHANNELS:
            return None, ()
        sizes = np.sqrt(self._channels)
        alive = sizes[sizes > 0]
        if alive.size < _LEAST_CHANNELS:
            return None, ()
        factors = sizes / float(np.median(alive))
        order = np.argsort(-factors, kind="stable")
        found = [(int(c), float(factors[c])) for c in order[:_MOST_OUTLIERS] if factors[c] > OUTLIER]
        return float(factors.max()), tuple(found)


def _added(sums: np.ndarray | None, values: np.ndarray) -> np.ndarray | None:
    """Sums of squares per channel (the last axis) with those of further values."""
    if values.ndim < 2 or not values.size:
        return sums
    squares = np.square(values).reshape(-1, values.shape[-1]).sum(axis=0)
    return squares if sums is None else sums + squares


def ratio_db(signal: float, noise: float) -> float | None:
    """10 log10 of signal over noise; None without noise, or without a signal to lose."""
    return 10.0 * float(np.log10(signal / noise)) if noise > 0 and signal > 0 else None


def _with_weights(figures: LayerError, weights: Weights) -> LayerError:
    from dataclasses import replace

    stored = np.moveaxis(weights.stored, weights.axis, 0).reshape(weights.stored.shape[weights.axis], -1)
    source = weights.stored if weights.plain is None else weights.plain
    largest = np.abs(np.moveaxis(source, weights.axis, 0).reshape(len(stored), -1)).max(axis=1, initial=0.0)
    alive = largest[largest > 0]
    scales = np.broadcast_to(np.asarray(weights.scales, np.float64), (len(stored),)) if weights.scales else None
    bits = None
    if scales is not None and alive.size:
        steps = 2 * largest / scales + 1
        bits = float(np.log2(np.clip(steps[largest > 0], 1.0, weights.levels).min()))
    noise = None if weights.plain is None else float(((weights.stored - weights.plain) ** 2).sum())
    return replace(
        figures,
        weight_db=None if noise is None else ratio_db(float((np.asarray(weights.plain) ** 2).sum()), noise),
        weight_spread=float(alive.max() / alive.min()) if alive.size else None,
        weight_bits=bits,
        per_channel=len(weights.scales) > 1 if weights.scales else None,
    )
