"""What a store keeps of nights beside their records: levels, baselines, verdicts, control cells, model files.

The rows of a verdict are JSON texts to this file; `harness.verdict` says what is in them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UserInputError, unknown_name
from harness.core.files import read_regular, sha256_bytes
from harness.results import codec
from harness.results.layout import utc_now
from harness.results.record import CellKey, CellRecord
from harness.results.schema import KEY_FIELDS
from harness.results.store import Store
from harness.results.times import TimeRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: stands for every quantity of a cell
EVERY = "*"
#: the quantity of a level that is a whole board's: from that night on it is compared with itself as it was then
BOARD = "board"
#: with a run's environment: when it was judged
JUDGED = "judged_utc"
#: values in one statement, of what SQLite takes
_CHUNK = 300


@dataclass(frozen=True, kw_only=True)
class Night:
    """A run of a series. `number` counts all runs of the store as they began, because a clock may be set back."""

    run: str
    number: int
    started_utc: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """An accepted level: from `run` on, its figures are what a cell is compared with."""

    key: CellKey
    quantity: str
    run: str
    number: int
    why: str
    accepted_utc: str


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """A stored verdict: `data` is its JSON."""

    run: str
    number: int
    key: CellKey
    quantity: str
    status: str
    is_open: bool
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """A session of a control cell: the median of one invoke in ns, and the epoch it ran in."""

    run: str
    number: int
    device: str
    backend: str
    name: str
    position: str
    median_ns: float
    epoch: str | None


class History:
    """The histories of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # -- series -------------------------------------------------------------------------------------------------------

    def nights(self, series: str, *, before: str | None = None) -> list[Night]:
        """The runs of a series that have cells, oldest first.

        Args:
            before: only those that began before this run.
        """
        from sqlalchemy import exists, select

        from harness.results.schema import cell, run

        statement = (
            select(run.c.run, run.c.number, run.c.started_utc)
            .where(run.c.series == series, exists().where(cell.c.run == run.c.run))
            .order_by(run.c.number)
        )
        if before is not None:
            limit = select(run.c.number).where(run.c.run == before).scalar_subquery()
            statement = statement.where(run.c.number < limit)
        with self.store._reading() as connection:
            return [Night(run=r.run, number=r.number, started_utc=r.started_utc) for r in connection.execute(statement)]

    def nights_after(self, series: str, run: str) -> int:
        """How many runs of a series began after this one and have cells."""
        from sqlalchemy import exists, func, select

        from harness.results.schema import cell
        from harness.results.schema import run as runs

        number = select(runs.c.number).where(runs.c.run == run).scalar_subquery()
        later = (runs.c.series == series, runs.c.number > number, exists().where(cell.c.run == runs.c.run))
        with self.store._reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(runs).where(*later)) or 0)

    def is_judged(self, run: str) -> bool:
        """Whether a night has been judged, also where all of it was the same and no verdict had to be stored."""
        from sqlalchemy import select

        from harness.results.history_schema import verdict

        with self.store._reading() as connection:
            told = connection.execute(select(verdict.c.id).where(verdict.c.run == run).limit(1)).first()
        return told is not None or JUDGED in self.store.run(run).environment

    def all_series(self) -> list[str]:
        """The names of all series, the one with the newest run last."""
        from sqlalchemy import func, select

        from harness.results.schema import run

        statement = (
            select(run.c.series)
            .where(run.c.series.is_not(None))
            .group_by(run.c.series)
            .order_by(func.max(run.c.number))
        )
        with self.store._reading() as connection:
            return [str(name) for name in connection.scalars(statement)]

    def has_cell(self, series: str, key: CellKey) -> bool:
        """Whether a cell has a record in a series."""
        from sqlalchemy import select

        from harness.results.schema import cell, run

        statement = select(cell.c.id).join(run, run.c.run == cell.c.run).where(run.c.series == series).limit(1)
        for name in KEY_FIELDS:
            statement = statement.where(cell.c[name] == getattr(key, name))
        with self.store._reading() as connection:
            return connection.execute(statement).first() is not None

    # -- levels -------------------------------------------------------------------------------------------------------

    def accept(self, key: CellKey, quantity: str, run: str, why: str) -> None:
        """Makes a run's figures a cell's level.

        Raises:
            UserInputError: an unknown run.
        """
        from sqlalchemy import insert

        from harness.results.history_schema import level

        name = self.store.run(run).run
        row = {"run": name, **_key_values(key), "quantity": quantity, "why": why, "accepted_utc": utc_now()}
        self.store._write(lambda connection: connection.execute(insert(level), row))

    def accept_board(self, device: str, run: str, why: str) -> None:
        """Makes a board as its control cells found it in a run the one that later nights are compared with.

        Raises:
            UserInputError: an unknown run.
        """
        key = CellKey(workload=EVERY, recipe=EVERY, device=device, backend=EVERY, dataset=EVERY, seed=0)
        self.accept(key, BOARD, run, why)

    def levels(self) -> list[Level]:
        """Every accepted level, in the order of acceptance."""
        from sqlalchemy import select

        from harness.results.history_schema import level
        from harness.results.schema import run

        statement = select(level, run.c.number).join(run, run.c.run == level.c.run).order_by(level.c.id)
        with self.store._reading() as connection:
            return [
                Level(
                    key=_key_of(row),
                    quantity=row.quantity,
                    run=row.run,
                    number=row.number,
                    why=row.why,
                    accepted_utc=row.accepted_utc,
                )
                for row in connection.execute(statement)
            ]

    # -- baselines ----------------------------------------------------------------------------------------------------

    def set_baseline(self, name: str, run: str) -> str:
        """Gives a run a name, also one that another run has had; returns the run's id.

        Raises:
            UserInputError: an unknown run, or a name that reads like one.
        """
        from harness.results.dialect import new_row
        from harness.results.history_schema import baseline

        if not name or name == "latest" or name.startswith("-") or any(c.isspace() or c == "/" for c in name):
            raise UserInputError(f"'{name}' cannot be the name of a baseline", hint="take a word such as release-2")
        chosen = self.store.run(run).run
        values = {"run": chosen, "set_utc": utc_now()}

        def work(connection: Connection) -> None:
            row = new_row(connection, baseline).values(name=name, **values)
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))

        self.store._write(work)
        return chosen

    def baselines(self) -> dict[str, tuple[str, str]]:
        """Name -> (run, when it was set), sorted by name."""
        from sqlalchemy import select

        from harness.results.history_schema import baseline

        with self.store._reading() as connection:
            found = connection.execute(select(baseline).order_by(baseline.c.name)).all()
        return {row.name: (row.run, row.set_utc) for row in found}

    def run_of(self, name: str) -> str:
        """The run of a baseline's name, of an id, of its unique beginning, or `latest`.

        Raises:
            UserInputError: none of them; near names are suggested.
        """
        known = self.baselines()
        if name in known:
            return known[name][0]
        try:
            return self.store.run(name).run
        except UserInputError as error:
            if known and error.what.startswith("unknown run"):
                runs = [info.run for info in self.store.runs()]
                raise unknown_name("run or baseline", name, [*known, *runs[-20:], "latest"]) from None
            raise

    # -- verdicts -----------------------------------------------------------------------------------------------------

    def put_verdicts(self, run: str, rows: Sequence[tuple[CellKey, str, str, bool, Mapping[str, Any]]]) -> None:
        """Stores what a night's judgement said, over what an earlier judgement of the same night did.

        Args:
            rows: (cell, quantity, status, open, JSON values).
        """
        from sqlalchemy import delete, insert

        from harness.results.history_schema import verdict

        values = [
            {
                "run": run,
                **_key_values(key),
                "quantity": quantity,
                "status": status,
                "is_open": int(is_open),
                "restart": 1 if data.get("numbers", {}).get("restart") else None,
                "data": codec.dumps(codec.plain_json(dict(data))),
            }
            for key, quantity, status, is_open, data in rows
        ]

        def work(connection: Connection) -> None:
            connection.execute(delete(verdict).where(verdict.c.run == run))
            if values:
                connection.execute(insert(verdict), values)
            _mark_judged(connection, run)

        self.store._write(work)

    def verdicts(
        self,
        series: str | None = None,
        *,
        run: str | None = None,
        before: int | None = None,
        since: int | None = None,
        quantity: str | None = None,
        statuses: Iterable[str] = (),
    ) -> list[VerdictRow]:
        """Stored verdicts, oldest first.

        Args:
            series, run: of all its runs, or of one run.
            before, since: numbers of runs: only earlier ones, only from this one on.
            quantity, statuses: only these.
        """
        from sqlalchemy import func, select

        from harness.results.history_schema import verdict
        from harness.results.schema import run as runs

        statement = (
            select(verdict, runs.c.number).join(runs, runs.c.run == verdict.c.run).order_by(runs.c.number, verdict.c.id)
        )
        # Few of a million rows have such a status. `coalesce` keeps SQLite from going through all runs of the series instead.
        of_series = (func.coalesce(runs.c.series, "") if statuses else runs.c.series) == series
        conditions = {
            "series": None if series is None else of_series,
            "run": None if run is None else verdict.c.run == run,
            "before": None if before is None else runs.c.number < before,
            "since": None if since is None else runs.c.number >= since,
            "quantity": None if quantity is None else verdict.c.quantity == quantity,
            "statuses": verdict.c.status.in_(list(statuses)) if statuses else None,
        }
        for condition in conditions.values():
            if condition is not None:
                statement = statement.where(condition)
        with self.store._reading() as connection:
            found = connection.execute(statement).all()
        return [
            VerdictRow(
                run=row.run,
                number=row.number,
                key=_key_of(row),
                quantity=row.quantity,
                status=row.status,
                is_open=bool(row.is_open),
                data=json.loads(row.data),
            )
            for row in found
        ]

    def times(
        self, series: str, starts: Mapping[CellKey, int], *, before: int, usual: Collection[str], most: int
    ) -> dict[CellKey, list[TimeRow]]:
        """What later nights need of stored times, of a history of any length: `harness.results.times` says which rows.

        Args:
            starts: the number of the run that each cell's level is of.
            before: number of a run: only earlier ones.
            usual: the verdicts that leave a time in the reference.
            most: so many nights make a reference.
        """
        from harness.results.times import needed_times

        with self.store._reading() as connection:
            return needed_times(connection, series, starts, before=before, usual=usual, most=most)

    # -- control cells ------------------------------------------------------------------------------------------------

    def put_controls(
        self, run: str, device: str, backend: str, position: str, medians_ns: Mapping[str, float], epoch: str | None
    ) -> None:
        """Stores the sessions of a board's control cells."""
        from sqlalchemy import insert

        from harness.results.history_schema import control

        common = {"run": run, "device": device, "backend": backend, "position": position, "epoch": epoch}
        rows = [{**common, "name": name, "median_ns": float(value)} for name, value in medians_ns.items()]
        if rows:
            self.store._write(lambda connection: connection.execute(insert(control), rows))

    def controls(
        self, device: str, series: str, *, upto: int | None = None, run: str | None = None
    ) -> list[ControlRow]:
        """The sessions of a device's control cells in a series, oldest first.

        Args:
            upto: only up to the run of this number.
            run: only of this run.
        """
        from sqlalchemy import select

        from harness.results.history_schema import control
        from harness.results.schema import run as runs

        names = list(ControlRow.__dataclass_fields__)
        statement = (
            select(*(runs.c.number if name == "number" else control.c[name] for name in names))
            .join(runs, runs.c.run == control.c.run)
            .where(control.c.device == device, runs.c.series == series)
            .order_by(runs.c.number, control.c.id)
        )
        if upto is not None:
            statement = statement.where(runs.c.number <= upto)
        if run is not None:
            statement = statement.where(control.c.run == run)
        with self.store._reading() as connection:
            return [ControlRow(**dict(zip(names, row, strict=True))) for row in connection.execute(statement)]

    # -- model files --------------------------------------------------------------------------------------------------

    def keep_artifact(self, path: Path, sha256: str | None = None) -> str:
        """Keeps a model file, once; returns its SHA-256.

        Args:
            sha256: of the file, where it is known: then it is not read when it is kept already.
        """
        from sqlalchemy import select

        from harness.results.history_schema import kept_artifact

        objects = self.store.objects
        if sha256 is not None:
            with self.store._reading() as connection:
                kept = connection.scalar(select(kept_artifact.c.object).where(kept_artifact.c.sha256 == sha256))
            if kept is not None and objects.has(kept):
                return sha256
        return self.keep_bytes(read_regular(path))

    def keep_bytes(self, data: bytes) -> str:
        """Keeps what a record names by its hash, such as the agent of a board or a firmware, once; returns its SHA-256."""
        from harness.results.dialect import new_row
        from harness.results.history_schema import kept_artifact

        digest = sha256_bytes(data)
        name = self.store.objects.put_array(np.frombuffer(data, np.uint8))
        row = {"sha256": digest, "object": name, "size_bytes": len(data)}

        def work(connection: Connection) -> None:
            connection.execute(new_row(connection, kept_artifact).values(row).on_conflict_do_nothing())

        self.store._write(work)
        return digest

    def kept(self, beginning: str) -> list[str]:
        """The SHA-256s of what is kept, models and programs alike, that begin like this; sorted."""
        from sqlalchemy import select

        from harness.results.history_schema import kept_artifact

        named = select(kept_artifact.c.sha256).where(kept_artifact.c.sha256.startswith(beginning, autoescape=True))
        with self.store._reading() as connection:
            return list(connection.scalars(named.order_by(kept_artifact.c.sha256)))

    def artifact(self, sha256: str) -> bytes | None:
        """A kept model file or program; None where it is not kept, was pruned or is damaged."""
        from sqlalchemy import select

        from harness.core.errors import HarnessError
        from harness.results.history_schema import kept_artifact

        with self.store._reading() as connection:
            name = connection.scalar(select(kept_artifact.c.object).where(kept_artifact.c.sha256 == sha256))
        if name is None:
            return None
        try:
            data = self.store.objects.get_array(name).tobytes()
        except HarnessError:
            return None
        return data if sha256_bytes(data) == sha256 else None

    # -- records ------------------------------------------------------------------------------------------------------

    def records(self, wanted: Mapping[CellKey, str]) -> dict[CellKey, CellRecord]:
        """The record of each cell in the run that is named for it; those that are missing or damaged are left out."""
        by_run: dict[str, set[CellKey]] = {}
        for key, run in wanted.items():
            by_run.setdefault(run, set()).add(key)
        found: dict[CellKey, CellRecord] = {}
        for run, keys in by_run.items():
            filters: dict[str, Any] = {}
            if len(keys) <= _CHUNK:
                filters = {
                    name: sorted({getattr(key, name) for key in keys}) for name in ("workload", "recipe", "device")
                }
                filters = {name: [_literal(v) for v in values] for name, values in filters.items()}
                if any(value is None for values in filters.values() for value in values):
                    filters = {}
            found |= {record.key: record for record in self.store.cells(run=run, **filters) if record.key in keys}
        return found


def _mark_judged(connection: Connection, run: str) -> None:
    """Notes with a run that it has been judged."""
    from sqlalchemy import select, update

    from harness.results.schema import run as runs

    stored = connection.scalar(select(runs.c.environment).where(runs.c.run == run))
    try:
        environment = json.loads(stored or "")
    except ValueError:
        return  # damaged, and said by whoever reads it
    if isinstance(environment, dict):
        text = codec.dumps({**environment, JUDGED: utc_now()})
        connection.execute(update(runs).where(runs.c.run == run).values(environment=text))


def _literal(name: str) -> str | None:
    """A name as a filter that means itself; None for one that would be read as a glob."""
    return None if "*" in name or "?" in name else name


def _key_values(key: CellKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in KEY_FIELDS}


def _key_of(row: Any) -> CellKey:
    return CellKey(**{name: getattr(row, name) for name in KEY_FIELDS})
