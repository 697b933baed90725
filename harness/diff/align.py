"""Which node of one model is which node of another, whatever their tensors are called.

Every node is likened to every node of the same op: by shapes, options and constants of its own, and by how alike the nodes are
that it reads from and that read from it, again and again until that has come from far (similarity flooding: Melnik,
Garcia-Molina and Rahm, ICDE 2002). Among nodes of one op the pairing with the greatest likeness in all is then taken (linear
assignment). QUANTIZE and DEQUANTIZE are looked through, so that a quantized model and its float twin align.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.tflite.graph import Graph, Node
from harness.workloads.input_names import same_inputs

#: ops that say how values are stored and nothing of what is computed
TRANSPARENT = frozenset({"QUANTIZE", "DEQUANTIZE"})
#: what a node of the same op is worth by itself, and what its own parts add
_SAME_OP, _OUTPUTS, _INPUTS, _CONSTANT_SHAPES, _OPTIONS, _CONSTANTS = 0.3, 0.2, 0.1, 0.15, 0.1, 0.15
#: how far likeness travels along the graph, in nodes
_ROUNDS = 8
#: less is no pair: the same op, in another place, between others
_LEAST = 0.2
#: of two pairings that are equally alike, the one that keeps the order
_ORDER = 0.02
#: in the place of a node: nobody computes it
_NOBODY = -(1 << 20)


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Two graphs beside each other, as numbers of nodes.

    Attributes:
        pairs: (node of A, node of B), in the order of A.
        removed, added: nodes of A alone, and of B alone.
        moved: pairs whose place among the others is another one and that read from another node.
        rewired: pairs in their place that read from another node, where no added, removed or moved node explains it.
    """

    pairs: tuple[tuple[int, int], ...]
    removed: tuple[int, ...]
    added: tuple[int, ...]
    moved: tuple[tuple[int, int], ...] = ()
    rewired: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What of a node is compared: no name is in it."""

    op: str
    outputs: tuple[tuple[int, ...], ...]
    inputs: tuple[tuple[int, ...], ...]
    constant_shapes: tuple[tuple[int, ...], ...]
    constants: tuple[str, ...]
    options: str


@dataclass(kw_only=True)
class _Side:
    graph: Graph
    facts: list[_Facts]
    before: list[list[int]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)


def align(a: Graph, b: Graph) -> Alignment:
    """The nodes of two models' main graphs beside each other."""
    one, two = _side(a), _side(b)
    pairs = _assign(one, two, _flooded(one, two))
    matched_a, matched_b = {i for i, _ in pairs}, {j for _, j in pairs}
    removed = tuple(i for i in range(len(a.nodes)) if i not in matched_a)
    added = tuple(j for j in range(len(b.nodes)) if j not in matched_b)
    moved, rewired = _places(one, two, pairs, set(removed), set(added))
    return Alignment(pairs=tuple(pairs), removed=removed, added=added, moved=moved, rewired=rewired)


def op_of(node: Node) -> str:
    """The op as a reader knows it: of a custom op its own name."""
    return node.custom_name or node.op


def _side(graph: Graph) -> _Side:
    side = _Side(graph=graph, facts=[_facts(graph, node) for node in graph.nodes])
    side.before = [[_seen_through(graph, t) for t in _data_inputs(graph, node)] for node in graph.nodes]
    side.after = [[] for _ in graph.nodes]
    for number, sources in enumerate(side.before):
        if side.facts[number].op in TRANSPARENT:
            continue
        for source in sources:
            if source >= 0:
                side.after[source].append(number)
    return side


def _facts(graph: Graph, node: Node) -> _Facts:
    constants = [t for t in graph.node_inputs(node) if t.is_constant]
    return _Facts(
        op=op_of(node),
        outputs=tuple(t.shape for t in graph.node_outputs(node)),
        inputs=tuple(t.shape for t in graph.node_inputs(node) if not t.is_constant),
        constant_shapes=tuple(t.shape for t in constants),
        constants=tuple(hashlib.sha256(t.raw).hexdigest() for t in constants if t.raw is not None),
        options=json.dumps(node.options, sort_keys=True, default=str),
    )


def _data_inputs(graph: Graph, node: Node) -> list[int]:
    return [t for t in node.inputs if t >= 0 and not graph.tensors[t].is_constant]


def _seen_through(graph: Graph, tensor: int) -> int:
    """The node that computes a tensor's values, through conversions; -1 - n: input n of the model; _NOBODY: neither."""
    for _ in range(len(graph.nodes) + 1):
        node = graph.producers.get(tensor)
        if node is None:
            return -1 - graph.inputs.index(tensor) if tensor in graph.inputs else _NOBODY
        inputs = _data_inputs(graph, node)
        if node.op not in TRANSPARENT or len(inputs) != 1:
            return node.index
        tensor = inputs[0]
    return _NOBODY


def _own_likeness(a: _Facts, b: _Facts) -> float:
    same_constants = a.constants == b.constants and bool(a.constants)
    return (
        _SAME_OP
        + _OUTPUTS * (a.outputs == b.outputs)
        + _INPUTS * (a.inputs == b.inputs)
        + _CONSTANT_SHAPES * (a.constant_shapes == b.constant_shapes)
        + _OPTIONS * (a.options == b.options)
        + _CONSTANTS * (same_constants or not (a.constants or b.constants))
    )


def _flooded(a: _Side, b: _Side) -> np.ndarray:
    """How alike each node of A and each of B are with their surroundings, float64 [n, m]; 0 for other ops."""
    own = _own(a.facts, b.facts)
    n, m = own.shape
    # One more row and column for what no node is, and then one each for the models' inputs, which are alike by their names.
    inputs = max(len(a.graph.inputs), len(b.graph.inputs))
    likeness = np.zeros((n + 1 + inputs, m + 1 + inputs))
    for place, other in enumerate(same_inputs(a.graph, b.graph)):
        likeness[n + 1 + place, m + 1 + other] = 1.0
    likeness[:n, :m] = own
    read_a, read_b = _padded(a.before, n), _padded(b.before, m)
    readers_a, readers_b = _padded(a.after, n), _padded(b.after, m)
    for _ in range(_ROUNDS):
        around = 0.3 * _sources(likeness, read_a, read_b) + 0.3 * _readers(likeness, readers_a, readers_b)
        likeness[:n, :m] = own * (0.4 + around)
    return likeness[:n, :m]


def _own(a: Sequence[_Facts], b: Sequence[_Facts]) -> np.ndarray:
    """How alike nodes are by themselves. Nodes with the same facts are looked at once."""
    kinds_a, kinds_b = list(dict.fromkeys(a)), list(dict.fromkeys(b))
    table = np.array([[_own_likeness(x, y) if x.op == y.op else 0.0 for y in kinds_b] for x in kinds_a])
    place_a, place_b = {k: i for i, k in enumerate(kinds_a)}, {k: i for i, k in enumerate(kinds_b)}
    return table.reshape(len(kinds_a), len(kinds_b))[
        np.array([place_a[k] for k in a], dtype=np.intp)[:, None],
        np.array([place_b[k] for k in b], dtype=np.intp)[None, :],
    ]


@dataclass(frozen=True)
class _Padded:
    """Lists of nodes as a rectangle: int [nodes, longest], `nobody` where a list is over; and how long each is."""

    at: np.ndarray
    count: np.ndarray


def _padded(lists: Sequence[Sequence[int]], nodes: int) -> _Padded:
    longest = max((len(one) for one in lists), default=0)
    at = np.full((nodes, longest), nodes, dtype=np.intp)
    for row, one in enumerate(lists):
        for column, node in enumerate(one):
            # -1 - n is input n of the model, and stands behind the nodes and nobody.
            at[row, column] = node if node >= 0 else nodes if node == _NOBODY else nodes - node
    return _Padded(at=at, count=np.array([len(one) for one in lists], dtype=np.float64))


def _shares(total: np.ndarray, a: _Padded, b: _Padded) -> np.ndarray:
    """A sum of likenesses as a share of the longer of two lists; two empty lists are alike."""
    longer = np.maximum(a.count[:, None], b.count[None, :])
    return np.divide(total, longer, out=np.ones_like(total), where=longer > 0)


def _sources(likeness: np.ndarray, a: _Padded, b: _Padded) -> np.ndarray:
    """How alike what two nodes read is, input by input, 0..1: [n, m]."""
    total = np.zeros((len(a.at), len(b.at)))
    for column in range(min(a.at.shape[1], b.at.shape[1])):
        total += likeness[a.at[:, column][:, None], b.at[:, column][None, :]]
    return _shares(total, a, b)


def _readers(likeness: np.ndarray, a: _Padded, b: _Padded) -> np.ndarray:
    """How alike the nodes are that read from two nodes, each of A's with the one of B's that is most like it, 0..1: [n, m]."""
    best = np.zeros((len(likeness), len(b.at)))
    for column in range(b.at.shape[1]):
        np.maximum(best, likeness[:, b.at[:, column]], out=best)
    total = np.zeros((len(a.at), len(b.at)))
    for column in range(a.at.shape[1]):
        total += best[a.at[:, column]]
    return _shares(total, a, b)


def _assign(a: _Side, b: _Side, likeness: np.ndarray) -> list[tuple[int, int]]:
    """Op by op, the pairing of greatest likeness."""
    from scipy.optimize import linear_sum_assignment

    n, m = max(1, len(a.facts)), max(1, len(b.facts))
    rows: dict[str, list[int]] = {}
    columns: dict[str, list[int]] = {}
    for side, found in ((a, rows), (b, columns)):
        for number, facts in enumerate(side.facts):
            found.setdefault(facts.op, []).append(number)
    pairs = []
    for op, mine in rows.items():
        theirs = columns.get(op)
        if not theirs:
            continue
        gain = likeness[np.ix_(mine, theirs)]
        order = _ORDER * np.abs(np.array(mine)[:, None] / n - np.array(theirs)[None, :] / m)
        gain = np.where(gain >= _LEAST, gain - order, 0.0)
        chosen = linear_sum_assignment(gain, maximize=True)
        pairs += [(mine[r], theirs[c]) for r, c in zip(*chosen, strict=True) if gain[r, c] > 0.0]
    return sorted(pairs)


def _places(
    a: _Side, b: _Side, pairs: Sequence[tuple[int, int]], removed: set[int], added: set[int]
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """(moved pairs, rewired pairs)."""
    partner = dict(pairs)
    in_order = _longest_in_order([j for _, j in pairs])
    read: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
    for i, j in pairs:
        mine = {partner.get(s, s) for s in _kept_sources(a, i, removed)}
        theirs = set(_kept_sources(b, j, added))
        if mine != theirs:
            read[i, j] = (mine, theirs)
    moved = tuple(pair for number, pair in enumerate(pairs) if number not in in_order and pair in read)
    gone = {j for _, j in moved}
    rewired = tuple(pair for pair, (mine, theirs) in read.items() if pair not in moved and not ((mine | theirs) & gone))
    return moved, rewired


def _kept_sources(side: _Side, node: int, without: set[int]) -> list[int]:
    """The nodes that a node reads from, through those that the other model does not have."""
    found: list[int] = []
    waiting, seen = list(side.before[node]), set()
    while waiting:
        source = waiting.pop()
        if source in without and source not in seen:
            seen.add(source)
            waiting += side.before[source]
        elif source not in without:
            found.append(source)
    return found


def _longest_in_order(numbers: Sequence[int]) -> set[int]:
    """Positions of a longest increasing subsequence (Fredman 1975)."""
    ends: list[int] = []
    at: list[int] = []
    back = [-1] * len(numbers)
    for position, number in enumerate(numbers):
        place = bisect.bisect_left(ends, number)
        if place == len(ends):
            ends.append(number)
            at.append(position)
        else:
            ends[place], at[place] = number, position
        back[position] = at[place - 1] if place else -1
    found, position = set(), at[-1] if at else -1
    while position >= 0:
        found.add(position)
        position = back[position]
    return found
