"""The tree of a sub-model: chosen operators with all that they refer to, renumbered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.core.errors import UserInputError
from harness.tflite.cut.tree import Record

#: options that hold the numbers of subgraphs in a list
_CALLED_LISTS = ("called_computations",)
#: quantization details that hold numbers of tensors
_DETAIL_TENSORS = ("scales", "zero_points")


class SubModel:
    """One sub-model under construction."""

    def __init__(self, tree: Record, subgraph: Record) -> None:
        """
        Args:
            tree: the whole model, which is left as it is.
            subgraph: the subgraph of it that is cut.
        """
        self._tree = tree
        self._subgraph = subgraph
        self._buffers = [Record("Buffer")]
        self._buffer_places: dict[int, int] = {0: 0}
        self._codes: list[Record] = []
        self._code_places: dict[int, int] = {}
        self._subgraphs: list[Record] = []
        self._subgraph_places: dict[int, int] = {}

    def build(self, operators: list[Record], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Record:
        """The tree of a model of these operators between these tensors."""
        main = self._copied(self._subgraph, operators, inputs, outputs)
        return Record(
            "Model",
            version=self._tree.number("version", 3),
            operator_codes=self._codes,
            subgraphs=[main, *self._subgraphs],
            description=b"cut out of a larger model",
            buffers=self._buffers,
        )

    def _copied(
        self, subgraph: Record, operators: list[Record], inputs: tuple[int, ...], outputs: tuple[int, ...]
    ) -> Record:
        """A subgraph of these operators with only the tensors that they, the inputs and the outputs refer to."""
        tensors = subgraph.rows("tensors")
        used = sorted({*inputs, *outputs, *_referenced(tensors, operators)})
        places = {tensor: place for place, tensor in enumerate(used)}
        kept = [self._tensor(tensors[tensor], places) for tensor in used]
        given = set(inputs)
        moved = []
        for operator in operators:
            written = dict(places)
            for tensor in given.intersection(operator.indices("outputs")):
                # A node that also writes a tensor that is given from outside writes it into a copy that nobody reads.
                written[tensor] = len(kept)
                kept.append(kept[places[tensor]].copy())
            moved.append(self._operator(operator, places, written))
        return Record(
            "SubGraph",
            tensors=kept,
            inputs=_moved(inputs, places),
            outputs=_moved(outputs, places),
            operators=moved,
            name=subgraph["name"],
        )

    def _tensor(self, tensor: Record, places: dict[int, int]) -> Record:
        copy = tensor.copy()
        copy["buffer"] = self._buffer(tensor.number("buffer"))
        if _held_tensors(tensor):
            copy["quantization"] = quantization = tensor["quantization"].copy()
            quantization["details"] = details = quantization["details"].copy()
            for field in _DETAIL_TENSORS:
                if details.number(field, -1) in places:
                    details[field] = places[details.number(field)]
        return copy

    def _buffer(self, index: int) -> int:
        buffers = self._tree.rows("buffers")
        if index not in self._buffer_places:
            if index >= len(buffers) or not len(buffers[index]["data"] or b""):
                return 0
            self._buffer_places[index] = len(self._buffers)
            self._buffers.append(Record("Buffer", data=buffers[index]["data"]))
        return self._buffer_places[index]

    def _operator(self, operator: Record, places: dict[int, int], written: dict[int, int]) -> Record:
        copy = operator.copy()
        copy["opcode_index"] = self._code(operator.number("opcode_index"))
        copy["debug_metadata_index"] = None
        for field, where in (("inputs", places), ("outputs", written), ("intermediates", places)):
            if operator[field] is not None:
                copy[field] = _moved(operator.indices(field), where)
        for field in ("builtin_options", "builtin_options_2"):
            if operator[field] is not None:
                copy[field] = self._options(operator[field])
        return copy

    def _code(self, index: int) -> int:
        if index not in self._code_places:
            self._code_places[index] = len(self._codes)
            self._codes.append(self._tree.rows("operator_codes")[index])
        return self._code_places[index]

    def _options(self, options: Record) -> Record:
        """The options with the subgraphs they call taken along."""
        copy = options.copy()
        for field in _call_fields(options):
            index = options.number(field)
            if index >= 0:
                copy[field] = self._called(index)
        for field in _CALLED_LISTS:
            if options[field] is not None:
                copy[field] = np.array([self._called(int(index)) for index in options[field]], np.uint32)
        return copy

    def _called(self, index: int) -> int:
        subgraphs = self._tree.rows("subgraphs")
        if index >= len(subgraphs):
            raise UserInputError(f"is a corrupt .tflite file: a node calls subgraph {index} of {len(subgraphs)}")
        if index not in self._subgraph_places:
            # 0 will be the main subgraph; the place is taken before the subgraph is copied, because calls may nest.
            self._subgraph_places[index] = len(self._subgraphs) + 1
            self._subgraphs.append(Record("SubGraph"))
            place = len(self._subgraphs) - 1
            called = subgraphs[index]
            self._subgraphs[place] = self._copied(
                called, called.rows("operators"), called.indices("inputs"), called.indices("outputs")
            )
        return self._subgraph_places[index]


def _referenced(tensors: list[Record], operators: list[Record]) -> set[int]:
    """Every tensor that operators name, and those that the quantization of these refers to."""
    found: set[int] = set()
    for operator in operators:
        for field in ("inputs", "outputs", "intermediates"):
            found.update(t for t in operator.indices(field) if t >= 0)
    for tensor in list(found):
        found.update(_held_tensors(tensors[tensor]))
    return found


def _held_tensors(tensor: Record) -> list[int]:
    """The tensors in which a blockwise quantization keeps its scales and zero points."""
    quantization = tensor["quantization"]
    details = quantization["details"] if quantization is not None else None
    if details is None or details.table not in ("BlockwiseQuantization", "MultiAxisQuantization"):
        return []
    return [t for field in _DETAIL_TENSORS if (t := details.number(field, -1)) >= 0]


def _call_fields(options: Record) -> list[str]:
    return [
        f for f in options.values if f.endswith("subgraph_index") or (options.table, f) == ("CallOptions", "subgraph")
    ]


def _moved(tensors: Iterable[int], places: dict[int, int]) -> np.ndarray:
    return np.array([places[t] if t >= 0 else t for t in tensors], np.int32)
