"""The stored times that a night's reference is made of, read from a history of any length in the time of a short one.

A reference needs the first nights of a cell's level, or since its last restart, as many as make one; and of the newest nights so
many that it is known how the last suspicion ended and in which epoch the cell ran. What is between is not read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.results.record import CellKey
from harness.results.schema import KEY_FIELDS

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: nights read at a time from the beginning of a reference, and from its end
_HEAD, _TAIL = 32, 4
#: cells for which a statement asks one by one
_FEW = 40
#: the last fields of a `TimeRow`, which are numbers
_FIGURES = 3
_WIDTH = len(KEY_FIELDS)


class TimeRow(NamedTuple):
    """A cell's stored times of one night; `sessions_ns` is the JSON text of a list."""

    run: str
    number: int
    status: str
    sessions_ns: str | None
    artifact_sha256: str | None
    epoch: str | None
    restart: int | None
    scale: float | None
    unconfirmed: int | None


@dataclass(slots=True)
class _Cell:
    """What was read of a cell. Looked up once for each of many rows: a key's hash takes longer than all else."""

    level: int
    begins: int
    rows: dict[int, TimeRow] = field(default_factory=dict)
    usual: int = 0
    #: not known yet: how the last suspicion ended; in which epoch it ran last
    doubtful: bool = True
    timeless: bool = True


def needed_times(
    connection: Connection,
    series: str,
    starts: Mapping[CellKey, int],
    *,
    before: int,
    usual: Collection[str],
    most: int,
) -> dict[CellKey, list[TimeRow]]:
    """Per cell, oldest first: its rows since its level or last restart up to `most` usual ones, and its newest ones.

    Args:
        starts, before, usual, most: see `History.times`.
    """
    begins = _begins(connection, series, starts, before)
    runs = _runs(connection, series, min(starts.values(), default=before), before)
    cells = {key: _Cell(level=starts[key], begins=number) for key, number in begins.items()}
    oldest = min(begins.values(), default=before)
    _read_head(connection, [run for number, run in runs if number >= oldest], cells, usual, most)
    _read_tail(connection, [run for _, run in runs], cells)
    return {key: [cell.rows[n] for n in sorted(cell.rows)] for key, cell in cells.items() if cell.rows}


def _begins(connection: Connection, series: str, starts: Mapping[CellKey, int], before: int) -> dict[CellKey, int]:
    """The run with which each cell's reference begins: that of its level, or of a later restart."""
    from sqlalchemy import func, select

    from harness.results.history_schema import verdict
    from harness.results.schema import run

    keys = [verdict.c[name] for name in KEY_FIELDS]
    statement = (
        select(*keys, func.max(run.c.number))
        .join(run, run.c.run == verdict.c.run)
        .where(verdict.c.restart == 1, verdict.c.quantity == "latency", run.c.series == series, run.c.number < before)
        .group_by(*keys)
    )
    begins = dict(starts)
    for row in connection.execute(statement):
        values = tuple(row)
        key = _key(values)
        if key in begins:
            begins[key] = max(begins[key], values[_WIDTH])
    return begins


def _runs(connection: Connection, series: str, since: int, before: int) -> list[tuple[int, str]]:
    """The runs of a series by their numbers, oldest first."""
    from sqlalchemy import select

    from harness.results.schema import run

    chosen = select(run.c.number, run.c.run).where(run.c.series == series, run.c.number >= since, run.c.number < before)
    return [(int(row.number), str(row.run)) for row in connection.execute(chosen.order_by(run.c.number))]


def _read_head(
    connection: Connection, runs: Sequence[str], cells: Mapping[CellKey, _Cell], usual: Collection[str], most: int
) -> None:
    for place in range(0, len(runs), _HEAD):
        wanted = {key: cell for key, cell in cells.items() if cell.usual < most}
        if not wanted:
            return
        for cell, row in _rows(connection, runs[place : place + _HEAD], wanted):
            if row.number < cell.begins:
                continue
            cell.rows[row.number] = row
            cell.usual += row.sessions_ns is not None and row.status in usual


def _read_tail(connection: Connection, runs: Sequence[str], cells: Mapping[CellKey, _Cell]) -> None:
    stop, size = len(runs), _TAIL
    while stop > 0 and (wanted := {key: cell for key, cell in cells.items() if cell.doubtful or cell.timeless}):
        for cell, row in _rows(connection, runs[max(0, stop - size) : stop], wanted):
            cell.rows[row.number] = row
            cell.doubtful = cell.doubtful and bool(row.unconfirmed)
            cell.timeless = cell.timeless and row.sessions_ns is None
        stop, size = stop - size, size * 2


def _rows(
    connection: Connection, runs: Sequence[str], wanted: Mapping[CellKey, _Cell]
) -> Iterable[tuple[_Cell, TimeRow]]:
    """The stored times of some runs since the cells' levels, oldest first."""
    from sqlalchemy import and_, or_, select

    from harness.results.dialect import JsonField, number_of
    from harness.results.history_schema import verdict
    from harness.results.schema import run

    keys = [verdict.c[name] for name in KEY_FIELDS]
    names = ("sessions_ns", "artifact_sha256", "epoch", "restart", "scale", "unconfirmed")
    facts = [JsonField(verdict.c.data, f"numbers.{name}") for name in names]
    statement = (
        select(*keys, verdict.c.run, run.c.number, verdict.c.status, *facts)
        .join(run, run.c.run == verdict.c.run)
        .where(verdict.c.run.in_(runs), verdict.c.quantity == "latency")
        .order_by(run.c.number)
    )
    if len(wanted) <= _FEW:
        same = [and_(*(verdict.c[name] == getattr(key, name) for name in KEY_FIELDS)) for key in wanted]
        statement = statement.where(or_(*same))
    by_values = {tuple(getattr(key, name) for name in KEY_FIELDS): cell for key, cell in wanted.items()}
    for row in connection.execute(statement):
        values: tuple[Any, ...] = tuple(row)
        cell = by_values.get(values[:_WIDTH])
        if cell is not None and values[_WIDTH + 1] >= cell.level:
            yield cell, TimeRow(*values[_WIDTH:-_FIGURES], *map(number_of, values[-_FIGURES:]))


def _key(values: Sequence[Any]) -> CellKey:
    return CellKey(**dict(zip(KEY_FIELDS, values[:_WIDTH], strict=True)))
