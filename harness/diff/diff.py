"""Two models compared: structure, quantization, op versions, size, expected placement, score on the same samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from harness.core.files import sha256_bytes
from harness.diff.placement import BackendDiff
from harness.diff.score import ScoreDiff
from harness.diff.side import Side
from harness.diff.structure import Row, edges_of, rows_of
from harness.diff.tensors import TensorChange
from harness.tflite.graph import Graph

#: how alike two models are: the same bytes; the same but for names and metadata; different
Sameness = Literal["identical", "equivalent", "different"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of one model: the file, its distinct constants, and all else (structure, names, metadata)."""

    file: int
    constants: int

    @property
    def rest(self) -> int:
        return self.file - self.constants


@dataclass(frozen=True, kw_only=True)
class Device:
    """What is expected on a device: a row per backend."""

    name: str
    backends: tuple[BackendDiff, ...]


@dataclass(frozen=True, kw_only=True)
class ModelDiff:
    """All that differs between A and B.

    Attributes:
        edges: of the models' inputs and outputs.
        rows: aligned nodes, and those of one alone.
        other: what differs outside of the main graph, a sentence each.
        versions: op -> (highest version in A, in B) of ops whose versions differ; None: the model has no such op.
        device: expected placement; None: no device was named.
        score: on the same samples; a text: why there is none; None: not asked for.
    """

    a: Side
    b: Side
    sameness: Sameness
    edges: tuple[TensorChange, ...]
    rows: tuple[Row, ...]
    other: tuple[str, ...]
    sizes: tuple[Sizes, Sizes]
    versions: dict[str, tuple[int | None, int | None]]
    device: Device | None = None
    score: ScoreDiff | str | None = None

    @property
    def counts(self) -> Counter[str]:
        """How many rows of each state."""
        return Counter(row.state for row in self.rows)

    @property
    def worse(self) -> bool:
        """Whether B's score is shown to be worse, of any output."""
        return isinstance(self.score, ScoreDiff) and any(one.worse for one in self.score.every)


def diff_models(a: Side, b: Side, *, device: Device | None = None, score: ScoreDiff | str | None = None) -> ModelDiff:
    """Compares two models; what is expected of them and their scores are handed in.

    Raises:
        UserInputError: one is no model that can be read.
    """
    rows, edges, other = rows_of(a.graph, b.graph), edges_of(a.graph, b.graph), _others(a.graph, b.graph)
    sameness: Sameness = "different"
    if a.data == b.data:
        sameness = "identical"
    elif not edges and not other and not any(row.differs for row in rows):
        sameness = "equivalent"
    return ModelDiff(
        a=a,
        b=b,
        sameness=sameness,
        edges=tuple(edges),
        rows=tuple(rows),
        other=tuple(other),
        sizes=(_sizes(a), _sizes(b)),
        versions=_versions(a.graph, b.graph),
        device=device,
        score=score,
    )


def _sizes(side: Side) -> Sizes:
    """Constants that share a buffer count once."""
    graph = side.graph
    tensors = [*graph.tensors, *(t for other in graph.others for t in other.tensors)]
    buffers = {(id(t.raw.obj), _address(t.raw)): len(t.raw) for t in tensors if t.raw is not None}
    return Sizes(file=len(side.data), constants=sum(buffers.values()))


def _address(view: memoryview) -> int:
    import numpy as np

    return int(np.frombuffer(view, np.uint8).__array_interface__["data"][0]) if len(view) else 0


def _versions(a: Graph, b: Graph) -> dict[str, tuple[int | None, int | None]]:
    from harness.tflite.features import features

    one, two = features(a).op_versions, features(b).op_versions
    return {op: (one.get(op), two.get(op)) for op in sorted({*one, *two}) if one.get(op) != two.get(op)}


def _others(a: Graph, b: Graph) -> list[str]:
    """What differs beside the main graph."""
    found = []
    if a.subgraph_count != b.subgraph_count:
        found.append(f"subgraphs: {a.subgraph_count} and {b.subgraph_count}")
    else:
        for number, (one, two) in enumerate(zip(a.others, b.others, strict=True), 1):
            if _subgraph_key(one) != _subgraph_key(two):
                found.append(f"subgraph {number} differs: {len(one.nodes)} and {len(two.nodes)} nodes")
    if a.signatures != b.signatures:
        found.append(f"signatures: {', '.join(a.signatures) or 'none'} and {', '.join(b.signatures) or 'none'}")
    if a.schema_version != b.schema_version:
        found.append(f"schema versions: {a.schema_version} and {b.schema_version}")
    return found


def _subgraph_key(subgraph) -> list[object]:
    """What a further graph is, without names."""
    tensors = [
        (t.dtype, t.shape, t.shape_signature, t.scales, t.zero_points, None if t.raw is None else sha256_bytes(t.raw))
        for t in subgraph.tensors
    ]
    return [tensors, [(n.op, n.custom_name, n.version, n.inputs, n.outputs, str(n.options)) for n in subgraph.nodes]]
