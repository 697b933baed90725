"""When may a device's outputs be called `wrong`? The rule, as pure functions of arrays or of their figures.

A device D is held against F, the model's float twin with its activations rounded, and never against another integer runtime
(harness/tflite/fakequant/twin.py says why). How far a right device may be from F is measured on the model itself: C is the twin
with its activations clamped but not rounded, so that RMS(F - C) is the model's own quantization error. Rounding of another
kind adds up to about that much, in models of any depth; a defect that matters is larger. The constants below were measured on
correct and defective pairs of models and runtimes (docs/internals/wrong.md; benchmarks/bench_wrong.py measures them again).

Where the outputs cannot tell right from wrong, the verdict is `undecided`, and the ops one by one decide
(harness/measure/op_check.py). A constant or a condition that changes raises `harness.judge.rules.RULES_VERSION`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.core.numbers import significant_text
from harness.measure.figures import Classes, OutputFigures, above, figures_of, rms, top_class

__all__ = [
    "MANY_SAMPLES", "Classes", "Judgement", "OutputFigures", "Verdict", "above", "judge", "judge_figures", "rms", "spread_share",
    "top_class",
]  # fmt: skip

Verdict = Literal["ok", "wrong", "undecided"]

#: from here on, samples are enough for the narrow bounds and for comparing classes
MANY_SAMPLES = 64
#: bounds of the error and of the mean difference, in N, with many samples and with few
_ERROR_BOUND, _ERROR_BOUND_FEW = 2.0, 4.0
_BIAS_BOUND, _BIAS_BOUND_FEW = 0.75, 2.0
#: what classes may differ by beyond what rounding alone makes them differ and beyond so many standard deviations of chance:
#: of the samples near a border between classes, D and C hit others
_CLASS_BOUND, _CHANCE = 0.05, 3.0
#: further than 97 % of right pairs are (the worst: 1.44, 0.18 and 0.04): a reason to ask the ops, and no verdict
_ERROR_DOUBT, _BIAS_DOUBT, _CLASS_DOUBT = 1.2, 0.2, 0.04
#: N is at least this share of the spread of the outputs, by the least exact arithmetic in the model
_SPREAD_SHARE = {"integer": 0.005, "float": 0.005, "weight-only": 0.005, "hybrid": 0.025}
_FLOAT16_SHARE = 0.04
#: a quantization error beyond this share of the spread drowns what could be told
_DROWNED = 0.3
#: outputs that spread over less than this many steps say nothing
_FLAT_STEPS = 4.0
#: float outputs whose spread is below this share of their size: their rounding is as large as what could be told
_FLAT_SHARE = 1e-4
#: an output that moves by more than this many steps in F cannot stand still on a device
_MOVING_STEPS = 8.0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What outputs tell of a device.

    Attributes:
        verdict: `undecided` where these outputs cannot tell.
        rule: the conditions that were applied, with their numbers.
        reason: the first of them that is broken, or why nothing can be told; None when `ok`. The figures tell of the others.
        doubt: for `ok`, what right runtimes hardly ever show, although it is within the bounds. The verdict stands where the ops
            cannot be asked.
        samples: how many were compared.
        outputs: the figures, one entry per output of the model.
    """

    verdict: Verdict
    rule: str
    reason: str | None
    doubt: str | None
    samples: int
    outputs: tuple[OutputFigures, ...]

    @property
    def ask_ops(self) -> bool:
        """Is the per-op check worth its time? It explains `wrong`, decides `undecided`, and settles doubts."""
        return self.verdict != "ok" or self.doubt is not None


def judge(
    device: Sequence[np.ndarray],
    rounded: Sequence[np.ndarray],
    clamped: Sequence[np.ndarray],
    *,
    steps: Sequence[float | None],
    arithmetic: Collection[str],
    classes: Sequence[Classes | None],
    float16_accumulation: bool = False,
    least_share: float = 0.0,
) -> Judgement:
    """Judges a device's outputs against the float twin's on the same samples.

    With u an output's step, e = RMS(D - F), q = RMS(F - C), S = RMS(F - mean of F over samples) and
    N = max(q, u / 2, share * S), outputs are wrong if

    1. D is not finite where F is, or stands still where F moves;
    2. e > 2 N;
    3. the RMS over outputs of the mean over samples of D - F is over 0.75 N;
    4. D and F differ in more classes than C and F do, by more than 5 % of the answers and what chance may make of so few samples.

    With fewer than 64 samples the bounds of 2 and 3 are 4 and 2, and 4 is left out. Nothing can be told, except by 1, where
    q > 0.3 S, S < 4 u, or F knows one class only.

    Args:
        device: D per output, real values, [n, ...].
        rounded: F per output, of the same shapes.
        clamped: C per output; F again for models without quantized activations.
        steps: u per output; None where an output is really float.
        arithmetic: kinds of arithmetic in the model, as `harness.tflite.features` names them.
        classes: per output, what makes classes of it; None where it has none. An output of class numbers (integers without a
            step) needs none: only condition 4 speaks of it.
        float16_accumulation: the ops ran on a delegate that sums in float16.
        least_share: N is at least this share of S, where there is no companion to measure q by.

    Raises:
        ValueError: no samples, or shapes that differ.
    """
    figures = figures_of(device, rounded, clamped, steps=steps, classes=classes)
    share = max(spread_share(arithmetic, float16_accumulation), least_share)
    return judge_figures(figures, len(device[0]), share=share)


def judge_figures(outputs: Sequence[OutputFigures], samples: int, *, share: float) -> Judgement:
    """The same of outputs whose figures are known.

    Args:
        outputs: one entry per output of the model.
        samples: how many the figures are of.
        share: of `spread_share`.
    """
    many = samples >= MANY_SAMPLES
    broken: list[str] = []
    blind: list[str] = []
    doubts: list[str] = []
    judged = []
    for number, output in enumerate(outputs):
        where = f"output {number}: " if len(outputs) > 1 else ""
        f = _with_noise(output, share)
        judged.append(f)
        broken += [where + words for words in _broken(f, samples)]
        blind += [where + words for words in _blind(f)]
        if many and not _blind(f):
            doubts += [where + words for words in _beyond(f, samples, _ERROR_DOUBT, _BIAS_DOUBT, _CLASS_DOUBT)]
    verdict: Verdict = "ok"
    if broken:
        verdict = "wrong"
    elif blind:
        verdict = "undecided"
    return Judgement(
        verdict=verdict,
        rule=_rule(judged, samples),
        reason=next(iter(broken or blind), None),
        doubt="; ".join(doubts) or None if verdict == "ok" else None,
        samples=samples,
        outputs=tuple(judged),
    )


def spread_share(arithmetic: Collection[str], float16_accumulation: bool = False) -> float:
    """The share of the outputs' spread that N is at least, by the least exact arithmetic in a model."""
    known = [_SPREAD_SHARE[kind] for kind in arithmetic if kind in _SPREAD_SHARE]
    share = max(known, default=_SPREAD_SHARE["integer"])
    return max(share, _FLOAT16_SHARE) if float16_accumulation else share


def _with_noise(f: OutputFigures, share: float) -> OutputFigures:
    """The figures with N, the largest of its terms."""
    terms = {
        "its own quantization error": f.quantization_error,
        "half a step of the output": (f.step or 0.0) / 2,
        f"{share:.1%} of the outputs' spread": share * f.spread,
    }
    noise_is = max(terms, key=lambda words: terms[words])
    return replace(f, noise=terms[noise_is], noise_is=noise_is)


def _broken(f: OutputFigures, samples: int) -> list[str]:
    """The conditions that an output breaks, in words; those that cannot tell are left out."""
    if f.not_finite:
        return [f"{f.not_finite} of {f.values} values are not finite numbers"]
    if f.stands_still and f.moves > (_MOVING_STEPS * f.step if f.step else _ERROR_BOUND_FEW * f.noise):
        return ["the device gives the same values for every sample, and the model does not"]
    if _blind(f):
        return []
    many = samples >= MANY_SAMPLES
    error, bias = (_ERROR_BOUND, _BIAS_BOUND) if many else (_ERROR_BOUND_FEW, _BIAS_BOUND_FEW)
    return _beyond(f, samples, error, bias, _CLASS_BOUND if many else None)


def _beyond(
    f: OutputFigures, samples: int, error_bound: float, bias_bound: float, class_bound: float | None
) -> list[str]:
    """In words, what of an output is beyond these bounds."""
    found = []
    if f.error is not None and f.error > error_bound * f.noise:
        found.append(f"it differs from the model's definition by {_times(f.error, f)} (bound {error_bound:g})")
    if f.bias is not None and f.bias > bias_bound * f.noise:
        found.append(f"it is shifted from the model's definition by {_times(f.bias, f)} (bound {bias_bound:g})")
    if class_bound is not None and f.disagreement is not None and f.own_disagreement is not None:
        bound = class_bound + _by_rounding(f.own_disagreement, samples)
        if f.disagreement > bound:
            found.append(f"{f.disagreement:.1%} of the answers differ (bound {bound:.1%})")
    return found


def _blind(f: OutputFigures) -> list[str]:
    """Why an output cannot tell right from wrong; empty where it can."""
    if not f.are_classes:
        if f.step is not None and f.spread < _FLAT_STEPS * f.step:
            return [f"the outputs spread over {f.spread / f.step:.1f} quantization steps only"]
        if f.quantization_error > _DROWNED * f.spread:
            return [
                f"the model's own quantization error is {_share(f.quantization_error, f.spread)} of its outputs' spread"
            ]
        if f.spread <= _FLAT_SHARE * f.size or not f.spread:
            return ["the outputs are the same for every sample"]
    if f.known_classes == 1:
        return ["the model gives one class for every sample"]
    return []


def _by_rounding(own_disagreement: float, samples: int) -> float:
    """How far rounding and chance may take the share of answers that differ: binomial, of the difference of two such shares."""
    p = own_disagreement
    return p + _CHANCE * float(np.sqrt(2 * p * (1 - p) / samples))


def _times(value: float, figures: OutputFigures) -> str:
    return (
        f"{value:.3g}, {significant_text(value / figures.noise, 3)} times {figures.noise_is}"
        if figures.noise
        else f"{value:.3g}"
    )


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "all"


def _rule(figures: Sequence[OutputFigures], samples: int) -> str:
    """The conditions in words, with N of each output."""
    many = samples >= MANY_SAMPLES
    noises = ", ".join(dict.fromkeys(f"{f.noise:.3g}, {f.noise_is}" for f in figures if f.error is not None))
    parts = []
    if noises:
        error, bias = (_ERROR_BOUND, _BIAS_BOUND) if many else (_ERROR_BOUND_FEW, _BIAS_BOUND_FEW)
        parts.append(f"RMS difference <= {error:g} N, mean difference <= {bias:g} N (N = {noises})")
    with_classes = [f.own_disagreement for f in figures if f.own_disagreement is not None]
    if many and with_classes:
        parts.append(f"answers that differ <= {_by_rounding(max(with_classes), samples) + _CLASS_BOUND:.1%}")
    return "; ".join(parts)
