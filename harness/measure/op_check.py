"""The per-op check: which op of a model does a device compute wrongly?

Whole models hide small defects, and outputs that hardly vary hide large ones. One op cannot: fed with the inputs that it has
inside the model, a right kernel gives every number to within one step of what the op is defined as, whatever its rounding. So
each op is cut out, run alone on the device, and held against the float twin's value before rounding. Measured on correct and
defective pairs of ops and runtimes: docs/internals/wrong.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.boards.base import WorkerFailure
from harness.core.errors import HarnessError, UnsupportedError, UserInputError
from harness.measure.rule import judge
from harness.tflite.arithmetic import node_arithmetic
from harness.tflite.cut.cutter import Cutter
from harness.tflite.fakequant.twin import Twin, float_twin
from harness.tflite.fakequant.values import LIMITS, Quantization
from harness.tflite.graph import Graph, Node, Tensor, read_graph

Run = Callable[[bytes, Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Runs a .tflite on samples [n, ...] per input, without the batch axis where that is 1; gives [n, ...] per output."""

#: samples that are enough: an op that errs does so on many of its outputs
MAX_SAMPLES = 32
#: an op is wrong if more than this share of its outputs is further than its tolerance from the definition
_SHARE = 0.01
#: steps that a right kernel may be off
_STEPS = 1.0
#: (op, type of its output): steps where the right kernels themselves are less exact: this one looks exp up in a table of 513
_WIDER_STEPS = {("SOFTMAX", "int16"): 16.0}
#: ops that only move, choose or convert numbers of one scale, or name shapes: nothing that can be computed wrongly
_RECURRENT_OPS = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "SVDF")
#: bytes of recorded tensors that are held at a time
_HELD_BYTES = 256 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class OpCase:
    """One op alone, what it is fed, and what it must give.

    Attributes:
        model: the op's own .tflite.
        inputs: [n, ...] per input, as stored.
        expected: real values per output, [n, ...], before rounding but within the range of the output's type.
        companions: the same of the twin's companion, for outputs that are floats; `expected` again for others.
        outputs: the op's output tensors.
    """

    node: int
    op: str
    arithmetic: str
    model: bytes
    inputs: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]
    companions: tuple[np.ndarray, ...]
    outputs: tuple[Tensor, ...]


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
        unchecked: ops that no float says anything about, or that the model's twin does not have.
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
        left = next(
            (op.reason for op in self.ops if op.verdict == "skipped" and op.reason), "the model has no op to check"
        )
        return f"{run} of {len(self.ops) + len(self.unchecked)} ops are right when each runs alone; not checked: {left}"


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
        unchecked: nodes without a case.
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
    if any(tensor.scales for tensor in case.outputs):
        return _judge_steps(case, outputs)
    verdict = judge(
        [np.asarray(values) for values in outputs],
        case.expected,
        case.companions,
        steps=[None] * len(outputs),
        arithmetic=[case.arithmetic],
        classes=[None] * len(outputs),
    )
    wrong = verdict.verdict == "wrong"
    return OpVerdict(
        node=case.node, op=case.op, verdict="wrong" if wrong else "ok", reason=verdict.reason if wrong else None
    )


def _judge_steps(case: OpCase, outputs: Sequence[np.ndarray]) -> OpVerdict:
    off = []
    for values, expected, tensor in zip(outputs, case.expected, case.outputs, strict=True):
        scale, zero = tensor.scales[0], tensor.zero_points[0]
        real = (values.astype(np.float64) - zero) * scale
        off.append((np.abs(real.reshape(expected.shape) - expected) / scale).ravel())
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


def _skipped(case: OpCase, why: str) -> OpVerdict:
    return OpVerdict(node=case.node, op=case.op, verdict="skipped", reason=why)


# ------------------------------------------------------------------------------------------------------------ recording


def checkable(graph: Graph) -> tuple[int, ...]:
    """The nodes that compute from activations: those the check can speak of."""
    found = []
    for node in graph.nodes:
        flowing = [t for t in (*graph.node_inputs(node), *graph.node_outputs(node)) if not t.is_constant]
        outputs = list(graph.node_outputs(node))
        computes = (
            node_arithmetic(graph, node) in ("integer", "hybrid", "float", "weight-only") or node.op == "QUANTIZE"
        )
        numbers = all(t.dtype == "float32" or (t.scales and t.dtype in LIMITS) for t in flowing)
        if computes and outputs and numbers and node.op not in _RECURRENT_OPS:
            found.append(node.index)
    return tuple(found)


def record_cases(
    model: bytes, inputs: Sequence[np.ndarray], run_float: Run, *, samples: int = MAX_SAMPLES
) -> Iterator[OpCase]:
    """The cases of a model: each op with the inputs it has inside the model, as the float twin computes them.

    Args:
        model: the .tflite.
        inputs: samples of the model, as stored; the first `samples` are used.
        run_float: runs a float model on trusted float kernels.

    Raises:
        UnsupportedError: a model without a float twin.
    """
    graph, cutter = read_graph(model), Cutter(model)
    twin = float_twin(model)
    few = [np.asarray(values[:samples]) for values in inputs]
    recorder = _Recorder(twin, graph, few, run_float)
    for nodes in _in_portions(graph, checkable(graph), len(few[0])):
        recorder.record(nodes)
        for number in nodes:
            node = graph.nodes[number]
            try:
                cut = cutter.one_op(number)
            except HarnessError:
                continue  # computes from constants alone
            yield recorder.case(node, cut.model, cut.inputs)


class _Recorder:
    """Values inside the float twin, a few nodes at a time."""

    def __init__(self, twin: Twin, graph: Graph, inputs: list[np.ndarray], run: Run) -> None:
        self._twin = twin
        self._graph = graph
        self._inputs = inputs
        self._run = run
        self._cutter = Cutter(twin.model)
        self._values: dict[int, np.ndarray] = {}

    def record(self, nodes: Sequence[int]) -> None:
        """Runs the twin once for all that these nodes read and write."""
        wanted: dict[int, None] = {}
        for number in nodes:
            node = self._graph.nodes[number]
            for tensor in node.inputs:
                if tensor >= 0 and not self._graph.tensors[tensor].is_constant:
                    wanted[self._placed(tensor)] = None
            for tensor in node.outputs:
                wanted[self._twin.unrounded.get(tensor, self._placed(tensor))] = None
        given = self._cutter.subgraph.indices("inputs")
        computed = [t for t in wanted if t not in given and t in self._cutter.producers]
        self._values = dict(zip(given, self._inputs, strict=True))
        if computed:
            outputs = self._run(self._cutter.between(given, computed).model, self._inputs)
            self._values.update(zip(computed, outputs, strict=True))

    def case(self, node: Node, model: bytes, inputs: Sequence[int]) -> OpCase:
        outputs = tuple(self._graph.node_outputs(node))
        expected = tuple(self._expected(tensor) for tensor in outputs)
        fed = tuple(self._stored(tensor) for tensor in inputs)
        case = OpCase(
            node=node.index,
            op=node.op,
            arithmetic=node_arithmetic(self._graph, node),
            model=model,
            inputs=fed,
            expected=expected,
            companions=expected,
            outputs=outputs,
        )
        if case.arithmetic == "hybrid":
            companion = float_twin(model, companion=True)
            return replace(case, companions=tuple(np.asarray(v) for v in self._run(companion.model, fed)))
        return case

    def _placed(self, tensor: int) -> int:
        return self._twin.places.get(tensor, tensor)

    def _expected(self, tensor: Tensor) -> np.ndarray:
        values = self._values[self._twin.unrounded.get(tensor.index, self._placed(tensor.index))].astype(np.float64)
        quantization = self._twin.activations.get(tensor.index)
        return values if quantization is None else np.clip(values, *quantization.real_range())

    def _stored(self, tensor: int) -> np.ndarray:
        """What the op reads, in the dtype of its input."""
        values = self._values[self._placed(tensor)]
        quantization = self._twin.activations.get(tensor)
        if quantization is None or values.dtype != np.float32:
            return values
        return _steps_of(values, quantization)


def _steps_of(values: np.ndarray, quantization: Quantization) -> np.ndarray:
    low, high = LIMITS[quantization.dtype]
    steps = np.round(values.astype(np.float64) / quantization.scales[0]) + quantization.zero_points[0]
    return np.clip(steps, low, high).astype(quantization.dtype)


def _in_portions(graph: Graph, nodes: Sequence[int], samples: int) -> Iterator[list[int]]:
    """Nodes in groups whose recorded tensors fit the memory."""
    portion: list[int] = []
    held = 0
    for number in nodes:
        node = graph.nodes[number]
        size = 4 * samples * sum(t.element_count for t in (*graph.node_inputs(node), *graph.node_outputs(node)))
        if portion and held + size > _HELD_BYTES:
            yield portion
            portion, held = [], 0
        portion.append(number)
        held += size
    if portion:
        yield portion
