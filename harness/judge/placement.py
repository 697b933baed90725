"""Which nodes ran where, as the record has it."""

from __future__ import annotations

from harness.boards.base import BackendSpec, PlacementResult
from harness.results.record import CellRecord, FallbackOp


def note_placement(record: CellRecord, placement: PlacementResult, backend: BackendSpec) -> None:
    """Adds the op table and the delegate's share. On a backend without an external delegate, XNNPACK is the delegate that is
    counted.
    """
    record.total_nodes = len(placement.nodes) or record.total_nodes
    record.ops = [
        {
            "node": n.node,
            "op": n.op,
            "ran_on": n.ran_on,
            "partition": n.partition,
            "inputs": list(n.inputs),
            "outputs": list(n.outputs),
        }
        for n in placement.nodes
    ]
    if backend.delegate_path is not None:
        record.delegate_name = backend.delegate_name or backend.delegate_path
        record.delegated_nodes, record.partitions = placement.delegated_nodes, placement.partitions
        record.fallback = [FallbackOp(node=n.node, op=n.op) for n in placement.nodes if n.ran_on in ("cpu", "xnnpack")]
        return
    taken = [n for n in placement.nodes if n.ran_on == "xnnpack"]
    record.delegate_name = "XNNPACK" if taken else None
    record.delegated_nodes = len(taken) if placement.nodes else None
    record.partitions = len({n.partition for n in taken}) if placement.nodes else None
