"""Cold, cached, steady: what a model costs when a program starts, beside what it costs from then on.

The three are different numbers: an NPU compiles its graph in the first invoke, a graph cache saves that on later starts, and
only what comes after the warm-up is the latency of the summaries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.reports.tables import KEY, in_order
from harness.reports.values import placement_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

_TIMES = (
    "load_ns",
    "first_invoke_ns",
    "load_cached_ns",
    "first_invoke_cached_ns",
    "latency_median_ns",
    "latency_median_low_ns",
    "latency_median_high_ns",
    "latency_samples",
    "vendor_first_invoke_ns",
    "vendor_latency_ns",
)


def starts_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """One row per cell that was loaded and timed, with outcome, placement and basis; cells that tell no time are left out."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            **{name: r.dataset_name if name == "dataset_name" else getattr(r.key, name) for name in KEY},
            "outcome": r.outcome,
            "quality": r.quality,
            "placement": placement_text(r),
            "time_basis": r.time_basis,
            **{name: getattr(r, name) for name in _TIMES},
        }
        for r in in_order(records)
        if r.load_ns is not None or r.first_invoke_ns is not None
    ]
    frame = pd.DataFrame(rows, columns=[*KEY, "outcome", "quality", "placement", "time_basis", *_TIMES], dtype=object)
    return frame.astype({name: "Int64" for name in _TIMES})
