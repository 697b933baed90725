"""The per-op check: which op of a model does a device compute wrongly?

Whole models hide small defects, and outputs that hardly vary hide large ones. One op cannot: fed with the inputs that it has
inside the model, a right kernel gives every number to within one step of what the op is defined as, whatever its rounding. So
each op is cut out, run alone on the device, and held against the float twin's value before rounding. Measured on correct and
defective pairs of ops and runtimes: docs/internals/wrong.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.boards.base import WorkerFailure
from harness.core.errors import UnsupportedError, UserInputError
from harness.measure.op_cases import OpCase, Run
from harness.measure.rule import judge
from harness.tflite.graph import Tensor

#: an op is wrong if more than this share of its outputs is further than its tolerance from the definition
_SHARE = 0.01
#: steps that a right kernel may be off
_STEPS = 1.0
#: (op, type of its output): steps where the right kernels themselves are less exact: this one looks exp up in a table of 513
_WIDER_STEPS = {("SOFTMAX", "int16"): 16.0}


@dataclass(frozen=True, kw_only=True)
class OpVerdict:
    """What the device made of one op.

    Attributes:
        verdict: `skipped`: the device did not run this op alone, or time ran out.
        beyond: the share of its outputs that are too far off; None when it was not run.
        worst_steps: the largest difference, in steps of the output; None for float outputs.
        reason: why it is wrong or skipped.
    """

    node: int
    op: str
    verdict: Literal["ok", "wrong", "skipped"]
    beyond: float | None = None
    worst_steps: float | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class OpCheck:
    """The ops of a model on a device, in the order of the model.

    Attributes:
        complete: every op that can be checked was run.
        unchecked: nodes that compute and that the check cannot speak of.
    """

    ops: tuple[OpVerdict, ...]
    complete: bool
    unchecked: tuple[int, ...] = ()

    @property
    def wrong(self) -> tuple[OpVerdict, ...]:
        return tuple(op for op in self.ops if op.verdict == "wrong")

    @property
    def verdict(self) -> Literal["ok", "wrong", "undecided"]:
        """`ok` only if every op was run and is right."""
        if self.wrong:
            return "wrong"
        return "ok" if self.complete and self.ops else "undecided"

    @property
    def words(self) -> str:
        """One sentence for a reader."""
        if self.wrong:
            first = self.wrong[0]
            others = f", and {len(self.wrong) - 1} more" if len(self.wrong) > 1 else ""
            return f"alone on the device, node {first.node} {first.op} is wrong: {first.reason}{others}"
        run = sum(op.verdict == "ok" for op in self.ops)
        if self.verdict == "ok":
            return f"all {run} ops are right when each runs alone on the device"
        left = next((op.reason for op in self.ops if op.verdict == "skipped" and op.reason), None)
        nodes = f"nodes {', '.join(map(str, self.unchecked))}" if self.unchecked else "the model has no op to check"
        return f"{run} of {len(self.ops) + len(self.unchecked)} ops are right when each runs alone; not checked: {left or nodes}"


def check_ops(
    cases: Sequence[OpCase],
    run: Run,
    *,
    seconds_left: Callable[[], float],
    unchecked: Sequence[int] = (),
    clock: Callable[[], float] = time.monotonic,
) -> OpCheck:
    """Runs each op alone on a device and judges it.

    Args:
        cases: of `record_cases`.
        run: on the device; WorkerFailure and other errors about the model cost that op only.
        seconds_left: until the cell's deadline. An op is begun only when the slowest op so far would still fit twice.
        unchecked: of `uncheckable`.
        clock: for `slowest op so far`.

    Raises:
        DeviceError: the board or the link failed.
    """
    verdicts: list[OpVerdict] = []
    slowest = 0.0
    for case in cases:
        if seconds_left() <= 2 * slowest:
            verdicts.append(_skipped(case, "the cell's time is over"))
            continue
        began = clock()
        try:
            outputs = run(case.model, case.inputs)
        except (WorkerFailure, UnsupportedError, UserInputError) as error:
            verdicts.append(_skipped(case, f"the device does not run it alone: {error}"))
        else:
            verdicts.append(judge_op(case, outputs))
        slowest = max(slowest, clock() - began)
    complete = not unchecked and all(op.verdict != "skipped" for op in verdicts)
    return OpCheck(ops=tuple(verdicts), complete=complete, unchecked=tuple(unchecked))


def judge_op(case: OpCase, outputs: Sequence[np.ndarray]) -> OpVerdict:
    """Judges what a device gave for one op."""
    if any(not np.isfinite(values.astype(np.float64)).all() for values in outputs):
        return OpVerdict(
            node=case.node, op=case.op, verdict="wrong", beyond=1.0, reason="it gives values that are no numbers"
        )
    return _judge_steps(case, outputs) if case.to_the_step else _judge_whole(case, outputs)


def _judge_whole(case: OpCase, outputs: Sequence[np.ndarray]) -> OpVerdict:
    """By the rule for whole models: float outputs, and recurrent ops."""
    judged = judge(
        [_real(values, tensor) for values, tensor in zip(outputs, case.outputs, strict=True)],
        case.expected,
        case.companions,
        steps=[tensor.scales[0] if tensor.scales else None for tensor in case.outputs],
        arithmetic=[case.arithmetic],
        classes=[None] * len(outputs),
    )
    if judged.verdict == "undecided":
        return _skipped(case, f"its outputs tell nothing: {judged.reason}")
    return OpVerdict(node=case.node, op=case.op, verdict=judged.verdict, reason=judged.reason)


def _judge_steps(case: OpCase, outputs: Sequence[np.ndarray]) -> OpVerdict:
    off = []
    for values, expected, tensor in zip(outputs, case.expected, case.outputs, strict=True):
        off.append((np.abs(_real(values, tensor).reshape(expected.shape) - expected) / tensor.scales[0]).ravel())
    steps = np.concatenate(off)
    allowed = _WIDER_STEPS.get((case.op, case.outputs[0].dtype), _STEPS)
    # A hundredth of a step is float32's, not the kernel's.
    beyond = float((steps > allowed + 0.01).mean())
    if beyond <= _SHARE:
        return OpVerdict(node=case.node, op=case.op, verdict="ok", beyond=beyond, worst_steps=float(steps.max()))
    return OpVerdict(
        node=case.node,
        op=case.op,
        verdict="wrong",
        beyond=beyond,
        worst_steps=float(steps.max()),
        reason=f"{beyond:.0%} of its outputs are more than {allowed:g} step{'s' if allowed > 1 else ''} off, "
        f"the worst by {steps.max():.3g} (right kernels: at most {_SHARE:.0%})",
    )


def _real(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    if not tensor.scales:
        return np.asarray(values)
    return (values.astype(np.float64) - tensor.zero_points[0]) * tensor.scales[0]


def _skipped(case: OpCase, why: str) -> OpVerdict:
    return OpVerdict(node=case.node, op=case.op, verdict="skipped", reason=why)
