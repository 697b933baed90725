"""Models with several judged outputs: the score of each as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.reports.scores import metric_columns, output_records
from harness.reports.tables import KEY, in_order, key_of, table
from harness.reports.values import placement_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = ("score", "score_low", "score_high", "score_delta", "score_p", "score_test")


def outputs_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per judged output of every cell whose model has several."""
    rows = [
        {
            **key_of(record),
            "outcome": record.outcome,
            "output": name,
            **metric_columns(one),
            **{field: getattr(one, field) for field in _FIGURES},
            "samples": record.samples,
            "placement": placement_text(record),
        }
        for record in in_order(records)
        for name, one in output_records(record)
    ]
    heads = ["outcome", "output", "metric", "metric_title", "metric_unit", "metric_direction", *_FIGURES, "samples"]
    return table(rows, [*KEY, *heads, "placement"])
