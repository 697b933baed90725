"""All that a store has of a run, as plain rows that another store takes: for exports, imports, and nights that went on locally.

A row is a dict of its table's columns, but for its number in that one store. Records are whole: what stands apart in `part` is
put back, so that a row needs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.results import rows
from harness.results.cells import Parts, PartsKept
from harness.results.dialect import new_row
from harness.results.faults import CorruptStoreError
from harness.results.schema import KEY_FIELDS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

Row = dict[str, Any]
#: tables of a run beside `run` itself, in the order in which they are written
RUN_TABLES = ("planned_cell", "cell", "superseded", "verdict", "control")
#: tables whose rows are records
_RECORDS = ("cell", "superseded")


@dataclass(frozen=True, kw_only=True)
class RunRows:
    """A run in rows.

    Attributes:
        run: of the table `run`.
        tables: name of a table -> its rows of this run, in their order.
        damaged: records that cannot be read any more, and are left out, in words.
    """

    run: Row
    tables: Mapping[str, Sequence[Row]]
    damaged: Sequence[str] = ()


@dataclass(kw_only=True)
class Taken:
    """What a store took of runs.

    Attributes:
        runs: ids of runs that it did not have.
        cells, known: records that it took; that it had, the same.
        kept: records of which it had another, which stays.
    """

    runs: list[str] = field(default_factory=list)
    cells: int = 0
    known: int = 0
    kept: int = 0

    def add(self, other: Taken) -> None:
        """Adds what was taken of another run."""
        self.runs += other.runs
        self.cells += other.cells
        self.known += other.known
        self.kept += other.kept


def table_of(name: str) -> Table:
    """A table of the store by its name."""
    from harness.results.schema import metadata

    return metadata.tables[name]


def columns_of(name: str) -> list[str]:
    """The columns of a table that a row carries: all but its number in this store."""
    return [column.name for column in table_of(name).columns if column.name != "id"]


def rows_of(connection: Connection, name: str, run: str | None = None) -> list[Row]:
    """The rows of a table, of one run or all, in their order; records as they are stored."""
    from sqlalchemy import select

    table = table_of(name)
    order = [column for key in ("id", "position") if (column := table.columns.get(key)) is not None]
    statement = select(*(table.c[column] for column in columns_of(name))).order_by(*order)
    if run is not None:
        statement = statement.where(table.c.run == run)
    return [dict(row._mapping) for row in connection.execute(statement)]


def read_run(connection: Connection, run: str) -> RunRows:
    """All that the store has of a run."""
    parts, damaged = Parts(connection), []
    tables: dict[str, list[Row]] = {}
    for name in RUN_TABLES:
        found = rows_of(connection, name, run)
        if name in _RECORDS:
            whole = []
            for row in found:
                try:
                    whole.append({**row, "record": rows.whole(row["record"], row["checksum"], parts)})
                except CorruptStoreError as error:
                    damaged.append(f"{row['workload']}/{row['recipe']}/{row['device']}/{row['backend']}: {error.what}")
            found = whole
        tables[name] = found
    (own,) = rows_of(connection, "run", run)
    return RunRows(run=own, tables=tables, damaged=damaged)


def write_run(connection: Connection, run: RunRows, *, newer: bool) -> Taken:
    """Writes what a store does not have of a run; twice is as good as once.

    Args:
        newer: of a record that it has otherwise, the later one stands; else the one that it has.
    """
    from sqlalchemy import delete

    taken = Taken()
    name = run.run["run"]
    parts = PartsKept(connection)
    if _begin(connection, run.run, newer=newer):
        taken.runs.append(name)
    _cells(connection, run.tables.get("cell", ()), parts, taken, newer=newer)
    add_rows(connection, "superseded", [_packed(row, parts) for row in run.tables.get("superseded", ())])
    add_rows(connection, "planned_cell", run.tables.get("planned_cell", ()))
    if newer and run.tables.get("verdict"):
        # A later judgement takes the place of an earlier one as a whole.
        connection.execute(delete(table_of("verdict")).where(table_of("verdict").c.run == name))
    add_rows(connection, "verdict", run.tables.get("verdict", ()))
    add_rows(connection, "control", run.tables.get("control", ()))
    return taken


def add_rows(connection: Connection, name: str, new: Sequence[Row]) -> None:
    """Adds the rows that a table does not have: of the same key, or, where it has none of its own, the very same."""
    if name in ("control", "level"):
        runs = {row["run"] for row in new}
        known = {tuple(row.items()) for run in runs for row in rows_of(connection, name, run)}
        _insert(connection, name, [row for row in new if tuple(row.items()) not in known])
    elif new:
        connection.execute(new_row(connection, table_of(name)).on_conflict_do_nothing(), list(new))


def _begin(connection: Connection, row: Row, *, newer: bool) -> bool:
    """Writes the run itself; True where the store did not have it."""
    from sqlalchemy import func, insert, select, update

    table = table_of("run")
    if connection.execute(select(table.c.run).where(table.c.run == row["run"])).first():
        if newer:
            values = {key: row[key] for key in ("state", "finished_utc", "environment")}
            connection.execute(update(table).where(table.c.run == row["run"]).values(**values))
        return False
    newest = connection.scalar(select(func.max(table.c.number))) or 0
    connection.execute(insert(table), {**row, "number": newest + 1})
    return True


def _cells(connection: Connection, new: Sequence[Row], parts: PartsKept, taken: Taken, *, newer: bool) -> None:
    if not new:
        return
    there = {_key(row): row for row in rows_of(connection, "cell", new[0]["run"])}
    read = Parts(connection)
    fresh = []
    for row in new:
        old = there.get(_key(row))
        if old is None:
            fresh.append(_packed(row, parts))
            continue
        if _whole_or_none(old, read) == row["record"]:
            taken.known += 1
        elif newer and _stands(row) >= _stands(old):
            _replace(connection, _packed(row, parts))
            taken.cells += 1
        else:
            taken.kept += 1
    _insert(connection, "cell", fresh)
    taken.cells += len(fresh)


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY_FIELDS)


def _stands(row: Row) -> tuple[bool, int, str]:
    """What orders records of one cell: a measurement before a failure, then judged last, then measured last."""
    return (row["outcome"] != "failed", row["revision"] or 0, row["started_utc"] or "")


def _whole_or_none(row: Row, parts: Callable[[int], str]) -> str | None:
    try:
        return rows.whole(row["record"], row["checksum"], parts)
    except CorruptStoreError:
        return None


def _packed(row: Row, parts: PartsKept) -> Row:
    text = rows.pack_whole(row["record"], parts)
    return {**row, "record": text, "checksum": rows.checksum(text)}


def _replace(connection: Connection, row: Row) -> None:
    from sqlalchemy import update

    table = table_of("cell")
    same = [table.c[name] == row[name] for name in ("run", *KEY_FIELDS)]
    connection.execute(update(table).where(*same).values(**row))


def _insert(connection: Connection, name: str, new: Sequence[Row]) -> None:
    from sqlalchemy import insert

    if new:
        connection.execute(insert(table_of(name)), list(new))


def put_in_order(
    connection: Connection, incoming: Iterable[tuple[str, str]], before: Sequence[tuple[str, str]]
) -> None:
    """Numbers all runs so that both orders hold, and among them the times at which the runs began.

    Args:
        incoming, before: (run, started_utc) of the runs that came and of those that were there, each as they began.
    """
    from sqlalchemy import update

    known = {run for run, _ in before}
    left, right = list(before), [one for one in incoming if one[0] not in known]
    order: list[str] = []
    while left or right:
        take_left = bool(left) and (not right or left[0][1] <= right[0][1])
        order.append((left if take_left else right).pop(0)[0])
    table = table_of("run")
    # Below zero first: two runs never have one number, also not for a moment.
    for sign in (-1, 1):
        for number, run in enumerate(order, start=1):
            connection.execute(update(table).where(table.c.run == run).values(number=sign * number))
