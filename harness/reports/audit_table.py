"""What the audits found in each model: a row per model and finding, and one for a model in which nothing was found.

A finding of an audit names a place in the model (a layer, a node, a runtime); what a board's cell shows names the cell. So the
first kind stands here once per model, whatever boards it ran on, and the sheet Findings has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.core.finding import Finding
from harness.reports.tables import SEVERITIES, in_order, table
from harness.reports.values import clean
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

_MODEL = ("workload", "dataset_name", "recipe", "seed")
COLUMNS = [*_MODEL, "size_bytes", "input_dtype", "output_dtype", "nodes", "severity", "code", "where", "what", "fix"]


def audit_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per finding about a model itself, gravest first within the model."""
    models: dict[tuple[Any, ...], tuple[CellRecord, dict[Finding, None]]] = {}
    for record in in_order(records):
        identity = (record.key.workload, record.key.dataset, record.key.recipe, record.key.seed)
        _, found = models.setdefault(identity, (record, {}))
        found.update(dict.fromkeys(f for f in record.findings if of_model(record, f)))
    return table([row for record, found in models.values() for row in _rows(record, list(found))], COLUMNS)


def of_model(record: CellRecord, finding: Finding) -> bool:
    """Whether a finding is about the model rather than about its cell."""
    return finding.where not in (record.key.text, record.key.text_with_seed)


def _rows(record: CellRecord, found: list[Finding]) -> list[dict[str, Any]]:
    key = record.key
    model = {
        "workload": key.workload,
        "dataset_name": record.dataset_name,
        "recipe": key.recipe,
        "seed": key.seed,
        "size_bytes": record.size_bytes,
        "input_dtype": record.input_dtype,
        "output_dtype": record.output_dtype,
        "nodes": record.total_nodes,
    }
    if not found:
        refused = record.size_bytes is None
        what = clean(record.reason) or "not built" if refused else "nothing was found"
        return [{**model, "what": what}]
    return [
        {
            **model,
            "severity": f.severity,
            "code": f.code,
            "where": clean(f.where),
            "what": clean(f.what),
            "fix": clean(f.fix),
        }
        for f in sorted(found, key=lambda f: SEVERITIES.index(f.severity))
    ]
