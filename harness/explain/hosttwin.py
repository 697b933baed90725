"""A model's arithmetic on this machine, layer by layer: its float twin with single layers put back to float.

The twin (harness/tflite/fakequant/) computes in floats what the quantized model means. Here it is changed: a layer that is put
back to float gets its float weights, where they are known, and its outputs are not rounded. What the layers before it and after
it do stays. Models whose activations are floats (dynamic range) round the inputs of their products while they run; of these the
companion is taken, which has that rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.tflite.cut.cutter import Cutter
from harness.tflite.cut.edit import Editor
from harness.tflite.cut.tree import Record, op_name, read_tree, write_tree
from harness.tflite.fakequant.twin import Twin, float_twin
from harness.tflite.graph import Graph, Node

Constants = Mapping[tuple[int, int], np.ndarray]
"""(node, input position) -> its float constant."""

#: ops whose constants the twin has changed (harness/tflite/fakequant/recurrent.py)
_KEPT = ("LSTM", "RNN", "SVDF")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the twin holds what belongs to a layer's output.

    Attributes:
        value: what the next layers read.
        unrounded: what was computed, before it was rounded or clamped; the same where nothing is rounded.
        shadow: what it would have been with float weights, on the same inputs; None where nothing would differ.
    """

    value: int
    unrounded: int
    shadow: int | None = None


class HostTwin:
    """One model's twin, to be changed and run on this machine."""

    def __init__(self, model: bytes, graph: Graph, constants: Constants | None = None) -> None:
        """
        Args:
            model: the .tflite.
            graph: the same, read.
            constants: of the float model; None: what is stored stands for them.

        Raises:
            UnsupportedError: the model has no twin.
        """
        twin = float_twin(model)
        self.hybrid = not twin.activations and not twin.is_plain
        self._twin: Twin = float_twin(model, companion=True) if self.hybrid else twin
        self._graph = graph
        self._constants = constants or {}
        self.is_plain = twin.is_plain

    @property
    def model(self) -> bytes:
        return self._twin.model

    def placed(self, tensor: int) -> int:
        """The tensor of the twin that holds a tensor's value."""
        return self._twin.places.get(tensor, tensor)

    def real_range(self, tensor: int) -> tuple[float, float] | None:
        """What the type of an activation can hold; None where it is not rounded."""
        quantization = self._twin.activations.get(tensor)
        return None if quantization is None else quantization.real_range()

    def with_shadows(self, nodes: Iterable[int]) -> tuple[bytes, dict[int, Places]]:
        """The twin with a second copy of each layer that has float weights; and where what is, by node.

        The copy reads what the layer reads, so that the two differ by what the layer's own weights lose.
        """
        tree = read_tree(self._twin.model)
        editor, places = Editor(tree), {}
        producers = _producers(tree)
        for index in nodes:
            node = self._graph.nodes[index]
            raw = self._twin.unrounded.get(node.outputs[0], self.placed(node.outputs[0]))
            operator = self._operator(tree, producers, node, raw)
            shadow = None if operator is None else self._shadow(editor, operator, node, raw)
            places[index] = Places(value=self.placed(node.outputs[0]), unrounded=raw, shadow=shadow)
        return write_tree(tree), places

    def with_float(self, nodes: Iterable[int]) -> bytes:
        """The twin with these layers put back to float."""
        tree = read_tree(self._twin.model)
        editor = Editor(tree)
        producers = _producers(tree)
        for index in nodes:
            node = self._graph.nodes[index]
            for tensor in node.outputs:
                raw = self._twin.unrounded.get(tensor, self.placed(tensor))
                operator = self._operator(tree, producers, node, raw)
                if operator is not None:
                    operator["inputs"] = self._float_inputs(editor, operator, node)
                if tensor in self._twin.unrounded:
                    _read_instead(editor.subgraph, self.placed(tensor), raw)
        return write_tree(tree)

    # ------------------------------------------------------------------------------------------------------ helpers

    def _operator(self, tree: Record, producers: Mapping[int, Record], node: Node, raw: int) -> Record | None:
        """The twin's operator that stands for a node; None where it is another (QUANTIZE is only a rounding)."""
        operator = producers.get(raw)
        for _ in range(3):  # an LSTM's output may be mapped by two ops behind it
            if operator is None or op_name(tree, operator) == node.op:
                return operator
            operator = producers.get(operator.indices("inputs")[0])
        return None

    def _float_inputs(self, editor: Editor, operator: Record, node: Node) -> np.ndarray:
        """The operator's inputs with float constants, and without the rounding that a hybrid kernel does first."""
        inputs = np.array(operator.indices("inputs"), np.int32)
        if not any(word in node.op for word in _KEPT):
            for (index, position), values in self._constants.items():
                if index == node.index and position < len(inputs):
                    inputs[position] = editor.tensor("float constant", values.shape, "float32", data=values)
        source = _dynamic_source(editor.tree, operator) if self.hybrid else None
        if source is not None:
            place, tensor = source
            inputs[place] = tensor
        return inputs

    def _shadow(self, editor: Editor, operator: Record, node: Node, raw: int) -> int | None:
        inputs = self._float_inputs(editor, operator, node)
        outputs = operator.indices("outputs")
        if tuple(int(t) for t in inputs) == operator.indices("inputs") or raw not in outputs:
            return None
        copy, made = operator.copy(), []
        for tensor in outputs:
            record = editor.tensors[tensor]
            made.append(editor.tensor("with float weights", record.indices("shape"), "float32"))
            editor.tensors[made[-1]]["shape_signature"] = record["shape_signature"]
        copy["inputs"], copy["outputs"] = inputs, np.array(made, np.int32)
        operators = editor.subgraph.rows("operators")
        operators.insert(operators.index(operator) + 1, copy)
        return made[outputs.index(raw)]


def tapped(model: bytes, tensors: Sequence[int]) -> tuple[bytes, tuple[int, ...]]:
    """The model with inner tensors as its outputs, and which it gives: those that are computed, each once, in their order."""
    cutter = Cutter(model)
    given = cutter.subgraph.indices("inputs")
    wanted = tuple(t for t in dict.fromkeys(tensors) if t in cutter.producers and t not in given)
    return cutter.between(given, wanted).model, wanted


def _producers(tree: Record) -> dict[int, Record]:
    operators = tree.rows("subgraphs")[0].rows("operators")
    return {t: operator for operator in operators for t in operator.indices("outputs") if t >= 0}


def _read_instead(subgraph: Record, tensor: int, other: int) -> None:
    """Lets all that reads one tensor read another."""
    for operator in subgraph.rows("operators"):
        inputs = operator.indices("inputs")
        if tensor in inputs:
            operator["inputs"] = np.array([other if t == tensor else t for t in inputs], np.int32)
    outputs = subgraph.indices("outputs")
    subgraph["outputs"] = np.array([other if t == tensor else t for t in outputs], np.int32)


def _dynamic_source(tree: Record, operator: Record) -> tuple[int, int] | None:
    """Which input of an operator is rounded while it runs, and what it is rounded from; None where none is.

    The rounding is the chain that `harness.tflite.fakequant.dynamic` makes: x -> x / s -> + 1/2 -> floor -> * s.
    """
    producers = _producers(tree)
    for position, tensor in enumerate(operator.indices("inputs")):
        chain: list[str] = []
        last = producers.get(tensor)
        while last is not None and len(chain) < 4:
            chain.append(op_name(tree, last))
            source = last.indices("inputs")[0]
            last = producers.get(source)
        if chain[:4] == ["MUL", "FLOOR", "ADD", "DIV"]:
            return position, source
    return None
