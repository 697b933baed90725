"""Records with their history as files: Parquet or CSV, a file per table, that any tool reads and another store takes.

A folder holds `run`, `planned_cell`, `cell`, `superseded`, `verdict`, `control`, `level`, `baseline` and `kept_artifact` (the
columns of the store's tables, records whole in the column `record`), `about.json`, and `objects/` where they were asked for. Rows
stand run by run in the order in which the runs began, in every file, so that a store of any size is written and read in little
memory.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness import __version__
from harness.core.errors import HarnessError, UserInputError
from harness.results.faults import storage_faults
from harness.results.layout import OBJECTS_NAME
from harness.results.merge import object_names
from harness.results.objects import ObjectStore
from harness.results.record_check import check_record
from harness.results.revision import HEAD_REVISION
from harness.results.store import Store
from harness.results.tablefiles import FORMATS, Format, table_sink, table_source
from harness.results.transfer import (
    RUN_TABLES,
    RunRows,
    Taken,
    add_rows,
    put_in_order,
    read_run,
    rows_of,
    table_of,
    write_run,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: tables that are of no single run
_COMMON = ("level", "baseline", "kept_artifact")
_ABOUT = "about.json"


@dataclass(kw_only=True)
class Exported:
    """What was written.

    Attributes:
        problems: records and objects that are damaged or lost, and left out, in words.
    """

    runs: int = 0
    cells: int = 0
    objects: int = 0
    problems: list[str] = field(default_factory=list)


def export_store(
    store: Store, folder: Path, *, form: Format = "parquet", runs: Iterable[str] = (), with_objects: bool = False
) -> Exported:
    """Writes runs with their history into a new folder, which is there as a whole or not at all.

    Args:
        runs: ids; none for all.
        with_objects: also the objects that the records name.

    Raises:
        UserInputError: the folder is there already. HarnessError: no space.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserInputError("is there already", where=str(folder), hint="name a new folder")
    chosen = list(runs) or store.run_ids()
    done = Exported()
    with storage_faults(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".tmp-{folder.name}-"))
        try:
            _write(store, made, form, chosen, done, with_objects=with_objects)
            made.chmod(0o755)
            made.replace(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    return done


def _write(store: Store, folder: Path, form: Format, runs: list[str], done: Exported, *, with_objects: bool) -> None:
    with contextlib.ExitStack() as files:
        sinks = {name: files.enter_context(table_sink(folder, name, form)) for name in ("run", *RUN_TABLES, *_COMMON)}
        for run in runs:
            with store._reading() as connection:
                rows = read_run(connection, run)
            done.problems += [f"run {run}: {text}" for text in rows.damaged]
            sinks["run"].write([rows.run])
            for name, found in rows.tables.items():
                sinks[name].write(found)
            done.runs += 1
            done.cells += len(rows.tables["cell"])
            if with_objects:
                _copy_objects(store.objects, object_names(rows), folder, done)
        with store._reading() as connection:
            common = {name: rows_of(connection, name) for name in _COMMON}
        for name, found in common.items():
            sinks[name].write([row for row in found if row.get("run") is None or row["run"] in set(runs)])
        if with_objects:
            _copy_objects(store.objects, {row["object"] for row in common["kept_artifact"]}, folder, done)
    about = {"harness": __version__, "schema": HEAD_REVISION, "format": form, "runs": done.runs, "cells": done.cells}
    (folder / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _copy_objects(objects: ObjectStore, names: set[str], folder: Path, done: Exported) -> None:
    copies = ObjectStore(folder)
    for name in sorted(names):
        if copies.has(name):
            continue
        try:
            copies.put_arrays(objects.get_arrays(name))
            done.objects += 1
        except HarnessError as error:
            done.problems.append(str(error))


def import_store(store: Store, folder: Path) -> tuple[Taken, list[str]]:
    """Takes what an export holds and the store does not; of what it has otherwise its own stays. Twice is as good as once.

    Returns:
        What it took, and in words what could not be read.

    Raises:
        UserInputError: no export, one of a newer harness, or a file in it that is damaged; runs that were read before stay.
    """
    folder = Path(folder).absolute()
    form = _checked_about(folder)
    taken, before = Taken(), _begun(store)
    problems = _import_objects(store, folder)
    came: list[tuple[str, str]] = []
    with contextlib.ExitStack() as files:
        sources = {name: files.enter_context(table_source(folder, name, form)) for name in RUN_TABLES}
        with table_source(folder, "run", form) as runs:
            for row in runs.all():
                name = str(row["run"])
                tables = {table: source.of(name) for table, source in sources.items()}
                for table in ("cell", "superseded"):
                    for record in tables[table]:
                        check_record(record, where=str(folder / f"{table}.{form}"))
                rows = RunRows(run=row, tables=tables)
                taken.add(store._write(lambda connection, rows=rows: write_run(connection, rows, newer=False)))
                came.append((name, str(row["started_utc"])))
        for name, source in sources.items():
            source.require_end(folder / f"{name}.{form}")
    store._write(lambda connection: put_in_order(connection, came, before))
    _import_common(store, folder, form)
    return taken, problems


def _checked_about(folder: Path) -> Format:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        form, schema = about["format"], str(about["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserInputError(
            "this is no export of a results store", where=str(folder), hint="make one with `harness results export DIR`"
        ) from error
    if form not in FORMATS or schema > HEAD_REVISION:
        raise UserInputError(
            f"this export is of a newer harness (schema {schema}, this one knows up to {HEAD_REVISION})",
            where=str(folder),
            hint="upgrade the harness",
        )
    return form


def _begun(store: Store) -> list[tuple[str, str]]:
    from sqlalchemy import select

    run = table_of("run")
    with store._reading() as connection:
        found = connection.execute(select(run.c.run, run.c.started_utc).order_by(run.c.number))
        return [(row.run, row.started_utc) for row in found]


def _import_objects(store: Store, folder: Path) -> list[str]:
    copies, problems = ObjectStore(folder), []
    for path in sorted((folder / OBJECTS_NAME).glob("??/*.npz")):
        try:
            store.objects.put_arrays(copies.get_arrays(path.stem))
        except UserInputError as error:
            problems.append(str(error))
    return problems


def _import_common(store: Store, folder: Path, form: Format) -> None:
    found = {}
    for name in _COMMON:
        with table_source(folder, name, form) as source:
            found[name] = list(source.all())

    def work(connection: Connection) -> None:
        for name, rows in found.items():
            add_rows(connection, name, rows)

    store._write(work)
