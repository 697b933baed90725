"""The nights of one cell as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.reports.values import clean
from harness.verdict.told import CellNights

if TYPE_CHECKING:
    import pandas as pd


def cell_frame(found: CellNights) -> pd.DataFrame:
    """The nights of one cell: index `run`; `outcome`, `score`, `latency_median_ns`, `quality`, `size_bytes`, `detectable`, and
    `verdicts` in words."""
    import pandas as pd

    rows = [{**row, "verdicts": "; ".join(map(_verdict_words, row["verdicts"])) or None} for row in found.rows]
    columns = ["run", "outcome", "score", "latency_median_ns", "quality", "size_bytes", "detectable", "verdicts"]
    types = {"score": "Float64", "detectable": "Float64", "latency_median_ns": "Int64", "size_bytes": "Int64"}
    return pd.DataFrame(rows, columns=columns).astype(types).set_index("run")


def _verdict_words(said: Mapping[str, Any]) -> str:
    return f"{said['status']} {said['quantity']}: {clean(said['reason'])}"
