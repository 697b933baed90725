"""Takes out of a store what nobody needs any more: records, then the parts, model files and objects that no record names.

Which records stay is decided above (`harness.verdict.keep`). Runs and control cells always stay, and verdicts but for what was
the same in older nights, unless the next ones are screened by it.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import UserInputError
from harness.results.cells import Parts
from harness.results.faults import StoreBusyError, storage_faults
from harness.results.objects import SHA, ObjectStore
from harness.results.record import CellKey
from harness.results.rows import PARTS_KEY
from harness.results.running import is_running
from harness.results.schema import KEY_FIELDS
from harness.results.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: the state of a run of which records were taken out
PRUNED = "pruned"
#: an object as young as this may belong to a cell that is being stored now
_YOUNG_S = 3600.0
#: values in one statement
_CHUNK = 500
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(kw_only=True)
class Keep:
    """What stays, and for what.

    Attributes:
        runs: run -> why all its records stay.
        records: (run, cell) -> why this record stays.
        times: (run, cell) of which the next nights need the time, whatever becomes of the record.
    """

    runs: dict[str, str] = field(default_factory=dict)
    records: dict[tuple[str, CellKey], str] = field(default_factory=dict)
    times: set[tuple[str, CellKey]] = field(default_factory=set)


@dataclass(kw_only=True)
class Pruned:
    """What was taken out, or would be.

    Attributes:
        records, runs: records, and of how many runs.
        kept: why records of older runs stay -> how many.
        times: verdicts that said that a time was the same.
        artifacts: model files for confirmation.
        objects, object_bytes: of all places where objects are kept for this store.
    """

    records: int = 0
    runs: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    times: int = 0
    artifacts: int = 0
    objects: int = 0
    object_bytes: int = 0


@dataclass(kw_only=True)
class _Plan:
    """What goes, and what the records that stay name.

    Attributes:
        runs: of which no record stays.
        cells: (number, run, cell) of other records that go.
        parts, hashes: numbers of parts, and everything that looks like the name of an object or a model.
    """

    runs: list[str] = field(default_factory=list)
    cells: list[tuple[int, str, CellKey]] = field(default_factory=list)
    parts: set[int] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)


def prune(store: Store, keep: Keep, *, dry_run: bool = False) -> Pruned:
    """Takes out every record that is not kept, and then what no record names.

    Args:
        dry_run: only counts.

    Raises:
        UserInputError: a run is under way.
    """
    for run in store.open_runs():
        if is_running(store.results_dir, run):
            raise UserInputError(f"run {run} is under way", where=store.where, hint="prune when it has ended")
    done = Pruned()
    if dry_run:
        with store._reading() as connection:
            plan = _planned(connection, keep, done)
            done.artifacts = len(_unnamed_artifacts(connection, plan))
            done.times = len(_old_times(connection, keep))
    else:
        plan = store._write(lambda connection: _take_out(connection, keep, done))
    _sweep(store, plan.hashes, done, dry_run=dry_run)
    if not dry_run:
        _give_back(store)
    return done


def _planned(connection: Connection, keep: Keep, done: Pruned) -> _Plan:
    from sqlalchemy import func, select

    from harness.results.schema import cell

    plan = _Plan()
    wanted: dict[str, dict[CellKey, str]] = {}
    for (run, key), why in keep.records.items():
        wanted.setdefault(run, {})[key] = why
    for run, count in connection.execute(select(cell.c.run, func.count()).group_by(cell.c.run)).all():
        if run in keep.runs:
            _note_run(connection, run, None, plan)
        elif run in wanted:
            _part_of_run(connection, run, wanted[run], plan, done)
        else:
            plan.runs.append(run)
            done.records += count
    _note_environments(connection, plan)
    done.records += len(plan.cells)
    done.runs = len({*plan.runs, *(run for _, run, _ in plan.cells)})
    parts = Parts(connection)
    for number in plan.parts:
        with contextlib.suppress(KeyError):  # a damaged part names nothing any more
            plan.hashes |= set(_HASH.findall(parts(number)))
    return plan


def _note_environments(connection: Connection, plan: _Plan) -> None:
    """Notes what runs themselves name, such as the published figures that a night was begun with; runs always stay."""
    from sqlalchemy import select

    from harness.results.schema import run

    for text in connection.scalars(select(run.c.environment)):
        plan.hashes |= set(_HASH.findall(text or ""))


def _part_of_run(connection: Connection, run: str, wanted: dict[CellKey, str], plan: _Plan, done: Pruned) -> None:
    """Of an older run some records stay."""
    from sqlalchemy import select

    from harness.results.schema import cell

    for row in connection.execute(select(cell.c.id, *(cell.c[n] for n in KEY_FIELDS)).where(cell.c.run == run)).all():
        key = _key(row)
        if key in wanted:
            done.kept[wanted[key]] = done.kept.get(wanted[key], 0) + 1
        else:
            plan.cells.append((row.id, run, key))
    _note_run(connection, run, wanted, plan)


def _note_run(connection: Connection, run: str, wanted: Container[CellKey] | None, plan: _Plan) -> None:
    """Notes what the records of a run name, those that were superseded too; of all its cells, or those that are wanted."""
    from sqlalchemy import select

    from harness.results.schema import cell, superseded

    for table in (cell, superseded):
        statement = select(*(table.c[name] for name in KEY_FIELDS), table.c.record).where(table.c.run == run)
        for row in connection.execute(statement):
            if wanted is None or _key(row) in wanted:
                _note_names(row.record, plan)


def _key(row: Any) -> CellKey:
    return CellKey(**{name: getattr(row, name) for name in KEY_FIELDS})


def _note_names(record: str, plan: _Plan) -> None:
    """Adds every hash that stands in a record: names of objects, models and fingerprints alike; too many do no harm."""
    plan.hashes |= set(_HASH.findall(record))
    with contextlib.suppress(
        ValueError, AttributeError, TypeError
    ):  # a damaged record names what can still be read of it
        plan.parts |= set(json.loads(record).get(PARTS_KEY, {}).values())


def _take_out(connection: Connection, keep: Keep, done: Pruned) -> _Plan:
    from sqlalchemy import delete, select, update

    from harness.results.history_schema import kept_artifact, verdict
    from harness.results.schema import cell, part, planned_cell, run, superseded

    plan = _planned(connection, keep, done)
    for chunk in _chunks(plan.runs):
        for table in (cell, superseded, planned_cell):
            connection.execute(delete(table).where(table.c.run.in_(chunk)))
    for chunk in _chunks([number for number, _, _ in plan.cells]):
        connection.execute(delete(cell).where(cell.c.id.in_(chunk)))
    values = [{"b_run": name, **{f"b_{n}": getattr(key, n) for n in KEY_FIELDS}} for _, name, key in plan.cells]
    for table in (superseded, planned_cell) if values else ():
        connection.execute(delete(table).where(*_same_cell(table)), values)
    for chunk in _chunks(sorted({*plan.runs, *(name for _, name, _ in plan.cells)})):
        connection.execute(update(run).where(run.c.run.in_(chunk)).values(state=PRUNED))
    unused = [number for number in connection.scalars(select(part.c.id)) if number not in plan.parts]
    for chunk in _chunks(unused):
        connection.execute(delete(part).where(part.c.id.in_(chunk)))
    old = _old_times(connection, keep)
    for chunk in _chunks(old):
        connection.execute(delete(verdict).where(verdict.c.id.in_(chunk)))
    done.times = len(old)
    unnamed = _unnamed_artifacts(connection, plan)
    for chunk in _chunks(unnamed):
        connection.execute(delete(kept_artifact).where(kept_artifact.c.sha256.in_(chunk)))
    done.artifacts = len(unnamed)
    return plan


def _old_times(connection: Connection, keep: Keep) -> list[int]:
    """Verdicts of older nights that said `same` of a time which no reference is made of."""
    from sqlalchemy import func, select

    from harness.results.history_schema import verdict
    from harness.results.schema import run

    wanted: dict[str, set[CellKey]] = {}
    for name, key in keep.times:
        wanted.setdefault(name, set()).add(key)
    old = []
    for name in connection.scalars(select(run.c.run)).all():
        if name not in keep.runs:
            # `coalesce` keeps SQLite from going through all that ever was the same, once for each run.
            same = (verdict.c.run == name, func.coalesce(verdict.c.status, "") == "same")
            rows = connection.execute(select(verdict.c.id, *(verdict.c[n] for n in KEY_FIELDS)).where(*same))
            stays = wanted.get(name, set())
            old += [row.id for row in rows if not stays or _key(row) not in stays]
    return old


def _same_cell(table: Any) -> list[Any]:
    from sqlalchemy import bindparam

    return [table.c[name] == bindparam(f"b_{name}") for name in ("run", *KEY_FIELDS)]


def _unnamed_artifacts(connection: Connection, plan: _Plan) -> list[str]:
    """Model files that no kept record was made of; the objects of the others are named from here on."""
    from sqlalchemy import select

    from harness.results.history_schema import kept_artifact

    unnamed = []
    for row in connection.execute(select(kept_artifact.c.sha256, kept_artifact.c.object)):
        if row.sha256 in plan.hashes:
            plan.hashes.add(row.object)
        else:
            unnamed.append(row.sha256)
    return unnamed


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _give_back(store: Store) -> None:
    """Gives a file's freed pages back to the disk; a server does that by itself."""
    if store.place.shared:
        return
    connection = store._database.engine.raw_connection()  # type: ignore[union-attr]
    try:
        with contextlib.suppress(StoreBusyError), storage_faults(store.path):  # freed pages are used again all the same
            connection.cursor().execute("VACUUM")
    finally:
        connection.close()


def _sweep(store: Store, named: set[str], done: Pruned, *, dry_run: bool) -> None:
    """Deletes objects that no record names, and that nobody can be about to name."""
    gone: dict[str, int] = {}
    for path in _old_files(store.objects):
        if path.stem not in named:
            gone[path.stem] = path.stat().st_size
            if not dry_run:
                path.unlink(missing_ok=True)
    if store.place.shared and store.place.objects is None:
        gone |= _sweep_server(store, named, dry_run=dry_run)
    done.objects, done.object_bytes = len(gone), sum(gone.values())


def _old_files(objects: ObjectStore) -> Iterable[Path]:
    newest = time.time() - _YOUNG_S
    for path in sorted(objects.root.glob("??/*.npz")):
        if SHA.fullmatch(path.stem) and path.stat().st_mtime < newest:
            yield path


def _sweep_server(store: Store, named: set[str], *, dry_run: bool) -> dict[str, int]:
    from sqlalchemy import delete, select

    from harness.results.history_schema import stored_object as table

    newest = (datetime.now(UTC) - timedelta(seconds=_YOUNG_S)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    old = table.c.stored_utc < newest
    with store._reading() as connection:
        found = connection.execute(select(table.c.sha256, table.c.size_bytes).where(old)).all()
    gone = {row.sha256: row.size_bytes for row in found if row.sha256 not in named}
    if not dry_run:
        for chunk in _chunks(sorted(gone)):
            # Asked again: one that was put there once more since is young.
            store._write(lambda c, chunk=chunk: c.execute(delete(table).where(table.c.sha256.in_(chunk), old)))
    return gone
