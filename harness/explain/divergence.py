"""How an op of a device differs from what it is defined as: rounding, saturation, or a wrong kernel, with the numbers behind it.

The right value is that of the op's float twin before rounding (harness/measure/op_cases.py), so that a right kernel lies within
one step of it, whatever its rounding is. The verdict is that of the per-op check; what is new here is what the errors look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.explain.document import Kind, OpDivergence
from harness.explain.pattern import Sight, describe_pattern, line_fit
from harness.measure.op_cases import OpCase
from harness.measure.op_check import judge_facts
from harness.measure.op_facts import op_facts
from harness.measure.rule import judge_figures, spread_share
from harness.tflite.fakequant.values import LIMITS

#: a hundredth of a step is float32's, not the kernel's
_FLOAT32_STEPS = 0.01
#: an op rounds otherwise if more than this share of its outputs is not the nearest step
_NOT_NEAREST = 0.001
#: ends of the histogram, in steps; what is further is counted there
_MOST_LSB = 8
#: errors are of saturation if this share of them lies at an end of the range, and no more than the other elsewhere
_AT_ENDS, _ELSEWHERE = 0.9, 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """One output in the unit of its verdict: device and right values, [n, ...] each, and their difference."""

    device: np.ndarray
    right: np.ndarray
    unit: float
    defined: np.ndarray

    @property
    def off(self) -> np.ndarray:
        return np.where(self.defined, (self.device - self.right) / self.unit, 0.0)


def diverge(
    case: OpCase,
    outputs: Sequence[np.ndarray],
    *,
    where: Literal["alone", "in the model"],
    weight_scales: Sequence[float] = (),
    bias: np.ndarray | None = None,
) -> OpDivergence:
    """What a device made of one op.

    Args:
        case: the op with its inputs and right values.
        outputs: what the device gave, one array per output, [n, ...], as stored.
        weight_scales: of its weights, one per output channel: a kernel that takes one of them for all is recognised.
        bias: real values, one per output channel: a kernel that gives nothing else is recognised.
    """
    try:
        facts = op_facts(case, outputs)
    except ValueError as error:
        return OpDivergence(where=where, kind=None, reason=f"what the device gives for it cannot be compared: {error}")
    verdict = judge_facts(facts)
    if verdict.verdict == "skipped":
        return OpDivergence(where=where, kind=None, reason=verdict.reason)
    wrong = verdict.verdict == "wrong"
    worst = max(
        (_compared(case, outputs, position) for position in range(len(case.outputs))), key=lambda c: _rms(c.off)
    )
    steps = case.to_the_step
    off = worst.off
    allowed = 1.0 + _FLOAT32_STEPS if steps else np.inf
    not_nearest = float((np.abs(off) > 0.5 + _FLOAT32_STEPS).mean()) if steps else None
    kind: Kind = "right"
    pattern = None
    if wrong:
        at_ends = _saturation(case, worst, allowed) if steps else None
        kind = "saturation" if at_ends else "wrong kernel"
        unit = "steps" if steps else "times its rounding noise"
        pattern = at_ends or describe_pattern(_sight(worst, weight_scales, bias, unit))
    elif steps:
        kind = "rounding" if (not_nearest or 0.0) > _NOT_NEAREST else "exact"
    gain, offset, correlation = line_fit(_sight(worst))
    channel, sample = _worst_channel(off), _worst_sample(off)
    return OpDivergence(
        where=where,
        kind=kind,
        reason=verdict.reason,
        pattern=pattern,
        unit="steps" if steps else "noise",
        beyond=verdict.beyond,
        not_nearest=not_nearest,
        worst=float(np.abs(off).max(initial=0.0)),
        gain=gain,
        offset=offset,
        correlation=correlation,
        histogram=_histogram(off) if steps else (),
        worst_channel=channel[0],
        worst_channel_error=channel[1],
        worst_sample=sample[0],
        worst_sample_error=sample[1],
        samples=len(worst.device),
        values=int(worst.device.size),
    )


def _compared(case: OpCase, outputs: Sequence[np.ndarray], position: int) -> _Compared:
    tensor, right = case.outputs[position], np.asarray(case.expected[position], np.float64)
    stored = np.asarray(outputs[position])
    device = stored.astype(np.float64).reshape(right.shape)
    if tensor.scales:
        device = (device - tensor.zero_points[0]) * tensor.scales[0]
    unit = tensor.scales[0] if case.to_the_step else _noise(case, outputs, position)
    defined = np.isfinite(right)
    finite = np.where(np.isfinite(device), device, np.finfo(np.float32).max)
    return _Compared(device=finite, right=np.where(defined, right, 0.0), unit=unit, defined=defined)


def _noise(case: OpCase, outputs: Sequence[np.ndarray], position: int) -> float:
    """What rounding may amount to in a float output: N of the rule for whole models, in the output's own unit."""
    facts = op_facts(case, outputs)
    judged = judge_figures(facts.whole, facts.samples, share=spread_share([facts.arithmetic]))
    return max(judged.outputs[position].noise, float(np.finfo(np.float32).tiny))


def _saturation(case: OpCase, compared: _Compared, allowed: float) -> str | None:
    """What happens at the ends of the range, where the errors are there alone; None where they are not."""
    tensor = case.outputs[0]
    low, high = LIMITS[tensor.dtype]
    scale, zero = tensor.scales[0], tensor.zero_points[0]
    ends = (scale * (low - zero), scale * (high - zero))
    off, device = compared.off, compared.device
    far = np.abs(off) > allowed
    # What the range cannot hold is right at its end; a kernel that wraps gives it from the other end on.
    at_limit = np.minimum(np.abs(compared.right - ends[0]), np.abs(compared.right - ends[1])) <= scale
    wraps = at_limit & (np.abs(off) > (high - low) / 2)
    if far.any() and float(wraps[far].mean()) >= _AT_ENDS:
        count = int(wraps.sum())
        return f"{count:,} outputs beyond the range come out at its other end: it wraps and does not saturate"
    top, bottom = device.max(), device.min()
    at_end = ((device == top) & (compared.right > top)) | ((device == bottom) & (compared.right < bottom))
    if (
        not far.any()
        or float(at_end[far].mean()) < _AT_ENDS
        or float(far[~at_end].mean() if (~at_end).any() else 0) > _ELSEWHERE
    ):
        return None
    words = []
    if (far & (device == top)).any() and top < ends[1]:
        words.append(f"no output above {round(top / scale + zero)}, where {high} is possible")
    if (far & (device == bottom)).any() and bottom > ends[0]:
        words.append(f"none below {round(bottom / scale + zero)}, where {low} is possible")
    if not words or top <= bottom:
        return None
    return f"{' and '.join(words)}: it clamps {float(far.mean()):.1%} of the outputs that the model does not"


def _sight(
    compared: _Compared, weight_scales: Sequence[float] = (), bias: np.ndarray | None = None, unit: str = "steps"
) -> Sight:
    return Sight(
        device=compared.device / compared.unit,
        right=compared.right / compared.unit,
        weight_scales=tuple(weight_scales),
        bias=None if bias is None else np.asarray(bias, np.float64) / compared.unit,
        unit=unit,
    )


def _histogram(off: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Differences to the nearest step in whole steps: what is within half a step of the value before rounding is 0."""
    whole = np.sign(off) * np.ceil(np.abs(off) - 0.5 - _FLOAT32_STEPS)
    clipped = np.clip(whole, -_MOST_LSB, _MOST_LSB).astype(np.int64)
    counts = np.bincount((clipped + _MOST_LSB).ravel(), minlength=2 * _MOST_LSB + 1)
    return tuple((int(lsb), int(count)) for lsb, count in zip(range(-_MOST_LSB, _MOST_LSB + 1), counts, strict=True))


def _worst_channel(off: np.ndarray) -> tuple[int | None, float | None]:
    if off.ndim < 2 or off.shape[-1] < 2:
        return None, None
    errors = np.sqrt(np.mean(off.reshape(-1, off.shape[-1]) ** 2, axis=0))
    return int(errors.argmax()), float(errors.max())


def _worst_sample(off: np.ndarray) -> tuple[int | None, float | None]:
    if not len(off):
        return None, None
    errors = np.sqrt(np.mean(off.reshape(len(off), -1) ** 2, axis=1))
    return int(errors.argmax()), float(errors.max())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
