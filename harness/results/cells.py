"""Cells in the store's tables: written, superseded and read on a connection that the store opens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.files import sha256_json
from harness.results import codec, rows
from harness.results.faults import CorruptStoreError
from harness.results.record import CellKey, CellRecord

if TYPE_CHECKING:
    from sqlalchemy import Connection

Filter = str | int | Iterable[str | int] | None
Damaged = Callable[[str, CellKey, str], None]
"""Told of each record that cannot be read: its run, its cell, and both with the reason in words."""

#: parts asked for at a time: SQLite takes so many values in one statement
_CHUNK = 500


def put(connection: Connection, record: CellRecord) -> None:
    """Writes a cell over one of the same run and key; a new measurement also ends what was judged of the old one since."""
    from sqlalchemy import delete

    from harness.results.schema import superseded

    if record.revision == 0:
        connection.execute(delete(superseded).where(*_same_cell(superseded, record.run, record.key)))
    _write(connection, record)


def supersede(connection: Connection, record: CellRecord) -> int:
    """Writes a record that was judged again over the one that stands, which is kept apart as it was.

    Returns:
        The new record's revision.

    Raises:
        KeyError: the cell has no record.
    """
    from sqlalchemy import insert, select

    from harness.results.schema import cell, superseded

    before = connection.execute(select(cell).where(*_same_cell(cell, record.run, record.key))).first()
    if before is None:
        raise KeyError(record.key.text_with_seed)
    names = [column.name for column in superseded.columns if column.name != "id"]
    connection.execute(insert(superseded), {name: getattr(before, name) for name in names})
    record.revision = before.revision + 1
    _write(connection, record)
    return record.revision


def _write(connection: Connection, record: CellRecord) -> None:
    from harness.results import schema
    from harness.results.dialect import new_row

    data = codec.record_to_json(record)
    row = {"run": record.run, **data["key"], "outcome": data["outcome"], "revision": data["revision"]}
    row |= {name: data[name] for name in schema.FIGURE_COLUMNS}
    row["fingerprint_sha256"] = sha256_json(data["fingerprint"]) if data["fingerprint"] else None
    row["record"] = rows.pack(data, PartsKept(connection))
    row["checksum"] = rows.checksum(row["record"])
    identity = ("run", *schema.KEY_FIELDS)
    connection.execute(
        new_row(connection, schema.cell)
        .values(row)
        .on_conflict_do_update(
            index_elements=identity, set_={name: value for name, value in row.items() if name not in identity}
        )
    )


class PartsKept:
    """Stores texts of parts, each once, and gives their numbers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        digest = rows.checksum(text)
        if digest not in self._numbers:
            self._numbers[digest] = self._number(digest, text)
        return self._numbers[digest]

    def _number(self, digest: str, text: str) -> int:
        from sqlalchemy import insert, select

        from harness.results.schema import part

        found = self._connection.scalar(select(part.c.id).where(part.c.sha256 == digest))
        if found is not None:
            return int(found)
        made = self._connection.execute(insert(part), {"sha256": digest, "text": text}).inserted_primary_key
        assert made is not None
        return int(made[0])


def load(
    connection: Connection,
    *,
    run: str | None,
    filters: dict[str, Filter] | None = None,
    damaged: Damaged,
) -> list[CellRecord]:
    """The records of a run, or of all runs in the order in which these began; what cannot be read is named to `damaged`."""
    from sqlalchemy import select

    from harness.results.schema import KEY_FIELDS, cell
    from harness.results.schema import run as runs

    statement = (
        select(cell.c.record, cell.c.checksum, cell.c.run, *(cell.c[name] for name in KEY_FIELDS))
        .join(runs)
        .order_by(runs.c.number, cell.c.id)
    )
    if run is not None:
        statement = statement.where(cell.c.run == run)
    for name, values in (filters or {}).items():
        if values is not None:
            statement = statement.where(_matches(cell.c[name], values))
    return _records(connection, connection.execute(statement).all(), damaged)


def revisions(connection: Connection, run: str, key: CellKey, *, damaged: Damaged) -> list[CellRecord]:
    """Every record that a cell has had, as measured first and the one that stands last."""
    from sqlalchemy import select

    from harness.results.schema import KEY_FIELDS, cell, superseded

    found: list[Any] = []
    for table in (superseded, cell):
        wanted = (table.c.record, table.c.checksum, table.c.run, *(table.c[name] for name in KEY_FIELDS))
        statement = select(*wanted).where(*_same_cell(table, run, key)).order_by(table.c.revision)
        found += connection.execute(statement).all()
    return _records(connection, found, damaged)


def _records(connection: Connection, found: Sequence[Any], damaged: Damaged) -> list[CellRecord]:
    from harness.results.schema import KEY_FIELDS

    parts = Parts(connection)
    records = []
    for row in found:
        key = CellKey(**{name: getattr(row, name) for name in KEY_FIELDS})
        try:
            record = rows.unpack(row.record, row.checksum, parts)
            if (record.run, record.key) != (row.run, key):
                raise CorruptStoreError("its row belongs to another cell")
            records.append(record)
        except CorruptStoreError as error:
            name = f"{key.text} seed {key.seed}"
            what = f"the record of {name} in run {row.run} is damaged and left out: {error.what}; run the cell again"
            damaged(row.run, key, what)
    return records


class Parts:
    """Texts of parts by number, each read and checked once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._texts: dict[int, str] = {}

    def __call__(self, number: int) -> str:
        if number not in self._texts:
            from sqlalchemy import select

            from harness.results.schema import part

            # Parts are numbered as they come, so that neighbours are likely to be asked for next.
            near = select(part).where(part.c.id >= number, part.c.id < number + _CHUNK)
            for row in self._connection.execute(near):
                if rows.checksum(row.text) == row.sha256:
                    self._texts[row.id] = row.text
        return self._texts[number]


def _same_cell(table: Any, run: str, key: CellKey) -> list[Any]:
    from harness.results.schema import KEY_FIELDS

    return [table.c.run == run, *(table.c[name] == getattr(key, name) for name in KEY_FIELDS)]


def _matches(column: Any, values: Filter) -> Any:
    """The SQL condition for one value or several, where texts with `*` or `?` are globs."""
    from sqlalchemy import false, or_

    from harness.results.dialect import Glob

    several = [values] if isinstance(values, str | int) else list(values or ())
    conditions = []
    for value in several:
        is_glob = isinstance(value, str) and ("*" in value or "?" in value)
        conditions.append(Glob(column, str(value)) if is_glob else column == value)
    return or_(*conditions) if conditions else false()
