"""Cells of backends with a `compile:` block, by what the compiler said (`harness.boards.offline`).

On a real board the compiled file is pushed and measured; on a twin that is made of estimates (`imx93@vela`) the record is
written from what the compiler says and nothing runs. Either way the rows of the op table are the nodes of the model as it
was built, because those are what a reader can change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.boards.base import BackendSpec
from harness.core.finding import Finding
from harness.results.record import CellRecord, FallbackOp

Facts = Mapping[str, Any]
"""A compiler's stage: `compiled` and `nodes`."""


def note_compiled(record: CellRecord, facts: Facts) -> None:
    """Turns a record of the compiled file's nodes into one of the original model's, and adds the compiler's figures.

    Where a node ran is what the board said of the compiled node that it went into; without placement from the board
    (the cell did not get that far) the counts stay empty.
    """
    record.compiled = dict(facts["compiled"])
    measured = {op["node"]: op for op in record.ops}
    record.total_nodes = len(facts["nodes"])
    record.ops, record.fallback = [], []
    if not measured:
        return
    taken = 0
    for node in facts["nodes"]:
        place = measured.get(node["compiled_node"], {})
        ran_on = "removed" if node["place"] == "removed" else place.get("ran_on", "unknown")
        record.ops.append(_row(node, ran_on=ran_on, partition=place.get("partition")))
        taken += node["place"] == "npu" and ran_on not in ("cpu", "xnnpack", "unknown")
    if record.delegated_nodes is not None:
        record.delegated_nodes = taken
    record.fallback = _fallback(facts["nodes"])


def note_not_compiled(record: CellRecord, facts: Facts, backend: BackendSpec) -> None:
    """A model that the compiler leaves to the CPU as a whole: the reason of each op."""
    record.delegate_name = backend.delegate_name or backend.delegate_path
    record.delegated_nodes, record.total_nodes = 0, len(facts["nodes"])
    record.fallback = _fallback(facts["nodes"])


def note_estimate(record: CellRecord, facts: Facts, backend: BackendSpec) -> None:
    """What the compiler says of a model that does not run, with no accuracy, because nothing was computed.

    The estimate covers the NPU's part alone. It stands as the latency only when no node is left on the CPU; otherwise the
    latency is not known, and a finding gives the part that is.
    """
    record.outcome, record.reason = "estimated", None
    record.compiled, nodes = dict(facts["compiled"]), facts["nodes"]
    name = backend.delegate_name or "npu"
    record.delegate_name, record.partitions = name, record.compiled["partitions"]
    record.total_nodes = len(nodes)
    record.delegated_nodes = sum(n["place"] == "npu" for n in nodes)
    operators = sorted({n["compiled_node"] for n in nodes if n["place"] == "npu" and n["compiled_node"] is not None})
    partition_of = {operator: index for index, operator in enumerate(operators)}
    record.ops = [
        _row(n, ran_on=name, partition=partition_of.get(n["compiled_node"]))
        if n["place"] == "npu"
        else _row(n, ran_on=n["place"])
        for n in nodes
    ]
    record.fallback = _fallback(nodes)
    _note_estimated_time(record, [n["op"] for n in nodes if n["place"] == "cpu"], record.compiled["inference_ns"])


def _note_estimated_time(record: CellRecord, left: list[str], estimate_ns: int | None) -> None:
    """The estimate as the latency, where no node is left on the CPU.

    Args:
        left: the ops of the nodes that are.
    """
    if not left:
        record.latency_median_ns = estimate_ns
        return
    ops = ", ".join(dict.fromkeys(left))
    record.findings.append(
        Finding(
            code="estimate-npu-part-only",
            severity="warning",
            where=record.key.text,
            what=f"{len(left)} of {record.total_nodes} nodes stay on the CPU ({ops}), and the compiler does not "
            f"estimate their time: the NPU's part alone takes {(estimate_ns or 0) / 1e3:.1f} µs",
            fix="take a recipe with integer inputs and outputs if these ops convert to and from float, or measure on the board",
        )
    )


def _row(node: Facts, *, ran_on: str, partition: int | None = None) -> dict[str, Any]:
    return {
        "node": node["node"],
        "op": node["op"],
        "ran_on": ran_on,
        "partition": partition,
        "inputs": list(node["inputs"]),
        "outputs": list(node["outputs"]),
        "cycles": node["cycles"],
        "estimate_ns": node["estimate_ns"],
    }


def _fallback(nodes: Iterable[Facts]) -> list[FallbackOp]:
    return [FallbackOp(node=n["node"], op=n["op"], reason=n["reason"]) for n in nodes if n["place"] == "cpu"]
