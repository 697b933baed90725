"""Sub-models of a .tflite between any of its tensors, and models of one op.

A cut keeps everything a runtime looks at: shapes, types and quantization of tensors, constants, op codes and versions,
options, custom options, variable tensors (they start from their initial state), and whole subgraphs that its nodes call (IF,
WHILE, composites). Signatures and metadata are left behind: they describe the whole model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.core.errors import UnsupportedError, UserInputError
from harness.tflite.cut.submodel import SubModel
from harness.tflite.cut.tree import op_name, read_tree, write_tree

#: ops whose effect or result lies outside of tensors, so that no set of tensors stands for their state
_STATEFUL = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"}


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A sub-model and where it comes from. Indices are those of the whole model's subgraph.

    Attributes:
        model: the .tflite.
        inputs, outputs: tensors of the whole model, in the order of the cut's own inputs and outputs.
        nodes: nodes of the whole model, in order.
    """

    model: bytes
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    nodes: tuple[int, ...]


class Cutter:
    """Cuts one model. It is read once; the cuts share nothing with each other."""

    def __init__(self, model: bytes | memoryview, *, subgraph: int = 0) -> None:
        """
        Args:
            model: the .tflite.
            subgraph: the subgraph to cut, for models that have one per signature.

        Raises:
            UserInputError: no such subgraph, or a damaged model.
            UnsupportedError: tables that this harness cannot copy.
        """
        self.tree = read_tree(model)
        subgraphs = self.tree.rows("subgraphs")
        if not 0 <= subgraph < len(subgraphs):
            raise UserInputError(
                f"there is no subgraph {subgraph}", hint=f"the model has {len(subgraphs)}, counted from 0"
            )
        self.subgraph = subgraphs[subgraph]
        self.tensors = self.subgraph.rows("tensors")
        self.operators = self.subgraph.rows("operators")

    @cached_property
    def producers(self) -> dict[int, int]:
        """Tensor -> the node that writes it."""
        return {t: n for n, operator in enumerate(self.operators) for t in operator.indices("outputs") if t >= 0}

    @cached_property
    def varying(self) -> frozenset[int]:
        """The tensors that depend on the model's inputs; what others hold is known without running the model."""
        found = set(self.subgraph.indices("inputs"))
        for operator in self.operators:
            reads = operator.indices("inputs")
            if found.intersection(reads) or op_name(self.tree, operator) in _STATEFUL or self._has_state(reads):
                found.update(operator.indices("outputs"))
        return frozenset(found)

    def between(self, inputs: Sequence[int], outputs: Sequence[int]) -> Cut:
        """The sub-model that computes some tensors from others.

        Args:
            inputs: the tensors that will be given. Those not needed stay inputs all the same.
            outputs: the tensors that are wanted.

        Raises:
            UserInputError: tensors that do not exist or cannot stand in their place, or outputs that need more than `inputs`.
            UnsupportedError: nodes that keep state outside of tensors.
        """
        self._check(inputs, outputs)
        nodes = self._needed(inputs, outputs)
        for node in nodes:
            name = op_name(self.tree, self.operators[node])
            if name in _STATEFUL:
                raise UnsupportedError(
                    f"node {node} {name} keeps state outside of tensors: it cannot be cut out",
                    hint="cut before or after the nodes that read and write variables",
                )
        sub_model = SubModel(self.tree, self.subgraph)
        tree = sub_model.build([self.operators[node] for node in nodes], tuple(inputs), tuple(outputs))
        return Cut(model=write_tree(tree), inputs=tuple(inputs), outputs=tuple(outputs), nodes=nodes)

    def one_op(self, node: int) -> Cut:
        """The model of one node: what varies among its inputs becomes the model's inputs, all its outputs are outputs.

        Nodes that compute from constants alone (a DEQUANTIZE of weights) come along with the node that reads them.

        Raises:
            UserInputError: no such node, or one that reads nothing that varies.
            UnsupportedError: as for `between`.
        """
        if not 0 <= node < len(self.operators):
            raise UserInputError(
                f"there is no node {node}", hint=f"the model has {len(self.operators)}, counted from 0"
            )
        operator = self.operators[node]
        given = [t for t in dict.fromkeys(operator.indices("inputs")) if t in self.varying]
        if not given:
            raise UserInputError(f"node {node} {op_name(self.tree, operator)} computes from constants alone")
        return self.between(given, [t for t in operator.indices("outputs") if t >= 0])

    def alive_after(self, node: int) -> tuple[int, ...]:
        """The tensors that a cut right after a node hands over: computed up to there and still needed, in order of birth."""
        born = [*self.subgraph.indices("inputs")]
        for operator in self.operators[: node + 1]:
            born += [t for t in operator.indices("outputs") if t >= 0]
        needed = set(self.subgraph.indices("outputs"))
        for operator in self.operators[node + 1 :]:
            needed.update(operator.indices("inputs"))
        return tuple(t for t in dict.fromkeys(born) if t in needed and t in self.varying)

    def chain(self, after: Iterable[int]) -> tuple[Cut, ...]:
        """The model in pieces that follow each other, cut after each of these nodes.

        A piece reads the model's inputs and what pieces before it gave; together they give the model's outputs.
        """
        last = len(self.operators) - 1
        given = set(self.subgraph.indices("inputs"))
        cuts = []
        for node in sorted({*after, last}):
            handed = self.alive_after(node) if node < last else self.subgraph.indices("outputs")
            wanted = [t for t in dict.fromkeys(handed) if t not in given and t in self.producers]
            if wanted:
                cuts.append(self.between(self._read(given, wanted), wanted))
            given.update(wanted)
        return tuple(cuts)

    # ------------------------------------------------------------------------------------------------------ helpers

    def name_of(self, tensor: int) -> str:
        return f"tensor {tensor} '{self.tensors[tensor].text('name')}'"

    def is_constant(self, tensor: int) -> bool:
        buffers = self.tree.rows("buffers")
        index = self.tensors[tensor].number("buffer")
        return 0 < index < len(buffers) and bool(len(buffers[index]["data"] or b""))

    def _has_state(self, tensors: Iterable[int]) -> bool:
        return any(t >= 0 and self.tensors[t].values.get("is_variable", False) for t in tensors)

    def _check(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        for tensor in (*inputs, *outputs):
            if not 0 <= tensor < len(self.tensors):
                raise UserInputError(
                    f"there is no tensor {tensor}", hint=f"the model has {len(self.tensors)}, counted from 0"
                )
        if not outputs:
            raise UserInputError("a cut needs at least one output")
        for tensor in inputs:
            if self.is_constant(tensor) or self._has_state([tensor]):
                kind = "a constant" if self.is_constant(tensor) else "a variable"
                raise UserInputError(f"{self.name_of(tensor)} is {kind}: it cannot be an input of a cut")
            if tensor in outputs:
                raise UserInputError(f"{self.name_of(tensor)} cannot be both input and output of a cut")
        for tensor in outputs:
            if tensor not in self.producers:
                raise UserInputError(
                    f"{self.name_of(tensor)} is not computed by any node: it cannot be an output of a cut"
                )

    def _read(self, given: set[int], wanted: Sequence[int]) -> list[int]:
        """Which of the given tensors the wanted ones are computed from."""
        nodes = self._needed(sorted(given), wanted)
        return sorted(given.intersection(t for node in nodes for t in self.operators[node].indices("inputs")))

    def _needed(self, inputs: Sequence[int], outputs: Sequence[int]) -> tuple[int, ...]:
        """The nodes between, found by walking back from the outputs."""
        given, wanted = set(inputs), list(outputs)
        nodes: set[int] = set()
        model_inputs = set(self.subgraph.indices("inputs"))
        while wanted:
            tensor = wanted.pop()
            if tensor < 0 or tensor in given:
                continue
            given.add(tensor)
            node = self.producers.get(tensor)
            if node is None:
                if tensor in model_inputs:
                    raise UserInputError(
                        f"the outputs need {self.name_of(tensor)}, which is not among the inputs",
                        hint=f"add tensor {tensor} to the inputs of the cut",
                    )
                continue
            nodes.add(node)
            wanted.extend(self.operators[node].indices("inputs"))
        return tuple(sorted(nodes))
