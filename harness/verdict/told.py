"""The nights of one cell: what each gave, what was said of it, and what was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError, unknown_name
from harness.results.cellname import find_cell
from harness.results.history import History, Level, VerdictRow
from harness.results.record import CellKey, CellRecord
from harness.results.store import Store


@dataclass(frozen=True, kw_only=True)
class CellNights:
    """The nights of a cell in a series.

    Attributes:
        rows: one per night, oldest first: `run`, `outcome`, `score`, `latency_median_ns`, `energy_nj` (of `energy_instrument`),
            `quality`, `size_bytes`, `detectable` (the smallest change of its time that would have been seen), `verdicts` (each
            `quantity`, `status`, `open`, `reason`). None where a night has no record of the cell, or the board does not tell.
        levels: what was accepted, in the order of acceptance.
    """

    key: CellKey
    series: str
    rows: tuple[dict[str, Any], ...]
    levels: tuple[Level, ...]

    def to_json(self) -> dict[str, Any]:
        """The document of `harness history --json`."""
        return {
            "cell": self.key.text_with_seed,
            "dataset": self.key.dataset,
            "series": self.series,
            "nights": list(self.rows),
            "levels": [
                {"run": v.run, "quantity": v.quantity, "why": v.why, "accepted_utc": v.accepted_utc}
                for v in self.levels
            ],
        }


def cell_nights(results: Path, cell: str, *, series: str | None = None, nights: int = 30) -> CellNights:
    """What the store has of one cell's nights.

    Args:
        cell: `WORKLOAD/RECIPE/DEVICE/BACKEND`, and `/seedN` behind it for another seed.
        series: None: the newest one that has this cell.
        nights: at most so many, the newest.

    Raises:
        UserInputError: an unknown cell or series, or a cell that has run in no night.
    """
    if nights < 1:
        raise UserInputError(f"a history has at least 1 night, not {nights}")
    with Store.open(results, create=False) as store:
        history = History(store)
        key = find_cell(store, cell)
        series = choose_series(history, series, key)
        found = history.nights(series)[-nights:]
        names = ("workload", "recipe", "device", "backend", "dataset", "seed")
        records = {r.run: r for r in store.cells(**{name: getattr(key, name) for name in names}) if r.key == key}
        said: dict[str, list[VerdictRow]] = {}
        for row in history.verdicts(series, since=found[0].number if found else 0):
            if row.key == key:
                said.setdefault(row.run, []).append(row)
        levels = tuple(level for level in history.levels() if level.key == key)
    rows = tuple(_row(night.run, records.get(night.run), said.get(night.run, [])) for night in found)
    return CellNights(key=key, series=series, rows=rows, levels=levels)


def choose_series(history: History, named: str | None, key: CellKey) -> str:
    """The named series, or the newest one in which a cell has run.

    Raises:
        UserInputError: there is none, or none of that name; near names are suggested.
    """
    known = history.all_series()
    if named is not None:
        if named not in known:
            raise unknown_name("series", named, known)
        return named
    for series in reversed(known):
        if history.has_cell(series, key):
            return series
    raise UserInputError(
        f"{key.text_with_seed} has run in no night", hint="a history is made of `harness nightly`, not of runs by day"
    )


def _row(run: str, record: CellRecord | None, said: Sequence[VerdictRow]) -> dict[str, Any]:
    told = [row for row in said if row.status not in ("same", "first") or row.quantity == "latency"]
    times = next((row for row in said if row.quantity == "latency"), None)
    return {
        "run": run,
        "outcome": record.outcome if record is not None else None,
        "score": record.score if record is not None else None,
        "latency_median_ns": record.latency_median_ns if record is not None else None,
        "energy_nj": record.energy_nj if record is not None else None,
        "energy_instrument": record.energy_instrument if record is not None else None,
        "quality": record.quality if record is not None else None,
        "size_bytes": record.size_bytes if record is not None else None,
        "detectable": times.data.get("detectable") if times is not None else None,
        "verdicts": [
            {"quantity": row.quantity, "status": row.status, "open": row.is_open, "reason": row.data.get("reason")}
            for row in told
        ],
    }
