"""What a list of runs shows, counted in the database: no record is made of the hundred thousand that may be there.

Every record's text is still read once and compared with its checksum, so that damage is counted too. SQLite is asked directly:
SQLAlchemy takes longer to import than this takes for ten thousand cells.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from harness.results.engine import database_uri
from harness.results.layout import store_path
from harness.results.record import OUTCOMES, RunInfo
from harness.results.revision import HEAD_REVISION
from harness.results.rows import PARTS_KEY
from harness.results.store import Store

_PARTS_MARK = f'"{PARTS_KEY}":{{'.encode()
#: the parts stand at the end of a record, and take less than this
_MOST_END = 1024


@dataclass(frozen=True, kw_only=True)
class RunOverview:
    """One run in numbers.

    Attributes:
        info: the run, its plan and environment left out.
        planned: how many cells were planned.
        outcomes: whole records by their outcome.
        damaged: records that cannot be read any more.
        not_run: planned cells of which there is not even a damaged record.
    """

    info: RunInfo
    planned: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    damaged: int = 0
    not_run: int = 0

    @property
    def cells(self) -> int:
        """Records, damaged ones left out."""
        return sum(self.outcomes.values())

    @property
    def counts_text(self) -> str:
        """`38 ok, 1 wrong, 2 damaged, 3 not run`."""
        return counts_text(self.outcomes, damaged=self.damaged, not_run=self.not_run)


def counts_text(outcomes: Mapping[str, int], *, damaged: int = 0, not_run: int = 0) -> str:
    """Cells counted, in the order in which every report counts them."""
    parts = [f"{outcomes[name]} {name}" for name in OUTCOMES if outcomes.get(name)]
    parts += [f"{count} {name}" for count, name in ((damaged, "damaged"), (not_run, "not run")) if count]
    return ", ".join(parts) or "no cells"


def overview(results_dir: Path) -> list[RunOverview]:
    """Every run of a results folder in numbers, oldest first.

    Raises:
        HarnessError: there is no store, or none that can be read, as `Store.open` tells it; an older one is upgraded by that.
    """
    path = store_path(Path(results_dir).absolute())
    found = _read(path) if path.is_file() else None
    if found is None:
        Store.open(results_dir, create=False).close()
        found = _read(path)
    if found is None:  # it opens, and cannot be counted: whoever reads it record by record may tell why
        with Store.open(results_dir, create=False) as store:
            return [_slowly(store, info) for info in store.runs()]
    return found


def _read(path: Path) -> list[RunOverview] | None:
    """The runs, where the store has today's schema and SQLite can read it."""
    try:
        with closing(sqlite3.connect(database_uri(path, read_only=True), uri=True)) as database:
            if database.execute("SELECT version_num FROM alembic_version").fetchone() != (HEAD_REVISION,):
                return None
            database.execute("BEGIN")  # one state of the store for all that is counted
            return _count(database)
    except (sqlite3.Error, OSError, ValueError, TypeError):
        return None


def _slowly(store: Store, info: RunInfo) -> RunOverview:
    records = store.cells(run=info.run)
    damaged = {key for run, key in store.damaged_cells if run == info.run}
    return RunOverview(
        info=info,
        planned=len(info.planned),
        outcomes=Counter[str](record.outcome for record in records),
        damaged=len(damaged),
        not_run=len(set(info.planned) - {record.key for record in records} - damaged),
    )


def _count(database: sqlite3.Connection) -> list[RunOverview]:
    outcomes, damaged = _outcomes(database)
    planned = dict(database.execute("SELECT run, count(*) FROM planned_cell GROUP BY run"))
    not_run = _not_run(database)
    query = "SELECT run, started_utc, finished_utc, state, command, series FROM run ORDER BY number"
    return [
        RunOverview(
            info=RunInfo(
                run=run,
                started_utc=started,
                finished_utc=finished,
                state=state,
                command=_words(command),
                series=series,
            ),
            planned=planned.get(run, 0),
            outcomes=outcomes.get(run, {}),
            damaged=damaged[run],
            not_run=not_run.get(run, 0),
        )
        for run, started, finished, state, command, series in database.execute(query)
    ]


def _words(text: str) -> list[str]:
    """A command; empty where it is damaged."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [str(word) for word in value] if isinstance(value, list) else []


def _outcomes(database: sqlite3.Connection) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Whole records by run and outcome, and the damaged ones by run."""
    whole_parts = _whole_parts(database)
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    damaged: Counter[str] = Counter()
    #: ends of records, which name their parts, by whether all of these are whole: nights share them
    ends: dict[bytes, bool] = {}
    sha256 = hashlib.sha256
    # As blobs: text that is no UTF-8 any more is damage to be counted, not an error of the query.
    query = "SELECT run, outcome, checksum, CAST(record AS BLOB) FROM cell"
    for run, outcome, stated, text in database.execute(query):
        whole = sha256(text).hexdigest() == stated
        if whole and (start := text.rfind(_PARTS_MARK, len(text) - _MOST_END)) >= 0:
            end = text[start:]
            if end not in ends:
                ends[end] = _named_parts(end) <= whole_parts
            whole = ends[end]
        if whole:
            outcomes[run][outcome] += 1
        else:
            damaged[run] += 1
    return outcomes, damaged


def _whole_parts(database: sqlite3.Connection) -> set[int]:
    query = "SELECT id, sha256, CAST(text AS BLOB) FROM part"
    return {number for number, sha256, text in database.execute(query) if hashlib.sha256(text).hexdigest() == sha256}


def _named_parts(end: bytes) -> set[int]:
    """The numbers in the end of a record's text, `"parts":{"fingerprint":7}}`."""
    return set(json.loads(b"{" + end)[PARTS_KEY].values())


def _not_run(database: sqlite3.Connection) -> dict[str, int]:
    same = " AND ".join(f"c.{name} = p.{name}" for name in _KEY)
    query = (
        "SELECT p.run, count(*) FROM planned_cell p "
        f"WHERE NOT EXISTS (SELECT 1 FROM cell c WHERE {same}) GROUP BY p.run"
    )
    return dict(database.execute(query))


_KEY = ("run", "workload", "recipe", "device", "backend", "dataset", "seed")
