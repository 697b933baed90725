"""The figures of a series over its newest nights, for plots: read from the store's columns, without unpacking a record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.fingerprint import Fingerprint
from harness.results.history import History, Night
from harness.results.record import CellKey
from harness.results.schema import KEY_FIELDS

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: nights that a trend goes back
TREND_NIGHTS = 90
#: different fingerprints whose records are opened to say what changed
_FINGERPRINTS = 100


class NightFigures(NamedTuple):
    """What a night measured of a cell; `night` counts from 0, the oldest of the trend's nights."""

    night: int
    outcome: str
    latency_ns: int | None
    score: float | None
    size_bytes: int | None
    instructions: int | None
    fingerprint_sha256: str | None
    quality: str | None = None
    energy_nj: float | None = None
    energy_instrument: str | None = None


class NightLevel(NamedTuple):
    """What a night's time was compared with: the level's time, and the smallest relative change that would have been seen."""

    night: int
    status: str
    level_ns: int | None
    detectable: float | None


@dataclass(kw_only=True)
class Trends:
    """The newest nights of a series.

    Attributes:
        nights: oldest first.
        figures, levels: per cell, oldest first.
        fingerprints: by their SHA-256; those that are missing could not be read, or were too many.
    """

    nights: list[Night] = field(default_factory=list)
    figures: dict[CellKey, list[NightFigures]] = field(default_factory=dict)
    levels: dict[CellKey, list[NightLevel]] = field(default_factory=dict)
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)


def load_trends(history: History, series: str, run: str, cells: Iterable[CellKey]) -> Trends:
    """The newest nights of a series up to one of them.

    Args:
        run: the newest night.
        cells: those that are asked for; figures of others are left out.
    """
    wanted = list(dict.fromkeys(cells))
    newest = _number(history, run)
    nights = [night for night in history.nights(series) if night.number <= newest][-TREND_NIGHTS:]
    if not nights:
        return Trends()
    place = {night.number: position for position, night in enumerate(nights)}
    with history.store._reading() as connection:
        figures = _figures(connection, series, nights, place, wanted)
        levels = _levels(connection, series, nights, place, wanted)
    trends = Trends(nights=nights, figures=figures, levels=levels)
    trends.fingerprints = _fingerprints(history, trends)
    return trends


def _number(history: History, run: str) -> int:
    from sqlalchemy import select

    from harness.results.schema import run as runs

    with history.store._reading() as connection:
        return int(connection.scalar(select(runs.c.number).where(runs.c.run == run)) or 0)


def _values(key: CellKey) -> tuple[Any, ...]:
    """A cell as the first columns of a row: a hundred thousand of them are looked up."""
    return tuple(getattr(key, name) for name in KEY_FIELDS)


def _figures(
    connection: Connection, series: str, nights: Sequence[Night], place: dict[int, int], wanted: Sequence[CellKey]
) -> dict[CellKey, list[NightFigures]]:
    from sqlalchemy import func, select

    from harness.results.schema import cell, run

    statement = (
        select(
            *(cell.c[name] for name in KEY_FIELDS),
            run.c.number,
            cell.c.outcome,
            cell.c.latency_median_ns,
            func.coalesce(cell.c.accuracy, cell.c.score),
            cell.c.size_bytes,
            cell.c.instructions,
            cell.c.fingerprint_sha256,
            cell.c.quality,
            cell.c.energy_nj,
            cell.c.energy_instrument,
        )
        .join(run, run.c.run == cell.c.run)
        .where(run.c.series == series, run.c.number >= nights[0].number, run.c.number <= nights[-1].number)
        .order_by(run.c.number)
    )
    found: dict[CellKey, list[NightFigures]] = {key: [] for key in wanted}
    lists = {_values(key): rows for key, rows in found.items()}
    width = len(KEY_FIELDS)
    for row in connection.execute(statement).all():
        values = tuple(row)
        own = lists.get(values[:width])
        if own is not None and values[width] in place:
            own.append(NightFigures(place[values[width]], *values[width + 1 :]))
    return found


def _levels(
    connection: Connection, series: str, nights: Sequence[Night], place: dict[int, int], wanted: Sequence[CellKey]
) -> dict[CellKey, list[NightLevel]]:
    from sqlalchemy import select

    from harness.results.dialect import JsonField, number_of
    from harness.results.history_schema import verdict
    from harness.results.schema import cell, run

    told = (
        select(
            *(verdict.c[name] for name in KEY_FIELDS),
            run.c.number,
            verdict.c.status,
            JsonField(verdict.c.data, "reference"),
            JsonField(verdict.c.data, "detectable"),
        )
        .join(run, run.c.run == verdict.c.run)
        .where(run.c.series == series, run.c.number >= nights[0].number, run.c.number <= nights[-1].number)
        .where(verdict.c.quantity == "latency")
        .order_by(run.c.number)
    )
    rows = [tuple(row) for row in connection.execute(told).all()]
    width = len(KEY_FIELDS)
    runs = sorted({row[width + 2] for row in rows if row[width + 2]})
    times: dict[tuple[Any, ...], int] = {}
    for start in range(0, len(runs), 300):
        statement = select(cell.c.run, *(cell.c[name] for name in KEY_FIELDS), cell.c.latency_median_ns)
        for found_row in connection.execute(statement.where(cell.c.run.in_(runs[start : start + 300]))).all():
            times[tuple(found_row)[:-1]] = found_row[-1]
    found: dict[CellKey, list[NightLevel]] = {key: [] for key in wanted}
    lists = {_values(key): levels for key, levels in found.items()}
    for row in rows:
        own = lists.get(row[:width])
        if own is not None and row[width] in place:
            number, status, reference_run, detectable = row[width:]
            level_ns = times.get((reference_run, *row[:width]))
            own.append(NightLevel(place[number], status, level_ns, number_of(detectable)))
    return found


def _fingerprints(history: History, trends: Trends) -> dict[str, Fingerprint]:
    """One record of each fingerprint is opened, that of its first night."""
    first: dict[str, tuple[CellKey, str]] = {}
    for key, rows in trends.figures.items():
        for row in rows:
            if row.fingerprint_sha256 is not None and row.fingerprint_sha256 not in first:
                first[row.fingerprint_sha256] = (key, trends.nights[row.night].run)
    found = {}
    for sha256, (key, run) in list(first.items())[:_FINGERPRINTS]:
        record = history.records({key: run}).get(key)
        if record is not None and record.fingerprint is not None:
            found[sha256] = record.fingerprint
    return found
