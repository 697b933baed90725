"""The nights of a series as a table: a row per cell and figure, a column per night, what tonight is compared with before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.printable import one_line
from harness.reports.night_view import NightView
from harness.reports.page.trend import epochs_of
from harness.reports.verdicts.words import groups
from harness.results.cellname import cell_name
from harness.results.record import CellKey, CellRecord
from harness.results.trends import NightFigures, NightLevel

#: columns before those of the nights
HEADS = (
    "workload",
    "recipe",
    "device",
    "backend",
    "seed",
    "figure",
    "status",
    "quality",
    "level",
    "tonight",
    "change",
    "detectable",
    "nights",
    "trend",
)
#: characters of a level's reason
_WHY = 200
LATENCY, LEVEL, INSTRUCTIONS, SCORE, ENERGY, SIZE = (
    "latency (µs)",
    "its level (µs)",
    "instructions",
    "score",
    "energy (µJ)",
    "size (bytes)",
)


@dataclass(frozen=True, kw_only=True)
class NightsRow:
    """A figure of a cell over the nights.

    Attributes:
        values: one per night, oldest first; None for a night without it.
        status: what was said of it tonight; of a level's row None.
        level, detectable: what tonight is compared with, and the smallest relative change that would have been seen.
    """

    key: CellKey
    figure: str
    values: tuple[float | None, ...]
    status: str | None = None
    quality: str | None = None
    level: float | None = None
    detectable: float | None = None

    @property
    def tonight(self) -> float | None:
        return self.values[-1] if self.values else None

    @property
    def change(self) -> float | None:
        """Of tonight against the level."""
        if self.tonight is None or not self.level:
            return None
        return self.tonight / self.level - 1

    def head_values(self) -> list[Any]:
        """The columns of HEADS, but for the last, which is a drawing."""
        key = self.key
        names = [one_line(name) for name in (key.workload, key.recipe, key.device, key.backend)]
        count = sum(value is not None for value in self.values)
        return [
            *names,
            key.seed,
            self.figure,
            self.status,
            self.quality,
            self.level,
            self.tonight,
            self.change,
            self.detectable,
            count,
        ]


def night_heads(view: NightView) -> list[str]:
    """The heads of the nights' columns: run and day."""
    return [f"{one_line(night.run)}\n{night.started_utc[:10]}" for night in view.trends.nights]


def nights_rows(view: NightView, records: Mapping[CellKey, CellRecord]) -> list[NightsRow]:
    """The rows: of each cell its time or count; its level beneath where something was said of it; other figures where they moved.

    Args:
        records: tonight's, by their keys.
    """
    said = _said(view)
    rows: list[NightsRow] = []
    count = len(view.trends.nights)
    for key, figures in view.trends.figures.items():
        if figures:
            rows += _of_cell(key, figures, view.trends.levels.get(key, ()), count, said.get(key, {}), records.get(key))
    return rows


def _of_cell(
    key: CellKey,
    figures: Sequence[NightFigures],
    levels: Sequence[NightLevel],
    count: int,
    said: Mapping[str, str],
    record: CellRecord | None,
) -> list[NightsRow]:
    def over(value: Callable[[NightFigures], float | None]) -> tuple[float | None, ...]:
        found: list[float | None] = [None] * count
        for row in figures:
            found[row.night] = value(row)
        return tuple(found)

    rows = []
    times = over(lambda row: None if row.latency_ns is None else row.latency_ns / 1000)
    counts = over(lambda row: row.instructions)
    if any(value is not None for value in counts):
        rows.append(NightsRow(key=key, figure=INSTRUCTIONS, values=counts, status=said.get("instructions")))
    elif any(value is not None for value in times):
        rows += _times(key, times, levels, count, said.get("latency"), record)
    for figure, name, values in (
        (SCORE, "score", over(lambda row: row.score)),
        (ENERGY, "energy", over(lambda row: None if row.energy_nj is None else row.energy_nj / 1000)),
        (SIZE, "size", over(lambda row: row.size_bytes)),
    ):
        if len({value for value in values if value is not None}) > 1 or said.get(name) not in (None, "same", "first"):
            rows.append(NightsRow(key=key, figure=figure, values=values, status=said.get(name)))
    return rows


def _times(
    key: CellKey,
    times: tuple[float | None, ...],
    levels: Sequence[NightLevel],
    count: int,
    status: str | None,
    record: CellRecord | None,
) -> list[NightsRow]:
    by_night: list[float | None] = [None] * count
    detectable = None
    for level in levels:
        by_night[level.night] = None if level.level_ns is None else level.level_ns / 1000
        detectable = level.detectable if level.night == count - 1 else detectable
    row = NightsRow(
        key=key,
        figure=LATENCY,
        values=times,
        status=status,
        quality=record.quality if record is not None else None,
        level=by_night[-1],
        detectable=detectable,
    )
    if status in (None, "same", "first"):
        return [row]
    return [row, NightsRow(key=key, figure=LEVEL, values=tuple(by_night))]


def events(view: NightView) -> list[str]:
    """What happened in these nights beside figures: another environment of a device, and levels that were accepted."""
    found: dict[tuple[int, str], None] = {}
    for key, rows in view.trends.figures.items():
        for night, words in epochs_of(rows, view.trends.fingerprints):
            found[(night, f"{one_line(key.device)} ran on something else: {words}")] = None
    night_of = {night.run: place for place, night in enumerate(view.trends.nights)}
    for key in view.trends.figures:
        for level in view.levels.get(key, ()):
            if level.run in night_of:
                words = f"{one_line(cell_name(key))}, a new level was accepted: {one_line(level.why, _WHY)}"
                found[(night_of[level.run], words)] = None
    return [f"{one_line(view.trends.nights[night].run)}: {words}" for night, words in sorted(found)]


def _said(view: NightView) -> dict[CellKey, dict[str, str]]:
    """cell -> quantity -> the most urgent word of tonight."""
    found: dict[CellKey, dict[str, str]] = {}
    if view.judgement is None:
        return found
    for _, verdicts in groups(view.judgement):
        for verdict in verdicts:
            found.setdefault(verdict.key, {}).setdefault(verdict.quantity, verdict.status)
    for verdict in view.judgement.verdicts:
        found.setdefault(verdict.key, {}).setdefault(verdict.quantity, verdict.status)
    return found
