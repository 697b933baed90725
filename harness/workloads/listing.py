"""Which dataset each workload would use now: what `harness data list` and the Python API show."""

from __future__ import annotations

import os
from typing import Any

from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload, workload_names


def dataset_rows(data_dir: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """One row per workload: `workload`, `dataset`, `note`, `from`, `test_samples`, `digest`. Nothing is downloaded.

    Raises:
        UserInputError: a damaged file of samples.
    """
    source = DataSource.default(data_dir).test_only()
    rows = []
    for name in workload_names():
        dataset = get_workload(name).load_dataset(source)
        rows.append(
            {
                "workload": name,
                "dataset": dataset.name,
                "note": dataset.note,
                "from": dataset.origin,
                "test_samples": len(dataset.x_test),
                "digest": dataset.digest,
            }
        )
    return rows
