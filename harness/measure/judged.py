"""A cell's outputs against its prepared model's references: pure, and asked twice.

While a cell runs, to know whether its ops are worth asking one by one; and when it is judged, now and again later.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.core.tensor import TensorIo
from harness.measure.figures import Classes, OutputFigures
from harness.measure.rule import Judgement, judge, top_class
from harness.prepare.prepared import PreparedModel, ReferenceOutputs
from harness.workloads.metrics.base import Metric

#: what N is at least, as a share of the outputs' spread, where no companion shows the model's own quantization error: the
#: largest of right models that were measured is 0.1 of it. Models without integers hardly have one.
_COARSE_INTEGER, _COARSE_FLOAT = 0.1, 0.025
#: said of a verdict against a reference that nobody has shown right
_UNTRUSTED = "but that reference has not been shown right for this model, so it accuses nobody"


@dataclass(frozen=True, kw_only=True)
class ExactFigures:
    """Outputs beside those that are promised to the bit.

    Attributes:
        max_lsb_diff: largest difference, in steps.
        mismatch_share: share of outputs that are more than one step off.
        bit_identical: there is no difference at all.
        varied: their outputs are not the same for every sample, so that being equal to them says something.
    """

    max_lsb_diff: float
    mismatch_share: float
    bit_identical: bool
    varied: bool

    @property
    def settles(self) -> bool:
        """The outputs are right, whatever else could not be told of them: they equal right ones to the bit, and vary."""
        return self.bit_identical and self.varied


def judge_cell(
    model: PreparedModel,
    outputs: Sequence[np.ndarray],
    scores: Sequence[np.ndarray] | None = None,
    *,
    float16_accumulation: bool = False,
) -> Judgement | None:
    """What a device's outputs tell of it; None without a reference.

    Args:
        model: with its reference.
        outputs: one array per output, [n, ...], as stored, of the model's first samples.
        scores: the same of `model.scores`, where the device has run it.
        float16_accumulation: the ops ran on a delegate that sums in float16.

    Raises:
        ValueError: outputs of another shape than the reference's.
    """
    if model.reference is None:
        return None
    judged = _judge_model(model, outputs, _classes(model), float16_accumulation)
    if model.scores is None or model.scores.reference is None or not scores:
        return _of_boxes(judged) if model.suppressed else judged
    if model.suppressed:
        before = _judge_model(model.scores, scores, [None] * len(scores), float16_accumulation)
        return replace(before, rule=f"of the boxes and scores before suppression: {before.rule}")
    behind = _judge_model(model.scores, scores, [top_class] * len(scores), float16_accumulation)
    return _together(behind, judged)


def compare_exact(model: PreparedModel, outputs: Sequence[np.ndarray]) -> ExactFigures | None:
    """Outputs beside those of tflite-runtime 2.14.0's reference kernels; None where these say nothing of the model.

    Raises:
        ValueError: outputs of another shape.
    """
    if model.exact is None:
        return None
    off, varied = [], False
    for mine, exact, io, step in zip(outputs, model.exact.outputs, model.artifact.outputs, model.lsb, strict=True):
        count = min(len(mine), len(exact))
        if mine[:count].shape != exact[:count].shape:
            raise ValueError(f"outputs of shape {mine.shape} against {exact.shape}")
        varied |= bool((exact[:count] != exact[:1]).any())
        difference = np.abs(mine[:count].astype(np.float64) - exact[:count].astype(np.float64))
        steps = difference if io.scale or not step else difference / step
        # Float outputs behind a DEQUANTIZE carry float32 rounding: a hundredth of a step is not a step.
        off.append(np.where(np.isnan(steps), np.inf, np.round(steps, 2)).ravel())
    together = np.concatenate(off)
    return ExactFigures(
        max_lsb_diff=float(together.max(initial=0.0)),
        mismatch_share=float((together > 1).mean()) if together.size else 0.0,
        bit_identical=not together.any(),
        varied=varied,
    )


def real_outputs(outputs: Sequence[np.ndarray], io: Sequence[TensorIo]) -> list[np.ndarray]:
    """Outputs as real numbers: stored integers by r = S (q - Z); what is real already and class numbers as they are."""
    return [
        (values.astype(np.float64) - tensor.zero_point) * tensor.scale
        if tensor.scale and not np.issubdtype(values.dtype, np.floating)
        else values
        for values, tensor in zip(outputs, io, strict=True)
    ]


def reference_values(model: PreparedModel, reference: ReferenceOutputs) -> list[np.ndarray]:
    """A reference's outputs as real numbers."""
    return real_outputs(reference.outputs, model.artifact.outputs)


def _judge_model(
    model: PreparedModel, outputs: Sequence[np.ndarray], classes: Sequence[Classes | None], float16_accumulation: bool
) -> Judgement:
    reference = model.reference
    assert reference is not None
    io = model.artifact.outputs
    expected = real_outputs(reference.outputs, io)
    companions = expected if reference.companions is None else real_outputs(reference.companions, io)
    count = min(len(outputs[0]), len(expected[0]))
    judged = judge(
        [values[:count] for values in real_outputs(outputs, io)],
        [values[:count] for values in expected],
        [values[:count] for values in companions],
        steps=model.lsb or [None] * len(outputs),
        arithmetic=model.arithmetic,
        classes=classes,
        float16_accumulation=float16_accumulation,
        least_share=0.0 if reference.kind == "twin" else _coarse_share(model),
    )
    return judged if reference.kind == "twin" else _by_runtime(judged, model, reference)


def _coarse_share(model: PreparedModel) -> float:
    is_float = model.lsb and not any(model.lsb) and "integer" not in model.arithmetic
    return _COARSE_FLOAT if is_float else _COARSE_INTEGER


def _by_runtime(judged: Judgement, model: PreparedModel, reference: ReferenceOutputs) -> Judgement:
    """A verdict without a twin: what the reference cannot prove is undecided, and what is missing is told."""
    missing = reference.why or "the answers of its float twin were not kept"
    judged = replace(judged, rule=f"{judged.rule}; coarse, because {missing}", doubt=None)
    trusted = not any(model.lsb) if reference.trusted is None else reference.trusted
    if judged.verdict != "wrong" or trusted:
        return judged
    return replace(judged, verdict="undecided", reason=f"{judged.reason}, {_UNTRUSTED}")


def _classes(model: PreparedModel) -> list[Classes | None]:
    """What makes classes of each output: what its metric finds named by it; without a metric there are none."""
    found: list[Classes | None] = [None] * len(model.artifact.outputs)
    judged = [(model.output, model.metric), *((one.output, one.metric) for one in model.further)]
    for output, metric in judged:
        if metric is None or not metric.chooses:
            continue
        several = int(np.prod([max(1, d) for d in model.artifact.outputs[output].sample_shape], dtype=np.int64)) > 1
        # Of one output the largest is always the same: only a metric that knows a threshold makes classes of it.
        if several or metric.agreement(np.zeros((1, 1)), np.zeros((1, 1))) is not None:
            found[output] = functools.partial(_chosen, metric)
    return found


def _chosen(metric: Metric, values: np.ndarray) -> np.ndarray:
    """The class that each output names."""
    found = metric.chosen(values.astype(np.float64))
    assert found is not None, f"the metric {metric.name} says that outputs name classes, and names none"
    return found


def _of_boxes(judged: Judgement) -> Judgement:
    """A verdict on suppressed boxes alone: another list of them accuses nobody, and the same one clears."""
    if judged.verdict != "wrong":
        return judged
    why = "but which boxes suppression keeps is a matter of a hair, and those before it were not compared"
    return replace(judged, verdict="undecided", reason=f"{judged.reason}, {why}")


def _together(scores: Judgement, choice: Judgement) -> Judgement:
    """Scores and what was chosen from them: the scores decide, and a choice that is wrong for itself counts."""
    worse = choice if choice.verdict == "wrong" and scores.verdict != "wrong" else scores
    outputs: tuple[OutputFigures, ...] = (*scores.outputs, *choice.outputs)
    rule = f"of the scores before ARG_MAX: {scores.rule}; of the choice: {choice.rule}"
    return replace(worse, rule=rule, outputs=outputs, samples=max(scores.samples, choice.samples))
