"""What a device made of single ops, as numbers that a cell keeps: how far they are off, and nothing judged.

The outputs of every op would be too much to keep. Of an op that must be right to the step, it is enough how many outputs are how
far off; of the others, the figures of whole models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.measure.figures import OutputFigures, figures_of
from harness.measure.op_cases import OpCase
from harness.tflite.graph import Tensor

#: differences are counted in bins of this share of a step: finer is float32's, not the kernel's
BINS_PER_STEP = 100
#: what is further off than this many steps is counted together
MOST_STEPS = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class OpFacts:
    """One op on a device.

    Attributes:
        dtype: of its first output.
        off: where it must be right to the step: int64, how many outputs are at most 0, 1, 2, ... hundredths of a step off; the
            last bin at MOST_STEPS has all that are further.
        worst_steps: the largest difference in steps.
        whole: for the others, the figures of each output.
        arithmetic: what it computes in.
        samples: how many it was fed with.
        skipped: why the device did not run it; then there are no figures.
    """

    node: int
    op: str
    dtype: str
    arithmetic: str = "integer"
    samples: int = 0
    off: np.ndarray | None = None
    worst_steps: float | None = None
    whole: tuple[OutputFigures, ...] = ()
    skipped: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class OpsFacts:
    """The ops of a model on a device, in the order of the model.

    Attributes:
        unchecked: nodes that compute and that the check cannot speak of.
        problem: why it was not begun, or ended early.
    """

    ops: tuple[OpFacts, ...] = ()
    unchecked: tuple[int, ...] = ()
    problem: str | None = None


def op_facts(case: OpCase, outputs: Sequence[np.ndarray]) -> OpFacts:
    """What a device gave for one op, as numbers.

    Args:
        outputs: one array per output, [n, ...], as stored.

    Raises:
        ValueError: outputs of another shape.
    """
    facts = OpFacts(
        node=case.node,
        op=case.op,
        dtype=case.outputs[0].dtype,
        arithmetic=case.arithmetic,
        samples=len(case.expected[0]),
    )
    if case.to_the_step:
        off, worst = _steps_off(case, outputs)
        return replace(facts, off=off, worst_steps=worst)
    real = [
        _real(values, tensor).reshape(expected.shape)
        for values, tensor, expected in zip(outputs, case.outputs, case.expected, strict=True)
    ]
    whole = figures_of(
        real,
        case.expected,
        case.companions,
        steps=[tensor.scales[0] if tensor.scales else None for tensor in case.outputs],
        classes=[None] * len(outputs),
    )
    return replace(facts, whole=whole)


def skipped_op(case: OpCase, why: str) -> OpFacts:
    """An op that the device did not run."""
    return OpFacts(node=case.node, op=case.op, dtype=case.outputs[0].dtype, arithmetic=case.arithmetic, skipped=why)


def _steps_off(case: OpCase, outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """The counts of `OpFacts.off`, and the largest difference in steps. What the model itself leaves undefined is not counted."""
    parts = []
    for values, expected, tensor in zip(outputs, case.expected, case.outputs, strict=True):
        steps = np.abs(_real(values, tensor).reshape(expected.shape) - expected) / tensor.scales[0]
        parts.append(steps[np.isfinite(expected)].ravel())
    steps = np.concatenate(parts)
    bins = np.minimum(np.ceil(steps * BINS_PER_STEP - 1e-6), MOST_STEPS * BINS_PER_STEP).astype(np.int64)
    return np.bincount(bins), float(steps.max(initial=0.0))


def _real(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    if not tensor.scales:
        return np.asarray(values)
    return (values.astype(np.float64) - tensor.zero_points[0]) * tensor.scales[0]
