"""Audits of several models as one table each: findings, layers, ops, tensors, theory, facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from harness.core.errors import unknown_name
from harness.core.finding import Finding
from harness.variants.audit.report import AuditReport, LayerRow, OpRow, TensorRow, TheoryRow

if TYPE_CHECKING:
    import pandas as pd

#: table -> what a row of it is
ROWS: dict[str, Any] = {
    "findings": Finding,
    "layers": LayerRow,
    "ops": OpRow,
    "tensors": TensorRow,
    "theory": TheoryRow,
}
_FACTS = "facts"


def audit_frame(audits: Iterable[tuple[str, AuditReport]], table: str) -> pd.DataFrame:
    """One table over audits.

    Args:
        audits: (name of the model, its audit); a model may have one of its training and one of its file.
        table: a key of `ROWS`, or `facts`: one row per audit, a column per headline value.

    Returns:
        Column `model`, then the fields of a row (`harness.variants.audit.report`).

    Raises:
        UserInputError: no such table.
    """
    import pandas as pd

    if table == _FACTS:
        return pd.DataFrame([{"model": name, "kind": report.kind, **report.facts} for name, report in audits])
    if table not in ROWS:
        raise unknown_name("table of audits", table, [*ROWS, _FACTS])
    columns = ["model", *(one.name for one in fields(ROWS[table]))]
    rows = [{"model": name, **asdict(row)} for name, report in audits for row in getattr(report, table)]
    return pd.DataFrame(rows, columns=columns)
