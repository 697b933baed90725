"""What a night said, as a table: every verdict that is not simply the same, the most urgent first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.reports.tables import table
from harness.reports.values import clean
from harness.reports.verdicts.words import groups, is_alarm, title_of
from harness.results.cellname import cell_name
from harness.results.record import CellKey, CellRecord
from harness.verdict.night import Judgement
from harness.verdict.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "group",
    "status",
    "quantity",
    "cell",
    "workload",
    "recipe",
    "device",
    "backend",
    "seed",
    "since",
    "before",
    "after",
    "unit",
    "change",
    "detectable",
    "quality",
    "cause",
    "reason",
    "command",
    "reference",
]


def regressions_table(judgement: Judgement, records: Mapping[CellKey, CellRecord]) -> pd.DataFrame:
    """One row per verdict that says something.

    Args:
        records: of the night, by their keys; a verdict's cell may have none.
    """
    rows = [
        _row(name, verdict, records.get(verdict.key))
        for name, found in groups(judgement)
        # Times of a group stand together, so that a chart can show them.
        for verdict in sorted(found, key=lambda verdict: verdict.quantity != "latency")
    ]
    return table(rows, COLUMNS)


def verdicts_table(judgement: Judgement, records: Mapping[CellKey, CellRecord]) -> pd.DataFrame:
    """The same with those that say nothing, `same` and `first`, at the end."""
    quiet = [verdict for verdict in judgement.verdicts if verdict.status in ("same", "first")]
    rows = [_row(name, v, records.get(v.key)) for name, found in groups(judgement) for v in found]
    return table([*rows, *(_row(v.status, v, records.get(v.key)) for v in quiet)], COLUMNS)


def _row(group: str, verdict: Verdict, record: CellRecord | None) -> dict[str, Any]:
    key, numbers = verdict.key, verdict.numbers
    before, after, unit = numbers.get("before"), numbers.get("after"), None
    if verdict.quantity == "latency":
        # A level is the median of nights, and what a night took the median of its sessions: both in microseconds here.
        before = _us(numbers.get("before_ns"))
        after = _us(record.latency_median_ns if record is not None else None)
        unit = "µs"
    change = numbers.get("change")
    if change is None and _is_number(before) and _is_number(after) and before:
        change = after / before - 1 if verdict.quantity != "score" else None
    return {
        "group": group,
        "status": verdict.status,
        "quantity": title_of(verdict),
        "cell": clean(cell_name(key)),
        "workload": clean(key.workload),
        "recipe": clean(key.recipe),
        "device": clean(key.device),
        "backend": clean(key.backend),
        "seed": key.seed,
        "since": clean(verdict.since) or None,
        "before": _plain(before),
        "after": _plain(after),
        "unit": unit,
        "change": change if _is_number(change) else None,
        "detectable": verdict.detectable,
        "quality": record.quality if record is not None and verdict.quantity == "latency" else None,
        "cause": verdict.cause,
        "reason": clean(verdict.reason),
        "command": clean(verdict.command) if is_alarm(verdict) else None,
        "reference": clean(verdict.reference) or None,
    }


def _us(ns: Any) -> float | None:
    return float(ns) / 1000 if _is_number(ns) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """A figure as a cell of a table takes it; sets and placements are told in the reason."""
    return value if value is None or _is_number(value) else clean(str(value), 60)
