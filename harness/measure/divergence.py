"""Does a device compute what the reference computes? The rule behind the outcome `wrong`, with its numbers.

The rule is stated in `Tolerance` (harness/workloads/base.py) and explained in docs/reference/outcomes.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.tensor import TensorIo
from harness.measure.finite import comparable
from harness.measure.scoring import real_values
from harness.workloads.base import Tolerance
from harness.workloads.metrics.base import Metric

#: a float reference whose RMS is below this is compared absolutely: dividing by zero would condemn a correct all-zero output
_TINY_RMS = 1e-6


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """How far a cell's outputs are from the reference's on the same samples.

    `lsb` figures are None for float outputs; `agreement` is None for models without classes. `accepting_lsb` is the smallest
    `integer_lsb` by which the outputs of an integer model would not be wrong; None for others, and where none would do.
    """

    wrong: bool
    rule: str
    reason: str | None
    samples: int
    max_lsb_diff: float | None
    mismatch_share: float | None
    agreement: float | None
    nrmse: float | None
    bit_identical: bool
    accepting_lsb: int | None = None


def _real(arrays: Sequence[np.ndarray], io: Sequence[TensorIo]) -> list[np.ndarray]:
    """Outputs as real numbers, float64 [N, ...] flattened to [N, K]: quantized ones by r = S (q - Z)."""
    return [real_values(a.reshape(len(a), -1), t) for a, t in zip(arrays, io, strict=True)]


def _nrmse(outputs: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> float:
    """RMS of the difference over the RMS of the reference, over all outputs; infinity when an output is not finite."""
    ours = np.concatenate([a.ravel() for a in outputs])
    theirs = np.concatenate([a.ravel() for a in reference])
    if not np.isfinite(ours).all():
        return float("inf")
    rms = float(np.sqrt(np.mean(theirs**2)))
    error = float(np.sqrt(np.mean((ours - theirs) ** 2)))
    return error / rms if rms > _TINY_RMS else error


def compare(
    outputs: Sequence[np.ndarray],
    reference: Sequence[np.ndarray],
    *,
    metric: Metric | None,
    tolerance: Tolerance,
    io: Sequence[TensorIo],
    lsb: Sequence[float | None],
    steps: Sequence[float] = (),
    on_npu: bool,
) -> Divergence:
    """Judges outputs against the reference's.

    Args:
        outputs, reference: one array per model output, [N, ...], same shapes and dtypes, same samples in order.
        metric: decides what "the same answer" means; None: there are no answers.
        tolerance: the bounds.
        io: the model's outputs, for the quantization of those stored as integers.
        lsb: the real size of one quantization step per output (its own scale, or that of the tensor behind a final
            DEQUANTIZE); None for outputs that are really float. All None asks for the float rule.
        steps: LSB per output that one rounding step inside the model may become (harness/tflite/output_step.py); the
            bound is `integer_lsb` times that. Empty means 1 everywhere.
        on_npu: the ops ran on a delegate whose rounding may differ: agreement decides instead of LSB.

    Returns:
        The figures, the rule in words, and whether the outputs are wrong.
    """
    for found, expected in zip(outputs, reference, strict=True):
        if found.shape != expected.shape:
            raise ValueError(f"outputs of shape {found.shape} against reference outputs of shape {expected.shape}")
    samples = len(outputs[0])
    identical = all(np.array_equal(a, b) for a, b in zip(outputs, reference, strict=True))
    ours, theirs = _real(outputs, io), _real(reference, io)
    agreement = metric.agreement(ours[0], theirs[0]) if metric is not None else None
    pairs = [comparable(a, b) for a, b in zip(ours, theirs, strict=True)]
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    nrmse = _nrmse(ours, theirs)
    quantized = [step for step in lsb if step]
    integer = len(quantized) == len(lsb)
    max_lsb = mismatch = accepting = None
    steps = steps or [1.0] * len(lsb)
    allowed = [tolerance.integer_lsb * s for s in steps]
    if integer:
        off = [_lsb_off(a, b, step) for a, b, step in zip(ours, theirs, quantized, strict=True)]
        max_lsb = float(max(o.max() for o in off))
        mismatch = float(np.concatenate([(o > bound).ravel() for o, bound in zip(off, allowed, strict=True)]).mean())
        accepting = _accepting(np.concatenate([(o / s).ravel() for o, s in zip(off, steps, strict=True)]), tolerance)
    wrong, rule, reason = _judge(on_npu, agreement, nrmse, max_lsb, mismatch, max(allowed), tolerance)
    return Divergence(
        wrong=wrong,
        rule=rule,
        reason=reason,
        samples=samples,
        max_lsb_diff=max_lsb,
        mismatch_share=mismatch,
        agreement=agreement,
        nrmse=nrmse,
        bit_identical=identical,
        accepting_lsb=None if on_npu else accepting,
    )


def _lsb_off(ours: np.ndarray, theirs: np.ndarray, step: float) -> np.ndarray:
    """|difference| in quantization steps; infinite where an output is not a number."""
    off = np.abs(ours - theirs) / step
    # Float outputs behind a DEQUANTIZE carry float32 rounding: a hundredth of a step is not a step.
    return np.where(np.isnan(off), np.inf, np.round(off, 2))


def _accepting(off: np.ndarray, tolerance: Tolerance) -> int | None:
    """The smallest `integer_lsb` that accepts differences in rounding steps; None where an output is no number."""
    needed = np.quantile(off, tolerance.integer_share, method="higher")
    return int(np.ceil(needed)) if np.isfinite(needed) else None


def _judge(
    on_npu: bool,
    agreement: float | None,
    nrmse: float,
    max_lsb: float | None,
    mismatch: float | None,
    allowed: float,
    t: Tolerance,
) -> tuple[bool, str, str | None]:
    """The verdict, the rule in words, and the reason when wrong; `mismatch` is None for what is no integer model."""
    if on_npu and agreement is not None:
        rule = f"npu: top-1 agreement >= {t.npu_agreement:g}"
        wrong = agreement < t.npu_agreement
        return wrong, rule, f"top-1 agreement with the reference is {agreement:.4f} ({rule})" if wrong else None
    if mismatch is not None and not on_npu:
        rule = f"integer: <= {allowed:.3g} LSB on >= {t.integer_share:.0%} of outputs"
        wrong = mismatch > 1 - t.integer_share
        reason = f"{mismatch:.1%} of outputs are more than {allowed:.3g} LSB off, the worst by {max_lsb:g} LSB ({rule})"
        return wrong, rule, reason if wrong else None
    rule = f"float: NRMSE <= {t.float_nrmse:g}" + (
        f", top-1 agreement >= {t.float_agreement:g}" if agreement is not None else ""
    )
    parts = []
    if not nrmse <= t.float_nrmse:
        parts.append(f"NRMSE against the reference is {nrmse:.3g}")
    if agreement is not None and agreement < t.float_agreement:
        parts.append(f"top-1 agreement is {agreement:.4f}")
    return bool(parts), rule, f"{', '.join(parts)} ({rule})" if parts else None
