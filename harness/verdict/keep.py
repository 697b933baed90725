"""What a store has to keep, so that nights to come are judged as if nothing had been pruned."""

from __future__ import annotations

from collections.abc import Iterable

from harness.results.cellname import newest_records
from harness.results.history import History
from harness.results.prune import Keep
from harness.results.store import OPEN_STATES, Store
from harness.verdict.past import needed_records, needed_times

#: newest nights of each series whose records are kept whole
KEEP_NIGHTS = 14


def what_to_keep(store: Store, *, nights: int = KEEP_NIGHTS) -> Keep:
    """The records that stay: whole runs, and single records of older ones.

    Args:
        nights: so many newest runs of each series, and as many by day, stay whole.
    """
    history = History(store)
    series_of = _series(store)
    keep = Keep()
    for series, runs in series_of.items():
        kind = "of the runs by day" if series is None else f"nights of {series}"
        keep.runs |= {run: f"the newest {kind}" for run in runs[-nights:]}
    keep.runs |= {run: f"baseline {name}" for name, (run, _) in history.baselines().items()}
    keep.runs |= {run: "not ended" for run in _unended(store)}
    keep.records |= {(level.run, level.key): "a level" for level in history.levels()}
    for series in series_of:
        if series is not None:
            newest = newest_records(store, series)
            keep.records |= {(run, key): "the newest of its cell" for key, run in newest.items()}
            keep.records |= needed_records(history, series, newest)
            keep.times |= needed_times(history, series, newest)
    return keep


def _series(store: Store) -> dict[str | None, list[str]]:
    """The runs that still have records, of each series and by day, as they began."""
    from sqlalchemy import exists, select

    from harness.results.schema import cell, run

    statement = select(run.c.series, run.c.run).where(exists().where(cell.c.run == run.c.run)).order_by(run.c.number)
    found: dict[str | None, list[str]] = {}
    with store._reading() as connection:
        for series, name in connection.execute(statement):
            found.setdefault(series, []).append(name)
    return found


def _unended(store: Store) -> Iterable[str]:
    """Runs that a process is at, or that it was killed at."""
    from sqlalchemy import select

    from harness.results.schema import run

    statement = select(run.c.run).where(run.c.state.in_(OPEN_STATES))
    with store._reading() as connection:
        return list(connection.scalars(statement))
