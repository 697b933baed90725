"""What a list of runs shows, counted in the database by its indexes: no record is made of the million that may be there.

The newest records' texts are read and compared with their checksums, so that damage is counted where it matters first; `harness
results check` reads all of them. SQLite is asked directly: SQLAlchemy takes longer to import than this takes.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.results.engine import database_uri
from harness.results.layout import store_path
from harness.results.place import place_of
from harness.results.record import OUTCOMES, RunInfo
from harness.results.revision import HEAD_REVISION
from harness.results.rows import PARTS_KEY
from harness.results.store import Store

_PARTS_MARK = f'"{PARTS_KEY}":{{'.encode()
#: so many of the newest records are looked at for damage: what is read in a tenth of a second
CHECKED = 20_000
#: the parts stand at the end of a record, and take less than this
_MOST_END = 1024
#: parts asked for at a time
_CHUNK = 1000


@dataclass(frozen=True, kw_only=True)
class RunOverview:
    """One run in numbers.

    Attributes:
        info: the run, its plan and environment left out.
        planned: how many cells were planned.
        outcomes: whole records by their outcome.
        damaged: records that cannot be read any more, among those that were looked at.
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


def overview(results_dir: Path, *, checked: int = CHECKED) -> list[RunOverview]:
    """Every run of a results folder in numbers, oldest first.

    Args:
        checked: so many of the newest records are looked at for damage.

    Raises:
        HarnessError: there is no store, or none that can be read, as `Store.open` tells it; an older one is upgraded by that.
    """
    if place_of(results_dir).shared:
        with Store.open(results_dir, create=False) as store, store._reading() as connection:
            return _count(lambda query: [tuple(row) for row in connection.exec_driver_sql(query)], {})
    path = store_path(Path(results_dir).absolute())
    found = _read(path, checked) if path.is_file() else None
    if found is None:
        Store.open(results_dir, create=False).close()
        found = _read(path, checked)
    if found is None:  # it opens, and cannot be counted: whoever reads it record by record may tell why
        with Store.open(results_dir, create=False) as store:
            return [_slowly(store, info) for info in store.runs()]
    return found


def _read(path: Path, checked: int) -> list[RunOverview] | None:
    """The runs, where the store has today's schema and SQLite can read it."""
    try:
        with closing(sqlite3.connect(database_uri(path, read_only=True), uri=True)) as database:
            if database.execute("SELECT version_num FROM alembic_version").fetchone() != (HEAD_REVISION,):
                return None
            database.execute("BEGIN")  # one state of the store for all that is counted
            return _count(database.execute, _damaged(database, checked))
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


def _count(
    ask: Callable[[str], Iterable[tuple[Any, ...]]], damaged: Mapping[tuple[str, str], int]
) -> list[RunOverview]:
    """The runs in numbers.

    Args:
        ask: gives the rows of a query.
        damaged: records that cannot be read, by run and outcome.
    """
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for run, outcome, count in ask("SELECT run, outcome, count(*) FROM cell GROUP BY run, outcome"):
        outcomes[run][outcome] = count
    planned: dict[str, int] = dict(ask("SELECT run, count(*) FROM planned_cell GROUP BY run"))
    # Where a run has as many records as it planned, each planned cell has one.
    open_ends = [run for run, count in planned.items() if count != outcomes[run].total()]
    not_run = {run: _not_run(ask, run) for run in open_ends}
    lost = Counter[str]()
    for (run, outcome), count in damaged.items():
        outcomes[run][outcome] -= count
        lost[run] += count
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
            outcomes=+outcomes[run],
            damaged=lost[run],
            not_run=not_run.get(run, 0),
        )
        for run, started, finished, state, command, series in ask(query)
    ]


def _words(text: str) -> list[str]:
    """A command; empty where it is damaged."""
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return [str(word) for word in value] if isinstance(value, list) else []


def _damaged(database: sqlite3.Connection, checked: int) -> Counter[tuple[str, str]]:
    """The damaged ones of the newest records, by run and outcome."""
    damaged: Counter[tuple[str, str]] = Counter()
    #: whole texts by run, outcome, and the text's end, which names its parts: nights share these
    ends: Counter[tuple[str, str, bytes]] = Counter()
    sha256 = hashlib.sha256
    # As blobs: text that is no UTF-8 any more is damage to be counted, not an error of the query.
    query = "SELECT run, outcome, checksum, CAST(record AS BLOB) FROM cell ORDER BY id DESC LIMIT ?"
    for run, outcome, stated, text in database.execute(query, (checked,)):
        if sha256(text).hexdigest() != stated:
            damaged[run, outcome] += 1
        elif (start := text.rfind(_PARTS_MARK, max(0, len(text) - _MOST_END))) >= 0:
            ends[run, outcome, text[start:]] += 1
    named = {end: _named_parts(end) for end in {end for _, _, end in ends}}
    whole = _whole_parts(database, set().union(*named.values()))
    for (run, outcome, end), count in ends.items():
        if not named[end] <= whole:
            damaged[run, outcome] += count
    return damaged


def _whole_parts(database: sqlite3.Connection, numbers: set[int]) -> set[int]:
    """Those of the parts that are as they were stored."""
    whole, ordered = set(), sorted(numbers)
    for start in range(0, len(ordered), _CHUNK):
        chosen = ",".join(map(str, ordered[start : start + _CHUNK]))
        query = f"SELECT id, sha256, CAST(text AS BLOB) FROM part WHERE id IN ({chosen})"
        whole |= {number for number, sha, text in database.execute(query) if hashlib.sha256(text).hexdigest() == sha}
    return whole


def _named_parts(end: bytes) -> set[int]:
    """The numbers in the end of a record's text, `"parts":{"fingerprint":7}}`."""
    return set(json.loads(b"{" + end)[PARTS_KEY].values())


def _not_run(ask: Callable[[str], Iterable[tuple[Any, ...]]], run: str) -> int:
    """Planned cells of a run without a record."""
    same = " AND ".join(f"c.{name} = p.{name}" for name in _KEY)
    quoted = run.replace("'", "''")
    query = (
        f"SELECT count(*) FROM planned_cell p WHERE p.run = '{quoted}' "
        f"AND NOT EXISTS (SELECT 1 FROM cell c WHERE {same})"
    )
    ((count,),) = ask(query)
    return int(count)


_KEY = ("run", "workload", "recipe", "device", "backend", "dataset", "seed")
