"""The spread over seeds: what training alone makes of a cell's figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.reports.scores import main_head, metric_columns, score_of
from harness.reports.summary import newest
from harness.reports.tables import KEY, in_order, table
from harness.reports.values import count_of, placement_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd


def seeds_table(records: Iterable[CellRecord]) -> pd.DataFrame:
    """The spread over seeds of every cell that ran with more than one: a difference within it shows nothing.

    Statistics are over the cells with the outcome ok, from each cell's own median; medians are never averaged. Estimates are left
    out: nothing ran.
    """
    import numpy as np

    groups: dict[tuple[str, ...], list[CellRecord]] = {}
    for r in newest(in_order(r for r in records if r.outcome != "estimated")):
        groups.setdefault((r.key.workload, r.key.recipe, r.key.device, r.key.backend, r.key.dataset), []).append(r)
    rows = []
    for (workload, recipe, device, backend, _), cells in groups.items():
        if len({c.key.seed for c in cells}) < 2:
            continue
        good = [c for c in cells if c.outcome == "ok"]
        scores = [score for c in good if (score := score_of(c)) is not None]
        medians = [c.latency_median_ns for c in good if c.latency_median_ns is not None]
        counts = [count for count in map(count_of, good) if count is not None]
        rows.append(
            {
                "workload": workload,
                "dataset_name": cells[0].dataset_name,
                "recipe": recipe,
                "device": device,
                "backend": backend,
                "seeds": ", ".join(str(c.key.seed) for c in cells),
                "ok": len(good),
                "cells": len(cells),
                **_metric(good),
                "score_min": min(scores, default=None),
                "score_mean": float(np.mean(scores)) if scores else None,
                "score_max": max(scores, default=None),
                "score_sd": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
                "latency_median_ns_min": min(medians, default=None),
                "latency_median_ns_max": max(medians, default=None),
                "quality": ", ".join(dict.fromkeys(c.quality for c in good if c.quality)) or None,
                "count_min": min(counts, default=None),
                "count_max": max(counts, default=None),
                "latency_samples": sum(c.latency_samples or 0 for c in good if c.latency_median_ns is not None) or None,
                "time_basis": ", ".join(dict.fromkeys(c.time_basis for c in good if c.time_basis)) or None,
                "placement": "; ".join(dict.fromkeys(placement_text(c) for c in good)) or None,
            }
        )
    return table(
        rows,
        [
            *(name for name in KEY if name != "seed"),
            "seeds",
            "ok",
            "cells",
            "metric",
            "metric_head",
            "metric_unit",
            "metric_direction",
            "score_min",
            "score_mean",
            "score_max",
            "score_sd",
            "latency_median_ns_min",
            "latency_median_ns_max",
            "quality",
            "latency_samples",
            "count_min",
            "count_max",
            "time_basis",
            "placement",
        ],
    )


def _metric(cells: list[CellRecord]) -> dict[str, str | None]:
    """What the scores of a row are, in words, and by unit and direction."""
    scored = [metric_columns(c) for c in cells if score_of(c) is not None]
    joined = {
        name: ", ".join(dict.fromkeys(str(columns[name]) for columns in scored if columns[name])) or None
        for name in ("metric", "metric_unit", "metric_direction")
    }
    return {**joined, "metric_head": main_head(cells) if scored else None}
