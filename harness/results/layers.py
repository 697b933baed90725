"""What each layer of a cell costs, as its record has it: what `harness explain`, the Ops sheet and the page show.

costs = layer_costs(record)          # None where the board does not tell
for layer in costs.dearest(5):
    print(layer.node, layer.op, layer.count, costs.unit, f"{layer.share:.1%}", layer.macs_per_count)
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.results.record import CellRecord


@dataclass(frozen=True, kw_only=True)
class LayerShare:
    """One layer of an inference.

    Attributes:
        node, op: of the .tflite.
        count: in the unit of `CellLayers`.
        share: of the whole inference, 0..1.
        macs: multiply-accumulates; 0 for ops without weights.
        macs_per_count: multiply-accumulates for each instruction, cycle or nanosecond; None where there are none.
    """

    node: int
    op: str
    count: int
    share: float
    macs: int
    macs_per_count: float | None


@dataclass(frozen=True, kw_only=True)
class CellLayers:
    """The layers of one cell, in the model's order.

    Attributes:
        unit: `instructions` of an emulated core, `cycles` of a real one, or `ns`.
        whole: of one inference: layers, edges and rest.
        edges: what converts inputs and outputs at the model's edges.
        rest: what is no layer's: exact for instructions, what is left over for cycles and nanoseconds.
    """

    unit: str
    whole: int
    edges: int
    rest: int
    layers: tuple[LayerShare, ...]

    def dearest(self, count: int) -> tuple[LayerShare, ...]:
        """The layers that cost most, dearest first."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.count)[:count])


def layer_costs(record: CellRecord) -> CellLayers | None:
    """The costs per layer of a record; None where its board told none."""
    if record.layer_unit is None:
        return None
    layers = tuple(
        LayerShare(
            node=row["node"],
            op=row["op"],
            count=row["count"],
            share=row["share"],
            macs=row.get("macs") or 0,
            macs_per_count=row.get("macs_per_count"),
        )
        for row in record.ops
        if row.get("count") is not None
    )
    edges, rest = record.layer_edges or 0, record.layer_rest or 0
    whole = sum(layer.count for layer in layers) + edges + rest
    return CellLayers(unit=record.layer_unit, whole=whole, edges=edges, rest=rest, layers=layers)
