"""What nights could not send to a shared store, put where it belongs: nothing is lost, and nothing stands twice.

`unmerged.sqlite` holds whole runs. A run is merged in one transaction at the server and only then taken out of the file, so that
whoever is killed in between merges it again, which changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError, UserInputError
from harness.results.engine import open_file
from harness.results.layout import UNMERGED_NAME
from harness.results.transfer import RunRows, Taken, add_rows, read_run, rows_of, table_of, write_run

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from harness.results.database import Database
    from harness.results.objects import ObjectStore
    from harness.results.store import Store

_LOCK_NAME = ".unmerged.lock"


@dataclass(kw_only=True)
class Merged:
    """What was put into the shared store.

    Attributes:
        taken: of the runs.
        problems: objects that are lost, in words; their records are merged all the same.
        waiting: a process that still writes to the file keeps all of it.
    """

    taken: Taken = field(default_factory=Taken)
    runs: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    waiting: bool = False


@contextlib.contextmanager
def hold_unmerged(results: Path) -> Iterator[None]:
    """Keeps the file from being merged as long as this process may write to it."""
    with _locked(results, exclusive=False):
        yield


@contextlib.contextmanager
def _locked(results: Path, *, exclusive: bool) -> Iterator[bool]:
    """The lock of the file; gives whether it was to be had at once. The kernel frees it when its holder dies."""
    import fcntl

    fd = os.open(results / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not exclusive:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield True
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def merge_unmerged(store: Store) -> Merged:
    """Puts the runs of `unmerged.sqlite` into the shared store that is open. Nothing to do is one look at the folder.

    Raises:
        HarnessError: the file cannot be read, or the server fails; what was merged before stays.
    """
    merged = Merged()
    path = store.results_dir / UNMERGED_NAME
    if not path.is_file() or store.lost is not None:
        return merged
    with _locked(store.results_dir, exclusive=True) as free:
        if not free:
            merged.waiting = True
            return merged
        if not path.is_file():
            return merged
        local = open_file(path)
        try:
            for run in _runs(local):
                _merge_one(store, local, run, merged)
            left = _runs(local)
        finally:
            local.close()
        if not left:
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
    return merged


def _runs(local: Database) -> list[str]:
    from sqlalchemy import select

    run = table_of("run")
    with local.reading() as connection:
        return list(connection.scalars(select(run.c.run).order_by(run.c.number)))


def _merge_one(store: Store, local: Database, run: str, merged: Merged) -> None:
    from sqlalchemy import delete

    with local.reading() as connection:
        rows = read_run(connection, run)
        artifacts = rows_of(connection, "kept_artifact")
        named = {name: rows_of(connection, name, run) for name in ("level", "baseline")}
    merged.problems += [f"run {run}: {text}" for text in rows.damaged]
    # Objects first: a record never names what is not there.
    names = object_names(rows) | {row["object"] for row in artifacts}
    merged.problems += send_objects(store.objects, names)

    def work(connection: Connection) -> Taken:
        add_rows(connection, "kept_artifact", artifacts)
        taken = write_run(connection, rows, newer=True)
        for name, found in named.items():
            add_rows(connection, name, found)
        return taken

    merged.taken.add(store._write(work))
    merged.runs.append(run)
    table = table_of("run")
    local.write(lambda connection: connection.execute(delete(table).where(table.c.run == run)))


def object_names(run: RunRows) -> set[str]:
    """The objects that a run and its records name, also those that were superseded."""
    records = [*run.tables.get("cell", ()), *run.tables.get("superseded", ())]
    texts = [str(run.run.get("environment") or "{}"), *(row["record"] for row in records)]
    return {name for text in texts for name in names_in(text)}


def names_in(record: str) -> set[str]:
    """The objects that a record or a run's environment names, of its JSON text; a damaged one names none."""
    try:
        data = json.loads(record)
    except ValueError:
        return set()
    if not isinstance(data, dict):
        return set()
    return {value for key, value in data.items() if key.endswith("_object") and isinstance(value, str)}


def send_objects(objects: ObjectStore, names: Iterable[str]) -> list[str]:
    """Makes sure that a shared store has these objects, from the folder where it has not; what is lost, in words."""
    problems = []
    for name in sorted(names):
        try:
            objects.send(name)
        except (UserInputError, HarnessError) as error:
            problems.append(str(error))
    return problems
