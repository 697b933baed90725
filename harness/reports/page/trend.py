"""A cell's trend as the page draws it: a value per night, its level, the change that would have been seen, and its epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.fingerprint import Fingerprint
from harness.core.printable import one_line
from harness.results.history import Level
from harness.results.record import CellKey
from harness.results.trends import NightFigures, Trends
from harness.verdict.epoch import changes

#: characters of an epoch's or a level's words
_WORDS = 200


def trend_of(key: CellKey, trends: Trends, levels: Sequence[Level]) -> dict[str, Any] | None:
    """The trend of a cell; None where no night has it.

    Args:
        levels: that were accepted for the cell.

    Returns:
        Lists with one entry per night of `trends.nights`, None for a night without the figure: "latency_ns", "score",
        "size_bytes", "instructions", "energy_nj" (each only where some night has it), "outcome", "quality", "level_ns",
        "detectable" (a share), "status"; and "epochs", "accepted": [[night, words]].
    """
    rows = trends.figures.get(key)
    if not rows:
        return None
    count = len(trends.nights)
    found: dict[str, Any] = {}
    for name in ("latency_ns", "score", "size_bytes", "instructions", "outcome", "quality"):
        values = _by_night(count, {row.night: getattr(row, name) for row in rows})
        if any(value is not None for value in values):
            found[name] = values
    if energies := _energies(rows):
        found["energy_nj"] = _by_night(count, energies)
    told = trends.levels.get(key, ())
    for name in ("level_ns", "detectable", "status"):
        values = _by_night(count, {row.night: getattr(row, name) for row in told})
        if any(value is not None for value in values):
            found[name] = values
    night_of = {night.run: position for position, night in enumerate(trends.nights)}
    found["epochs"] = epochs_of(rows, trends.fingerprints)
    found["accepted"] = [
        [night_of[level.run], one_line(level.why, _WORDS)] for level in levels if level.run in night_of
    ]
    return found


def _energies(rows: Sequence[NightFigures]) -> dict[int, float]:
    """Night -> energy, as far as the newest night's instrument measured it: figures of two instruments share no line."""
    measured = [row for row in rows if row.energy_nj is not None]
    if not measured:
        return {}
    instrument = measured[-1].energy_instrument
    return {
        row.night: row.energy_nj
        for row in measured
        if row.energy_instrument == instrument and row.energy_nj is not None
    }


def _by_night(count: int, values: Mapping[int, Any]) -> list[Any]:
    return [values.get(night) for night in range(count)]


def epochs_of(rows: Sequence[NightFigures], fingerprints: Mapping[str, Fingerprint]) -> list[list[Any]]:
    """[night, what changed] of each night that ran on something else than the one before it."""
    found: list[list[Any]] = []
    before: str | None = None
    for row in rows:
        now = row.fingerprint_sha256
        if now is None:
            continue
        if before is not None and now != before:
            changed = changes(fingerprints.get(before), fingerprints.get(now))
            if changed:
                found.append([row.night, one_line(", ".join(map(str, changed)), _WORDS)])
        before = now
    return found
