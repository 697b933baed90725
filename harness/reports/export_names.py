"""The names of the files that an export writes."""

from __future__ import annotations

from harness.reports.values import file_name
from harness.results.record import CellRecord

WORKBOOK_NAME, MARKDOWN_NAME, JSON_NAME, RAW_NAME, PAGE_NAME = (
    "comparison.xlsx",
    "summary.md",
    "run.json",
    "raw",
    "index.html",
)


def raw_name(record: CellRecord) -> str:
    """The file of a cell's raw samples, such as `mnist-cnn__ptq-int8-io__host-litert__cpu__seed0__3f2a9c.npz`."""
    key = record.key
    parts = [file_name(text) for text in (key.workload, key.recipe, key.device, key.backend)]
    return "__".join([*parts, f"seed{key.seed}", key.dataset[:6] or "none"]) + ".npz"
