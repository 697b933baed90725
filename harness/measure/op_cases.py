"""The ops of a model one by one: what each is fed inside the model, and what it must give, by the model's float twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.core.errors import HarnessError
from harness.tflite.arithmetic import node_arithmetic
from harness.tflite.cut.cutter import Cutter
from harness.tflite.fakequant.twin import Twin, float_twin
from harness.tflite.fakequant.values import LIMITS, Quantization
from harness.tflite.graph import Graph, Node, Tensor, read_graph

Run = Callable[[bytes, Sequence[np.ndarray]], Sequence[np.ndarray]]
"""Runs a .tflite on samples [n, ...] per input, without the batch axis where that is 1; gives [n, ...] per output."""

#: samples that are enough: an op that errs does so on many of its outputs
MAX_SAMPLES = 32
#: of these the twin says what they give as a whole, but not to the step: their inner sums are rounded too
RECURRENT = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "SVDF")
#: bytes of recorded tensors that are held at a time
_HELD_BYTES = 256 << 20
#: how numpy stores the types that activations may have
_STORED = {"int8": np.int8, "uint8": np.uint8, "int16": np.int16}


@dataclass(frozen=True, kw_only=True, eq=False)
class OpCase:
    """One op alone, what it is fed, and what it must give.

    Attributes:
        model: the op's own .tflite.
        inputs: [n, ...] per input, as stored.
        expected: real values per output, [n, ...]; where `to_the_step`, before rounding but within the range of the type.
        companions: the same by the op's companion twin; where `to_the_step`, `expected` again.
        outputs: the op's output tensors.
        to_the_step: a right kernel's outputs are these, rounded in one way or another.
    """

    node: int
    op: str
    arithmetic: str
    model: bytes
    inputs: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]
    companions: tuple[np.ndarray, ...]
    outputs: tuple[Tensor, ...]
    to_the_step: bool


def checkable(graph: Graph) -> tuple[int, ...]:
    """The nodes that the check can speak of: those that compute floats or quantized numbers from such."""
    found = []
    for node in graph.nodes:
        flowing = [
            t for t in (*graph.node_inputs(node), *graph.node_outputs(node)) if not t.is_constant and not t.is_variable
        ]
        numbers = all(t.dtype == "float32" or (t.scales and t.dtype in _STORED) for t in flowing)
        if _computes(graph, node) and numbers and any(True for _ in graph.node_outputs(node)):
            found.append(node.index)
    return tuple(found)


def uncheckable(graph: Graph) -> tuple[int, ...]:
    """The nodes that compute and that the check cannot speak of."""
    known = set(checkable(graph))
    return tuple(node.index for node in graph.nodes if _computes(graph, node) and node.index not in known)


def _computes(graph: Graph, node: Node) -> bool:
    return node_arithmetic(graph, node) in ("integer", "hybrid", "float", "weight-only") or node.op == "QUANTIZE"


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
                wanted[self._placed(tensor)] = None
                wanted[self._twin.unrounded.get(tensor, self._placed(tensor))] = None
        given = self._cutter.subgraph.indices("inputs")
        computed = [t for t in wanted if t not in given and t in self._cutter.producers]
        self._values = dict(zip(given, self._inputs, strict=True))
        if computed:
            outputs = self._run(self._cutter.between(given, computed).model, self._inputs)
            self._values.update(zip(computed, outputs, strict=True))

    def case(self, node: Node, model: bytes, inputs: Sequence[int]) -> OpCase:
        outputs = tuple(self._graph.node_outputs(node))
        to_the_step = node.op not in RECURRENT and all(tensor.index in self._twin.activations for tensor in outputs)
        expected = tuple(self._expected(tensor, before_rounding=to_the_step) for tensor in outputs)
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
            to_the_step=to_the_step,
        )
        if to_the_step:
            return case
        companion = float_twin(model, companion=True)
        return replace(case, companions=tuple(np.asarray(values) for values in self._run(companion.model, fed)))

    def _placed(self, tensor: int) -> int:
        return self._twin.places.get(tensor, tensor)

    def _expected(self, tensor: Tensor, *, before_rounding: bool) -> np.ndarray:
        quantization = self._twin.activations.get(tensor.index)
        if quantization is None or not before_rounding:
            return self._values[self._placed(tensor.index)].astype(np.float64)
        return np.clip(self._values[self._twin.unrounded[tensor.index]].astype(np.float64), *quantization.real_range())

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
    return np.clip(steps, low, high).astype(_STORED[quantization.dtype])


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
