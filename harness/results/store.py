"""The results store: every run and cell in one SQLite file or a shared PostgreSQL database, each cell committed as it ends.

Works without TensorFlow and without a board. Two harness processes may write into one store at once.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.core.errors import HarnessError, UserInputError, unknown_name
from harness.results import codec
from harness.results.cells import Filter
from harness.results.faults import RunExistsError
from harness.results.layout import STORE_NAME, UNMERGED_NAME, ensure_writable, new_run_id, store_path, utc_now
from harness.results.place import Place, place_of, redacted
from harness.results.record import CellKey, CellRecord, RunInfo

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from harness.results.database import Database
    from harness.results.objects import ObjectStore
    from harness.results.shared import SharedDatabase

T = TypeVar("T", list[Any], dict[str, Any])

__all__ = ["Store", "new_run_id", "utc_now"]

#: `running` while cells are measured, `exporting` while its tables are made, then how it ended
STATES = ("running", "exporting", "finished", "interrupted")
#: states of a run that a process is at, or was when it was killed
OPEN_STATES = ("running", "exporting")


class Store:
    """Runs and cells of one results folder. Use `Store.open`; usable as a context manager."""

    def __init__(self, place: Place, database: Database | SharedDatabase) -> None:
        self.place = place
        self.results_dir = place.results
        #: the file where the store is one
        self.path = store_path(place.results)
        #: what was found damaged while reading, each in words, once: such a record is left out, and the others are not
        self.damaged: list[str] = []
        #: the cells whose records those are, as (run, key)
        self.damaged_cells: set[tuple[str, CellKey]] = set()
        self._database = database

    @classmethod
    def open(cls, results_dir: Path, *, create: bool = True) -> Store:
        """Opens the store of a results folder, which may be a shared one (`harness.results.place`), up to date.

        What an earlier night could not send to a shared store is put there first.

        Args:
            create: makes folder and store when missing, and proves at once that they can be written. With False an
                existing store is needed; it may lie in a read-only folder.

        Raises:
            UserInputError: read-only or no folder, no store there, or one made by a newer harness.
            CorruptStoreError: the file is damaged or something else.
            StoreGoneError: the server of a shared store does not answer.
            HarnessError: the disk is full.
        """
        place = place_of(results_dir)
        if place.shared:
            return cls._open_shared(place, create=create)
        return cls._open_here(place, create=create)

    @classmethod
    def open_scratch(cls, results_dir: Path) -> Store:
        """Opens SQLite in a folder that is thrown away, also where this process's records are in a shared store.

        Raises:
            HarnessError: as `open`.
        """
        return cls._open_here(Place(results=Path(results_dir).absolute()), create=True)

    @classmethod
    def _open_here(cls, place: Place, *, create: bool) -> Store:
        from harness.results.engine import open_file

        results_dir, path = place.results, store_path(place.results)
        if create:
            ensure_writable(results_dir, STORE_NAME)
        elif not path.is_file():
            raise UserInputError(
                "there is no results store here",
                where=str(results_dir),
                hint="run `harness nightly` first, or name the folder with --results",
            )
        return cls(place, open_file(path, read_only=not create))

    @classmethod
    def _open_shared(cls, place: Place, *, create: bool) -> Store:
        from harness.results.merge import merge_unmerged
        from harness.results.shared import shared_database

        if create:
            ensure_writable(place.results)
        store = cls(place, shared_database(place, create=create))
        try:
            merge_unmerged(store)
        except HarnessError as error:
            if create:
                raise
            store._note(f"what a night left in {place.results / UNMERGED_NAME} could not be merged: {error}")
        return store

    @property
    def objects(self) -> ObjectStore:
        """The objects that its records name."""
        from harness.results.objects import open_objects

        return open_objects(self.results_dir)

    @property
    def where(self) -> str:
        """The store as errors name it, without a password."""
        return self._database.where

    @property
    def lost(self) -> str | None:
        """Why a shared store was given up in the middle of a run, which goes on in the results folder; None: it was not."""
        return getattr(self._database, "lost", None)

    def close(self) -> None:
        """Lets go of the file. Everything is on disk before, too."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- runs ---------------------------------------------------------------------------------------------------------

    def begin_run(self, info: RunInfo) -> None:
        """Adds a new run with everything it plans.

        Raises:
            HarnessError: a run of this id exists already.
        """
        from sqlalchemy import func, insert, select

        from harness.results import schema

        data = codec.run_to_json(info)
        row = {name: data[name] for name in ("run", "started_utc", "finished_utc", "state", "series")}
        row |= {
            "command": codec.dumps([redacted(word) for word in data["command"]]),
            "environment": codec.dumps(data["environment"]),
        }

        def work(connection: Connection) -> None:
            if connection.execute(select(schema.run.c.run).where(schema.run.c.run == info.run)).first():
                raise RunExistsError(
                    f"run {info.run} exists already",
                    where=self.where,
                    hint="resume it with `harness run --resume`, or start a new one",
                )
            newest = connection.scalar(select(func.max(schema.run.c.number))) or 0
            connection.execute(insert(schema.run), {**row, "number": newest + 1})
            if data["planned"]:
                connection.execute(
                    insert(schema.planned_cell),
                    [{"run": info.run, "position": i, **key} for i, key in enumerate(data["planned"])],
                )

        self._database.begin(info.run)
        self._write(work)

    def resume_run(self, run: str) -> RunInfo:
        """Marks an interrupted run as running again and returns it."""
        from harness.results import transfer

        info = self.run(run)
        if self.place.shared:
            with self._reading() as connection:
                kept = transfer.read_run(connection, info.run)
            self._database.begin(info.run, lambda connection: transfer.write_run(connection, kept, newer=True))
        self._update_run(info.run, state="running", finished_utc=None)
        return dataclasses.replace(info, state="running", finished_utc=None)

    def finish_run(self, run: str, state: str = "finished") -> None:
        """Notes how a run ended (`finished` or `interrupted`), or that its cells are done and its tables are being made."""
        if state not in STATES:
            raise unknown_name("run state", state, STATES)
        self._update_run(run, state=state, finished_utc=None if state == "running" else utc_now())
        if state not in OPEN_STATES:
            self._database.end(run)

    def set_environment(self, run: str, environment: dict[str, Any]) -> None:
        """Replaces what a run knows of its host and devices; boards tell only once they are connected."""
        self._update_run(run, environment=codec.dumps(codec.plain_json(environment)))

    def _update_run(self, run: str, **values: Any) -> None:
        from sqlalchemy import update

        from harness.results import schema

        def work(connection: Connection) -> None:
            done = connection.execute(update(schema.run).where(schema.run.c.run == run).values(**values))
            if done.rowcount == 0:
                raise unknown_name("run", run, self._run_ids(connection))

        self._write(work)

    def runs(self) -> list[RunInfo]:
        """Every run, oldest first."""
        with self._reading() as connection:
            return self._load_runs(connection, self._run_ids(connection))

    def open_runs(self) -> list[str]:
        """Ids of the runs that have not ended: a process is at them, or was killed; oldest first."""
        from sqlalchemy import select

        from harness.results.schema import run

        with self._reading() as connection:
            unended = select(run.c.run).where(run.c.state.in_(OPEN_STATES)).order_by(run.c.number)
            return list(connection.scalars(unended))

    def run_ids(self) -> list[str]:
        """The ids of all runs in the order in which they began, which is what `latest` goes by."""
        with self._reading() as connection:
            return self._run_ids(connection)

    def is_complete(self, run: str) -> bool:
        """Whether every planned cell of a run has a record, whatever its outcome."""
        with self._reading() as connection:
            info = self._load_runs(connection, [self._resolve(connection, run)])[0]
            recorded = {record.key for record in self._load_cells(connection, run=info.run)}
        return recorded.issuperset(info.planned)

    def run(self, name: str) -> RunInfo:
        """The run of an id, of an id's unique beginning, or the newest one for `latest`.

        Raises:
            UserInputError: no such run, or several begin like this.
        """
        with self._reading() as connection:
            return self._load_runs(connection, [self._resolve(connection, name)])[0]

    def pending(self, run: str) -> list[CellKey]:
        """The planned cells that have no record yet or failed, in planned order: what a resumed run has to do."""
        with self._reading() as connection:
            info = self._load_runs(connection, [self._resolve(connection, run)])[0]
            done = {r.key for r in self._load_cells(connection, run=info.run) if r.outcome != "failed"}
        return [key for key in info.planned if key not in done]

    # -- cells --------------------------------------------------------------------------------------------------------

    def add_cell(self, record: CellRecord) -> None:
        """Stores one finished cell; it is on disk when this returns. A retried cell of the same run is replaced.

        Raises:
            UserInputError: the record's run was never begun.
            HarnessError: the disk is full or the store damaged; nothing of the record is stored then.
        """
        from harness.results import cells

        def work(connection: Connection) -> None:
            self._require_run(connection, record.run)
            cells.put(connection, record)

        self._write(work)

    def add_revision(self, record: CellRecord) -> int:
        """Stores a record that was judged again in the place of the cell's present one, which stays among its revisions.

        Returns:
            The revision, 1 for the first; it is also noted in the record.

        Raises:
            UserInputError: the run was never begun, or the cell has no record in it.
        """
        from harness.results import cells

        def work(connection: Connection) -> int:
            self._require_run(connection, record.run)
            try:
                return cells.supersede(connection, record)
            except KeyError:
                raise UserInputError(
                    f"{record.key.text_with_seed} has no record in run {record.run}", hint="run the cell first"
                ) from None

        return self._write(work)

    def revisions(self, run: str, key: CellKey) -> list[CellRecord]:
        """Every record that a cell of a run has had: as measured first, the one that stands last.

        Raises:
            UserInputError: for an unknown run.
        """
        from harness.results import cells

        with self._reading() as connection:
            return cells.revisions(connection, self._resolve(connection, run), key, damaged=self._note_damaged)

    def cells(
        self,
        *,
        run: str | None = None,
        latest: bool = False,
        workload: Filter = None,
        recipe: Filter = None,
        device: Filter = None,
        backend: Filter = None,
        dataset: Filter = None,
        seed: Filter = None,
        outcome: Filter = None,
    ) -> list[CellRecord]:
        """Stored cells, oldest first, each as it was judged last. A damaged record is left out and named in `damaged`.

        Args:
            run: a run's id, unique beginning or `latest`; None for all runs.
            latest: only the newest record of each cell key.
            workload, recipe, device, backend, dataset, seed, outcome: a value or several; texts may be globs (`*`, `?`;
                brackets are literal).

        Raises:
            UserInputError: for an unknown run.
        """
        filters = {
            "workload": workload,
            "recipe": recipe,
            "device": device,
            "backend": backend,
            "dataset": dataset,
            "seed": seed,
            "outcome": outcome,
        }
        with self._reading() as connection:
            chosen = self._resolve(connection, run) if run is not None else None
            records = self._load_cells(connection, run=chosen, filters=filters)
        if latest:
            newest = {record.key: record for record in records}
            records = [record for record in records if newest[record.key] is record]
        return records

    # -- inside -------------------------------------------------------------------------------------------------------

    def _write(self, work: Any) -> Any:
        return self._database.write(work)

    def _reading(self) -> Any:
        return self._database.reading()

    def _run_ids(self, connection: Connection) -> list[str]:
        from sqlalchemy import select

        from harness.results import schema

        return list(connection.scalars(select(schema.run.c.run).order_by(schema.run.c.number)))

    def _resolve(self, connection: Connection, name: str) -> str:
        ids = self._run_ids(connection)
        if name in ids:
            return name
        if name == "latest":
            if not ids:
                raise UserInputError("there are no runs yet", where=self.where, hint="run `harness nightly` first")
            return ids[-1]
        matches = [run for run in ids if name and run.startswith(name)]
        if not matches:
            raise unknown_name("run", name, [*ids[-20:], "latest"])
        if len(matches) > 1:
            raise UserInputError(f"several runs begin with '{name}'", hint=f"say which: {', '.join(matches)}")
        return matches[0]

    def _load_runs(self, connection: Connection, ids: list[str]) -> list[RunInfo]:
        from sqlalchemy import select

        from harness.results import schema

        rows = {row.run: row for row in connection.execute(select(schema.run))}
        planned: dict[str, list[CellKey]] = {run: [] for run in ids}
        table = schema.planned_cell
        chosen = select(table).where(table.c.run.in_(ids)) if len(ids) == 1 else select(table)
        for row in connection.execute(chosen.order_by(table.c.run, table.c.position)):
            if row.run in planned:
                planned[row.run].append(CellKey(**{name: getattr(row, name) for name in schema.KEY_FIELDS}))
        return [
            RunInfo(
                run=run,
                started_utc=rows[run].started_utc,
                finished_utc=rows[run].finished_utc,
                state=rows[run].state,
                command=self._parsed(rows[run].command, list, run, "command"),
                environment=self._parsed(rows[run].environment, dict, run, "environment"),
                planned=planned[run],
                series=rows[run].series,
            )
            for run in ids
        ]

    def _load_cells(
        self, connection: Connection, *, run: str | None, filters: dict[str, Filter] | None = None
    ) -> list[CellRecord]:
        from harness.results import cells

        return cells.load(connection, run=run, filters=filters, damaged=self._note_damaged)

    def _parsed(self, text: str, kind: type[T], run: str, what: str) -> T:
        """A JSON column of a run; empty, and named in `damaged`, where it cannot be read any more."""
        try:
            value = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            value = None
        if isinstance(value, kind):
            return value
        self._note(f"the {what} of run {run} is damaged and left out; its cells are not affected")
        return kind()

    def _note_damaged(self, run: str, key: CellKey, text: str) -> None:
        self.damaged_cells.add((run, key))
        self._note(text)

    def _note(self, text: str) -> None:
        if text not in self.damaged:
            self.damaged.append(text)

    def _require_run(self, connection: Connection, run: str) -> None:
        from sqlalchemy import select

        from harness.results import schema

        if not connection.execute(select(schema.run.c.run).where(schema.run.c.run == run)).first():
            raise unknown_name("run", run, self._run_ids(connection))
