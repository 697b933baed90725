"""What the page draws of a stored explanation: its words, and numbers per layer."""

from __future__ import annotations

from typing import Any

from harness.core.printable import one_line
from harness.explain.document import Explanation, Layer
from harness.reports.explained import advice_lines, cost_text, head_lines, kind_text, stored_explanation, told
from harness.reports.page.cells import number
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord

#: layers that are drawn; the workbook has all of them
MAX_LAYERS = 300
_LINE = 900


def explained(record: CellRecord, objects: ObjectStore) -> dict[str, Any] | None:
    """A cell's explanation as JSON for the page's scripts; None where it has none."""
    e = stored_explanation(record, objects)
    if e is None:
        return None
    asked, answer, *got = head_lines(e)
    worst = next((layer for layer in e.layers if layer.node == e.first_wrong), None)
    divergence = told(worst) if worst is not None else None
    return {
        "asked": one_line(asked, _LINE),
        "answer": one_line(answer, _LINE),
        "got": [one_line(line, _LINE) for line in got],
        "advice": [[one_line(what, _LINE), one_line(command, _LINE)] for what, command in advice_lines(e)],
        "layers": [_layer(e, layer) for layer in e.layers[:MAX_LAYERS]],
        "left": max(0, len(e.layers) - MAX_LAYERS),
        "metric": one_line(e.metric),
        "cost_unit": e.cost_unit,
        "cost_basis": e.cost_basis or "",
        "beside": one_line(e.beside),
        "histogram": None
        if worst is None or divergence is None or not divergence.histogram
        else {"op": one_line(worst.title), "bars": [list(bar) for bar in divergence.histogram]},
    }


def _layer(e: Explanation, layer: Layer) -> dict[str, Any]:
    error, loss, cost, d = layer.error, layer.loss, layer.cost, told(layer)
    return {
        "name": one_line(f"{layer.node} {layer.op}"),
        "tensor": one_line(layer.name, 200),
        "on": kind_text(layer),
        "wrong": bool(d is not None and d.is_wrong),
        "own": number(error.own_db) if error else None,
        "all": number(error.sqnr_db) if error else None,
        "regained": number(loss.regained) if loss else None,
        "low": number(loss.low) if loss else None,
        "high": number(loss.high) if loss else None,
        "left": number(loss.error_left) if loss else None,
        "cost": number(cost.value) if cost else None,
        "cost_text": cost_text(e, cost.value) if cost else "",
        "beside": number(cost.beside) if cost else None,
        "cause": one_line(layer.cause, _LINE),
    }
