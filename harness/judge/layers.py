"""Costs per layer beside the nodes that they belong to. They never change an outcome, nor any other figure."""

from __future__ import annotations

from harness.core.finding import Finding
from harness.results.record import CellRecord
from harness.run.measurement import Measurement


def note_layers(record: CellRecord, measurement: Measurement) -> None:
    """Adds what each node costs to `ops`, and what is left of the whole; to a record with its counts, latency and placement."""
    if measurement.layers_failed is not None:
        record.findings.append(
            Finding(
                code="layers-not-told",
                severity="warning",
                where=record.key.text,
                what=f"the costs per layer are missing: {measurement.layers_failed}",
                fix="all other figures stand; run the cell again for the layers",
            )
        )
    told = measurement.layers
    if told is None:
        return
    counts = {layer.node: layer for layer in told.layers}
    edges = counts.pop(None).count if None in counts else 0
    layers = sum(layer.count for layer in counts.values())
    whole = {"instructions": record.instructions, "cycles": record.cycles}.get(told.unit, record.latency_median_ns)
    whole = layers + edges if whole is None else whole
    record.layer_unit, record.layer_edges, record.layer_rest = told.unit, edges, whole - layers - edges
    for row in record.ops:
        layer = counts.get(row["node"])
        if layer is not None:
            row["count"], row["macs"] = layer.count, layer.macs
            row["share"] = layer.count / whole if whole else 0.0
            row["macs_per_count"] = layer.macs / layer.count if layer.macs and layer.count else None
