"""What the errors of a wrong op look like: stuck, shifted, scaled, another channel's scale, some channels or samples only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.numbers import significant_text

#: what may be left of the errors after a pattern is taken out, in units (steps, or the noise of a float output)
_LEFT = 0.8
#: or as a share of the errors' RMS, for patterns that float32 and rounding blur
_LEFT_SHARE = 0.1
#: a channel or a sample is off if its errors' RMS is above this many units
_OFF = 1.0
#: factors that are equal to within this are the same
_SAME = 0.02
#: a shift that is so near to whole steps is one of whole steps
_WHOLE = 0.25
#: fewer values than this per channel fit any line
_LEAST_VALUES = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """What a device gave and what is right, [n, ...] each, in units; channels are the last axis.

    Attributes:
        weight_scales: one per output channel, or none.
        bias: one per output channel, in units; None where it is not known.
        unit: what a unit is, in the plural.
    """

    device: np.ndarray
    right: np.ndarray
    weight_scales: tuple[float, ...] = ()
    bias: np.ndarray | None = None
    unit: str = "steps"


def line_fit(sight: Sight) -> tuple[float | None, float | None, float | None]:
    """Gain, offset in units, and correlation of the device's outputs with the right ones; None where these do not vary."""
    inner = _inner(sight.device.ravel(), sight.right.ravel())
    device, right = sight.device.ravel()[inner], sight.right.ravel()[inner]
    if right.size < 2 or not np.ptp(right):
        return None, None, None
    gain, offset = np.polyfit(right, device, 1)
    correlation = float(np.corrcoef(right, device)[0, 1]) if np.ptp(device) else 0.0
    return float(gain), float(offset), correlation


def describe_pattern(sight: Sight) -> str:
    """The simplest pattern that explains the errors, in words with its numbers."""
    off = sight.device - sight.right
    for look in (
        _stuck,
        _unwritten,
        _shifted,
        _scaled,
        _one_scale,
        _some_channels,
        _some_places,
        _by_channel,
        _some_samples,
    ):
        words = look(sight, off)
        if words is not None:
            return words
    correlation = line_fit(sight)[2]
    told = "" if correlation is None else f" (correlation with the right ones {correlation:.2f})"
    return f"no simple pattern: outputs all over are off{told}"


def _inner(device: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where neither is at an end of what it takes: an activation or the type's range cuts a line off there."""
    return (device > device.min()) & (device < device.max()) & (right > right.min()) & (right < right.max())


def _explained(left: np.ndarray, off: np.ndarray) -> bool:
    return _rms(left) <= max(_LEFT, _LEFT_SHARE * _rms(off))


def _stuck(sight: Sight, off: np.ndarray) -> str | None:
    if len(sight.device) < 2 or np.ptp(sight.device, axis=0).any() or not np.ptp(sight.right, axis=0).any():
        return None
    if _is_bias(sight):
        reason = "; its weights have a scale per channel, which the kernel may not know" if sight.weight_scales else ""
        return f"it gives its bias and nothing else, as if all products were 0{reason}"
    if not np.ptp(sight.device):
        return "it gives the same value everywhere, whatever comes in"
    return "it gives the same for every sample, whatever comes in"


def _is_bias(sight: Sight) -> bool:
    if sight.bias is None or sight.device.shape[-1] != sight.bias.size:
        return False
    known = np.maximum(sight.bias, 0.0) if sight.right.min() >= 0 else sight.bias
    return bool(np.allclose(sight.device, known, rtol=1e-3, atol=_LEFT))


def _unwritten(sight: Sight, off: np.ndarray) -> str | None:
    """Some outputs stand still, and the others are right: a kernel that ends too early."""
    device, right, error = (a.reshape(len(a), -1) for a in (sight.device, sight.right, off))
    still = ~np.ptp(device, axis=0).astype(bool) & np.ptp(right, axis=0).astype(bool)
    if len(device) < 2 or not still.any() or still.all() or _rms(error[:, ~still]) > _OFF:
        return None
    where = "the first are right" if not still[: int((~still).sum())].any() else "the others are right"
    return f"{int(still.sum())} of {still.size} outputs are the same for every sample, as if they were never written, and {where}"


def _shifted(sight: Sight, off: np.ndarray) -> str | None:
    inner = _inner(sight.device, sight.right)
    if not inner.any():
        return None
    shift = float(off[inner].mean())
    if abs(shift) < 1 or not _explained(off[inner] - shift, off[inner]):
        return None
    # A kernel shifts by whole steps; what is beside them is how it rounds.
    size = round(shift) if sight.unit == "steps" and abs(shift - round(shift)) < _WHOLE else shift
    return f"every output is {significant_text(abs(size))} {sight.unit} too {'high' if shift > 0 else 'low'}"


def _scaled(sight: Sight, off: np.ndarray) -> str | None:
    inner = _inner(sight.device, sight.right)
    device, right = sight.device[inner], sight.right[inner]
    if device.size < _LEAST_VALUES or not np.ptp(right):
        return None
    gain, offset = np.polyfit(right, device, 1)
    if abs(gain - 1) < _SAME or not _explained(device - gain * right - offset, off[inner]):
        return None
    shift = f", and shifted by {offset:.3g} {sight.unit}" if abs(offset) >= 1 else ""
    return f"outputs are {gain:.3g} times the right ones{shift}: a wrong scale"


def _one_scale(sight: Sight, off: np.ndarray) -> str | None:
    """Each channel on a line of its own, because the kernel takes one channel's weight scale for all."""
    gains = _channel_gains(sight, off)
    if gains is None:
        return None
    scales = np.asarray(sight.weight_scales)
    if scales.size == gains.size and (scales > 0).all():
        for name, one in (
            ("the first channel's", scales[0]),
            ("the last channel's", scales[-1]),
            ("the largest", scales.max()),
        ):
            known = np.isfinite(gains)
            if np.median(np.abs(gains[known] * scales[known] / one - 1)) <= _SAME:
                return (
                    f"each channel is off by the ratio of {name} weight scale to its own "
                    f"({np.nanmin(gains):.3g} to {np.nanmax(gains):.3g} times): the kernel takes that one scale for all channels"
                )
    return None


def _by_channel(sight: Sight, off: np.ndarray) -> str | None:
    gains = _channel_gains(sight, off)
    if gains is None:
        return None
    least, most = np.nanmin(gains), np.nanmax(gains)
    return f"each channel has a factor of its own, from {least:.3g} to {most:.3g}: a wrong scale per channel"


def _channel_gains(sight: Sight, off: np.ndarray) -> np.ndarray | None:
    """The factor of each channel, NaN where it cannot be told; None where lines do not explain the errors."""
    if sight.device.ndim < 2 or sight.device.shape[-1] < 2:
        return None
    channels = sight.device.shape[-1]
    device, right = sight.device.reshape(-1, channels), sight.right.reshape(-1, channels)
    bounded = sight.right.min() >= 0  # behind a RELU, where both are cut off at 0
    gains = np.full(channels, np.nan)
    left, errors = [], []
    for channel in range(channels):
        d, r = device[:, channel], right[:, channel]
        inner = (d > 0) & (r > 0) if bounded else np.isfinite(r)
        if inner.sum() < _LEAST_VALUES or not np.ptp(r[inner]):
            continue
        gain, offset = np.polyfit(r[inner], d[inner], 1)
        gains[channel] = gain
        left.append(d[inner] - gain * r[inner] - offset)
        errors.append((d - r)[inner])
    if not left or np.isfinite(gains).sum() < 2 or not _explained(np.concatenate(left), np.concatenate(errors)):
        return None
    return gains if np.nanmax(np.abs(gains - 1)) >= _SAME else None


def _some_channels(sight: Sight, off: np.ndarray) -> str | None:
    if off.ndim < 2 or off.shape[-1] < 2:
        return None
    errors = np.sqrt(np.mean(off.reshape(-1, off.shape[-1]) ** 2, axis=0))
    wrong = np.flatnonzero(errors > _OFF)
    if not wrong.size or 2 * wrong.size > errors.size:
        return None
    return f"{wrong.size} of {errors.size} channels are off ({_listed(wrong)}), the others are right"


def _some_places(sight: Sight, off: np.ndarray) -> str | None:
    """A kernel that does not go through all places (rows, pixels, time steps) of a sample."""
    if off.ndim < 3:
        return None
    errors = np.sqrt(np.mean(off.reshape(len(off), -1, off.shape[-1]) ** 2, axis=(0, 2)))
    right = np.flatnonzero(errors <= _OFF)
    if not right.size or right.size == errors.size:
        return None
    if 2 * right.size > errors.size:
        wrong = np.flatnonzero(errors > _OFF)
        return f"{wrong.size} of {errors.size} places of each sample are off ({_listed(wrong)}), the others are right"
    verb = "is" if right.size == 1 else "are"
    return f"only {right.size} of {errors.size} places of each sample {verb} right ({_listed(right)})"


def _some_samples(sight: Sight, off: np.ndarray) -> str | None:
    errors = np.sqrt(np.mean(off.reshape(len(off), -1) ** 2, axis=1))
    wrong = np.flatnonzero(errors > _OFF)
    if not wrong.size or 2 * wrong.size > errors.size:
        return None
    return f"{wrong.size} of {errors.size} samples are off ({_listed(wrong)}), the others are right"


def _listed(numbers: np.ndarray) -> str:
    shown = ", ".join(str(int(n)) for n in numbers[:6])
    return shown + (", ..." if numbers.size > 6 else "")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
