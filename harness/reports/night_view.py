"""A run among the nights of its series, as page and workbook show it: its judgement, the nights before it, accepted levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.reports.report import Report
from harness.results.history import History, Level
from harness.results.record import CellKey
from harness.results.store import Store
from harness.results.trends import Trends, load_trends
from harness.verdict.night import Judgement
from harness.verdict.recall import recall

#: cells whose nights are shown: those of which something is worse first
MAX_CELLS = 2000
_RANK = {"worse": 0, "vanished": 0, "suspect": 1, "better": 2, "new level": 2}


@dataclass(frozen=True, kw_only=True)
class NightView:
    """What is known of a run's nights.

    Attributes:
        judgement: of the night; None of a run that nobody judged.
        trends: the newest nights of its series; none for a run by day.
        levels: that were accepted, per cell.
    """

    judgement: Judgement | None = None
    trends: Trends = field(default_factory=Trends)
    levels: Mapping[CellKey, Sequence[Level]] = field(default_factory=dict)


def view_night(report: Report, store: Store, *, judgement: Judgement | None = None) -> NightView:
    """Reads what a store knows of a report's nights.

    Args:
        judgement: of the night; None: as the store has it.
    """
    history = History(store)
    if report.info is None:
        return NightView(judgement=judgement)
    if judgement is None:
        judgement = recall(history, report.info, report.records)
    if report.info.series is None:
        return NightView(judgement=judgement)
    trends = load_trends(history, report.info.series, report.info.run, shown_keys(report, judgement))
    levels: dict[CellKey, list[Level]] = {}
    for level in history.levels():
        levels.setdefault(level.key, []).append(level)
    return NightView(judgement=judgement, trends=trends, levels=levels)


def shown_keys(report: Report, judgement: Judgement | None) -> list[CellKey]:
    """The cells whose nights are shown, as the store names them, in the report's order."""
    stored = {id(shown): record.key for shown, record in zip(report.shown, report.records, strict=True)}
    keys = [stored[id(record)] for record in report.sorted_records]
    if len(keys) <= MAX_CELLS:
        return keys
    rank: dict[CellKey, int] = {}
    for verdict in judgement.verdicts if judgement is not None else ():
        rank[verdict.key] = min(rank.get(verdict.key, 3), _RANK.get(verdict.status, 3) if verdict.gates else 3)
    kept = set(sorted(keys, key=lambda key: rank.get(key, 3))[:MAX_CELLS])
    return [key for key in keys if key in kept]
