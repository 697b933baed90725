"""The per-op check: which op of a model does a device compute wrongly?

Whole models hide small defects, and outputs that hardly vary hide large ones. One op cannot: fed with the inputs that it has
inside the model, a right kernel gives every number to within one step of what the op is defined as, whatever its rounding. So
each op is cut out, run alone on the device, and held against the float twin's value before rounding. Measured on correct and
defective pairs of ops and runtimes: docs/internals/wrong.md.

Running gives facts (`run_ops`), and facts are judged (`judge_ops`), so that a stored cell can be judged again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.boards.base import WorkerFailure
from harness.core.errors import UnsupportedError, UserInputError
from harness.measure.op_cases import OpCase, Run
from harness.measure.op_facts import BINS_PER_STEP, OpFacts, OpsFacts, op_facts, skipped_op
from harness.measure.rule import judge_figures, spread_share

#: an op is wrong if more than this share of its outputs is further than its tolerance from the definition
_SHARE = 0.01
#: steps that a right kernel may be off
_STEPS = 1.0
#: (op, type of its output): steps where the right kernels themselves are less exact: this one looks exp up in a table of 513
_WIDER_STEPS = {("SOFTMAX", "int16"): 16.0}
#: how many wrong ops are named in a sentence
_NAMED = 3
#: why an op was not begun
LATE = "the cell's time is over"


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
        problem: why the check was not begun, or ended early.
    """

    ops: tuple[OpVerdict, ...]
    complete: bool
    unchecked: tuple[int, ...] = ()
    problem: str | None = None

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
        """One clause for a reader."""
        if self.wrong:
            first = self.wrong[0]
            more = [f"node {op.node} {op.op}" for op in self.wrong[1:_NAMED]]
            more += [f"{len(self.wrong) - _NAMED} more"] if len(self.wrong) > _NAMED else []
            others = f", and so {'are' if len(self.wrong) > 2 else 'is'} {' and '.join(more)}" if more else ""
            return f"alone on the device, node {first.node} {first.op} is wrong: {first.reason}{others}"
        run = sum(op.verdict == "ok" for op in self.ops)
        if self.verdict == "ok":
            return f"all {run} ops are right when each runs alone on the device"
        if self.problem and not run:
            return f"its ops could not be checked one by one: {self.problem}"
        if self.problem:
            return f"{run} ops are right when each runs alone, and the others were not checked: {self.problem}"
        left = next((op.reason for op in self.ops if op.verdict == "skipped" and op.reason), None)
        nodes = f"nodes {', '.join(map(str, self.unchecked))}" if self.unchecked else "the model has no op to check"
        return f"{run} of {len(self.ops) + len(self.unchecked)} ops are right when each runs alone; not checked: {left or nodes}"


def check_ops(
    cases: Iterable[OpCase],
    run: Run,
    *,
    seconds_left: Callable[[], float],
    unchecked: Sequence[int] = (),
    clock: Callable[[], float] = time.monotonic,
) -> OpCheck:
    """Runs each op alone on a device and judges it; see `run_ops`."""
    ops = tuple(run_ops(cases, run, seconds_left=seconds_left, clock=clock))
    return judge_ops(OpsFacts(ops=ops, unchecked=tuple(unchecked)))


def run_ops(
    cases: Iterable[OpCase],
    run: Run,
    *,
    seconds_left: Callable[[], float],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[OpFacts]:
    """Runs each op alone on a device.

    Args:
        cases: of `record_cases`; they may be made as they are asked for.
        run: on the device; WorkerFailure and other errors about the model cost that op only.
        seconds_left: until the cell's deadline. An op is begun only when the slowest op so far would still fit twice.
        clock: for `slowest op so far`.

    Raises:
        DeviceError: the board or the link failed.
    """
    slowest = 0.0
    for case in cases:
        if seconds_left() <= 2 * slowest:
            yield skipped_op(case, LATE)
            continue
        began = clock()
        try:
            outputs = run(case.model, case.inputs)
        except (WorkerFailure, UnsupportedError, UserInputError) as error:
            yield skipped_op(case, f"the device does not run it alone: {error.what}")
        else:
            yield _facts(case, outputs)
        slowest = max(slowest, clock() - began)


def judge_ops(facts: OpsFacts) -> OpCheck:
    """Judges what a device made of single ops."""
    verdicts = tuple(judge_facts(op) for op in facts.ops)
    complete = not facts.unchecked and facts.problem is None and all(op.verdict != "skipped" for op in verdicts)
    return OpCheck(ops=verdicts, complete=complete, unchecked=facts.unchecked, problem=facts.problem)


def judge_op(case: OpCase, outputs: Sequence[np.ndarray]) -> OpVerdict:
    """Judges what a device gave for one op."""
    return judge_facts(_facts(case, outputs))


def judge_facts(facts: OpFacts) -> OpVerdict:
    """Judges one op by its numbers."""
    if facts.skipped is not None:
        return _skipped(facts, facts.skipped)
    if facts.off is not None:
        return _judge_steps(facts, facts.off)
    # Float outputs, and recurrent ops: by the rule for whole models.
    judged = judge_figures(facts.whole, facts.samples, share=spread_share([facts.arithmetic]))
    if judged.verdict == "undecided":
        return _skipped(facts, f"its outputs tell nothing: {judged.reason}")
    return OpVerdict(node=facts.node, op=facts.op, verdict=judged.verdict, reason=judged.reason)


def _facts(case: OpCase, outputs: Sequence[np.ndarray]) -> OpFacts:
    try:
        return op_facts(case, outputs)
    except ValueError as error:  # shapes that are not the op's: it gave something else
        return skipped_op(case, f"what the device gives for it cannot be compared: {error}")


def _judge_steps(facts: OpFacts, off: np.ndarray) -> OpVerdict:
    allowed = _WIDER_STEPS.get((facts.op, facts.dtype), _STEPS)
    # A hundredth of a step is float32's, not the kernel's.
    count, beyond_count = int(off.sum()), int(off[round(allowed * BINS_PER_STEP) + 2 :].sum())
    if not count:
        return _skipped(facts, "its outputs tell nothing: the model itself gives no finite number")
    beyond = beyond_count / count
    verdict = OpVerdict(node=facts.node, op=facts.op, verdict="ok", beyond=beyond, worst_steps=facts.worst_steps)
    if beyond <= _SHARE:
        return verdict
    steps = f"{allowed:g} step{'s' if allowed > 1 else ''}"
    return OpVerdict(
        node=facts.node,
        op=facts.op,
        verdict="wrong",
        beyond=beyond,
        worst_steps=facts.worst_steps,
        reason=f"{beyond:.0%} of its outputs are more than {steps} off, the worst by {facts.worst_steps:.3g} (right kernels: at "
        f"most {_SHARE:.0%})",
    )


def _skipped(facts: OpFacts, why: str) -> OpVerdict:
    return OpVerdict(node=facts.node, op=facts.op, verdict="skipped", reason=why)
