"""Built variants as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.variants.build.build import BuildOutcome

if TYPE_CHECKING:
    import pandas as pd


def builds_frame(outcomes: Iterable[BuildOutcome]) -> pd.DataFrame:
    """A row per model: `workload`, `recipe`, `seed`, `size_bytes`, `sha256`, `cached` (it was there already), `seconds` (what its
    conversion took), `refused` (the converter's reason), `path`."""
    import pandas as pd

    rows = [
        {
            "workload": outcome.artifact.workload,
            "recipe": outcome.artifact.recipe,
            "seed": outcome.artifact.seed,
            "size_bytes": outcome.artifact.size_bytes,
            "sha256": outcome.artifact.sha256,
            "cached": outcome.cached,
            "seconds": outcome.seconds,
            "refused": outcome.artifact.refused,
            "path": None if outcome.artifact.path is None else str(outcome.artifact.path),
        }
        for outcome in outcomes
    ]
    columns = ["workload", "recipe", "seed", "size_bytes", "sha256", "cached", "seconds", "refused", "path"]
    return pd.DataFrame(rows, columns=columns).astype({"size_bytes": "Int64", "seconds": "Float64"})
