"""The fallback table: of every cell with an external delegate, where each node ran, why not there, and what was predicted.

A cell that did not run stands in it with one row and its reason, so that the X of a summary is explained here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from harness.reports.values import GOOD, clean, outcome_word
from harness.results.record import CellRecord

#: the columns behind the cell's key
COLUMNS = [
    "outcome",
    "delegate",
    "delegated",
    "nodes",
    "partitions",
    "node",
    "op",
    "ran_on",
    "partition",
    "reason",
    "predicted",
]
NOT_TOLD = "the runtime does not tell"
_XNNPACK = "XNNPACK"


def has_delegate(record: CellRecord) -> bool:
    """Whether the cell's backend has an external delegate (XNNPACK is the runtime's own)."""
    named = record.delegate_name is not None and record.delegate_name != _XNNPACK
    return named or bool(record.fallback) or bool(record.fingerprint and record.fingerprint.delegate)


def rows_of(record: CellRecord) -> list[dict[str, Any]]:
    """One row per node of a cell, or one with its reason when nothing of it ran; see `COLUMNS`."""
    head = {
        "outcome": record.outcome,
        "delegate": clean(record.delegate_name) or None,
        "delegated": record.delegated_nodes,
        "nodes": record.total_nodes,
        "partitions": record.partitions,
    }
    if not record.ops and not record.fallback:
        loads = (record.prediction or {}).get("loads")
        told = "no table" if loads is None else "yes" if loads == (record.outcome in GOOD) else "no"
        return [
            {
                **head,
                "node": None,
                "op": None,
                "ran_on": "nowhere",
                "partition": None,
                "reason": clean(record.reason) or NOT_TOLD,
                "predicted": told,
            }
        ]
    left = {op.node: op for op in record.fallback}
    nodes = record.ops or [{"node": op.node, "op": op.op, "ran_on": "cpu"} for op in record.fallback]
    return [{**head, **_node_row(record, node, left)} for node in nodes]


def _node_row(record: CellRecord, node: dict[str, Any], left: dict[int, Any]) -> dict[str, Any]:
    fell = left.get(node["node"])
    if fell is not None:
        told = {True: "yes", False: "no", None: "no table"}[fell.predicted]
        reason = clean(fell.reason) or NOT_TOLD
    else:
        predicted_left = (record.prediction or {}).get("left_nodes")
        told = "no table" if predicted_left is None else "no" if node["node"] in predicted_left else "yes"
        reason = None
    # XNNPACK numbers partitions of its own; the column is the delegate's.
    partition = node.get("partition") if fell is None else None
    return {
        "node": node["node"],
        "op": node["op"],
        "ran_on": node["ran_on"],
        "partition": partition,
        "reason": reason,
        "predicted": told,
    }


@dataclass(frozen=True, kw_only=True)
class FallbackCell:
    """One cell of the table in words.

    Attributes:
        placement: `vx 4/7 nodes in 1 partition`, or the outcome of a cell that did not run.
        lines: one per reason, with the nodes that it is for, where they ran, and whether it was predicted.
    """

    record: CellRecord
    placement: str
    lines: tuple[str, ...]


def cells(records: Iterable[CellRecord]) -> Iterator[FallbackCell]:
    """The cells with an external delegate, each with its reasons in words."""
    for record in records:
        if not has_delegate(record):
            continue
        rows = rows_of(record)
        if rows[0]["node"] is None:
            line = f"{rows[0]['reason']}{_prediction_text(rows[0]['predicted'])}"
            yield FallbackCell(record=record, placement=outcome_word(record), lines=(line,))
            continue
        yield FallbackCell(record=record, placement=_placement(record), lines=tuple(_lines(rows)))


def _placement(record: CellRecord) -> str:
    taken = "?" if record.delegated_nodes is None else record.delegated_nodes
    parts = record.partitions or 0
    return f"{clean(record.delegate_name)} {taken}/{record.total_nodes} nodes, {parts} partition{'' if parts == 1 else 's'}"


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    left = [row for row in rows if row["reason"] is not None]
    # Reasons in the order of their first node, all nodes of one reason on one line.
    order = list(dict.fromkeys((row["reason"], row["ran_on"], row["predicted"]) for row in left))
    left.sort(key=lambda row: (order.index((row["reason"], row["ran_on"], row["predicted"])), row["node"]))
    for (reason, ran_on, predicted), group in groupby(left, key=lambda r: (r["reason"], r["ran_on"], r["predicted"])):
        nodes = ", ".join(f"{row['node']} {row['op']}" for row in group)
        yield f"{nodes}: {reason}; ran on {ran_on}{_prediction_text(predicted)}"
    surprises = [f"{row['node']} {row['op']}" for row in rows if row["reason"] is None and row["predicted"] == "no"]
    if surprises:
        yield f"{', '.join(surprises)}: delegated, although predicted to stay"


def _prediction_text(told: str) -> str:
    return {"yes": " (predicted)", "no": " (not predicted)"}.get(told, "")
