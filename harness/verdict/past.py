"""What a night is compared with: per cell and quantity the level's record, open regressions, and the times of earlier nights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.results.history import BOARD, EVERY, ControlRow, History, Level, Night, VerdictRow
from harness.results.record import CellKey, CellRecord
from harness.results.times import TimeRow
from harness.verdict.quantities import QUANTITIES
from harness.verdict.screen import REFERENCE_NIGHTS

#: the quantity of a verdict on the cell as a whole
CELL = "cell"
#: verdicts on a time that leave it in the reference: it was no worse, and whoever doubted it was answered
USUAL = ("same", "better", "first", "new level")
#: nights that are looked at for a record of a cell whose first night was never judged
_OLDEST = 5


@dataclass(frozen=True, kw_only=True)
class TimedNight:
    """A cell's times of one night: ln of each session's median in ns, of which bytes, in which epoch."""

    run: str
    number: int
    sessions: tuple[float, ...]
    artifact_sha256: str | None
    epoch: str | None

    @property
    def value(self) -> float:
        """The night's value: the median of its sessions."""
        ordered = sorted(self.sessions)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@dataclass(frozen=True, kw_only=True)
class Times:
    """The reference of a cell's times.

    Attributes:
        nights: of the level, or since a refuted suspect; oldest first.
        kept_scale: of the reference that a refuted suspect ended; NaN without one.
        unconfirmed: nights in a row, up to the last one, whose suspicion nobody could confirm.
        newest_epoch: of the last night that told a time.
    """

    nights: tuple[TimedNight, ...] = ()
    kept_scale: float = math.nan
    unconfirmed: int = 0
    newest_epoch: str | None = None

    @property
    def begins(self) -> int:
        """The number of the first night's run; 0 without any."""
        return self.nights[0].number if self.nights else 0


@dataclass(frozen=True, kw_only=True)
class Past:
    """A series up to a night.

    Attributes:
        nights: oldest first; empty: tonight is the first.
        references: (cell, quantity) -> the record of its level.
        previous: each cell's record of the newest night in which it did not fail.
        opened: (cell, quantity) -> the open regression's newest verdict.
        accepted: (cell, quantity) -> a level that was accepted since the last night.
        planned: the cells that the last night planned.
        times: per cell.
        controls: per device, oldest first.
        boards: per device, the newest night whose board was accepted as it was.
        notes: what a reader should know of the series, a sentence each.
    """

    nights: tuple[Night, ...] = ()
    references: Mapping[tuple[CellKey, str], CellRecord] = field(default_factory=dict)
    previous: Mapping[CellKey, CellRecord] = field(default_factory=dict)
    opened: Mapping[tuple[CellKey, str], VerdictRow] = field(default_factory=dict)
    accepted: Mapping[tuple[CellKey, str], Level] = field(default_factory=dict)
    planned: frozenset[CellKey] = frozenset()
    times: Mapping[CellKey, Times] = field(default_factory=dict)
    controls: Mapping[str, Sequence[ControlRow]] = field(default_factory=dict)
    boards: Mapping[str, Level] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Event:
    """Something that moved a cell's level: its first night, an improvement, an acceptance."""

    run: str
    number: int


def load_past(history: History, series: str, run: str | None, cells: Iterable[CellKey]) -> Past:
    """The past of a night, from the store alone.

    Args:
        run: tonight's; None: of a night that has not begun.
        cells: those that ran tonight, or will.
    """
    nights = history.nights(series, before=run)
    keys = set(cells)
    if not nights:
        return Past()
    numbers = {night.run: night.number for night in nights}
    last = nights[-1]
    marks = history.verdicts(
        series, before=last.number + 1, statuses=("first", "better", "new level", "worse", "vanished")
    )
    levels = [level for level in history.levels() if level.run in numbers]
    events = _events(marks, levels)
    previous = _previous(history, nights, keys)
    wanted, of_quantity = _references(events, keys)
    # Cells whose first night nobody judged: the oldest night that has them.
    orphans = {key for key in keys if (key, EVERY) not in events and not any(k == key for k, _ in events)}
    found = _records(history, wanted)
    references = {}
    for (key, quantity), event in of_quantity.items():
        record = found.get((key, event.run))
        if record is not None:
            references[key, quantity] = record
    for key, record in _oldest(history, nights, orphans).items():
        references |= {(key, q.name): record for q in QUANTITIES}
    return Past(
        nights=tuple(nights),
        references=references,
        previous=previous,
        opened=_opened(marks, levels),
        accepted=_accepted(levels, history, series, last),
        planned=frozenset(history.store.run(last.run).planned),
        times=_times(history, series, references, keys, numbers, last.number + 1),
        controls={
            device: history.controls(device, series, upto=last.number)
            for device in sorted({key.device for key in keys})
        },
        boards={level.key.device: level for level in levels if level.quantity == BOARD},
        notes=_notes(history, run, last, previous),
    )


def _notes(history: History, run: str | None, last: Night, previous: Mapping[CellKey, CellRecord]) -> tuple[str, ...]:
    """What is odd about the order of the nights. They go by their runs' numbers, which no clock can change."""
    found = []
    started = None if run is None else history.store.run(run).started_utc
    if started is not None and started < last.started_utc:
        found.append(
            f"the clock of this machine was set back: run {last.run} says that it began later ({last.started_utc}) than this "
            f"one ({started}); nights are compared in the order in which they were stored"
        )
    ran = any(record.run == last.run for record in previous.values())
    if ran and not history.is_judged(last.run):
        found.append(
            f"the night before, run {last.run}, has no verdict: it was interrupted, could read no history, or is still running; "
            f"its times are no part of the history until `harness run --resume {last.run}` has it judged"
        )
    return tuple(found)


def _events(marks: Sequence[VerdictRow], levels: Sequence[Level]) -> dict[tuple[CellKey, str], _Event]:
    """The newest event of each cell and quantity; under EVERY those that moved the whole cell."""
    events: dict[tuple[CellKey, str], _Event] = {}

    def add(key: CellKey, quantity: str, run: str, number: int) -> None:
        before = events.get((key, quantity))
        if before is None or number >= before.number:
            events[key, quantity] = _Event(run=run, number=number)

    for row in marks:
        if row.status == "first":
            add(row.key, EVERY if row.quantity == CELL else row.quantity, row.run, row.number)
        elif row.status == "better" and row.data.get("numbers", {}).get("moves_level"):
            # A cell that could not be judged before has its other quantities only from now on.
            add(row.key, EVERY if row.quantity == "outcome" else row.quantity, row.run, row.number)
    for level in levels:
        add(level.key, level.quantity, level.run, level.number)
    return events


def _references(
    events: Mapping[tuple[CellKey, str], _Event], keys: set[CellKey]
) -> tuple[set[tuple[CellKey, str]], dict[tuple[CellKey, str], _Event]]:
    """Which (cell, run) are needed, and the event that each (cell, quantity) is compared with."""
    chosen: dict[tuple[CellKey, str], _Event] = {}
    for key in keys:
        whole = events.get((key, EVERY))
        for quantity in QUANTITIES:
            own = events.get((key, quantity.name))
            event = own if own is not None and (whole is None or own.number >= whole.number) else whole
            if event is not None:
                chosen[key, quantity.name] = event
    return {(key, event.run) for (key, _), event in chosen.items()}, chosen


def _records(history: History, wanted: set[tuple[CellKey, str]]) -> dict[tuple[CellKey, str], CellRecord]:
    by_run: dict[str, set[CellKey]] = {}
    for key, run in wanted:
        by_run.setdefault(run, set()).add(key)
    found: dict[tuple[CellKey, str], CellRecord] = {}
    for run, keys in by_run.items():
        records = history.records(dict.fromkeys(keys, run))
        found |= {(key, run): record for key, record in records.items() if record.outcome != "failed"}
    return found


def _previous(history: History, nights: Sequence[Night], keys: set[CellKey]) -> dict[CellKey, CellRecord]:
    found: dict[CellKey, CellRecord] = {}
    for night in reversed(nights[-_OLDEST:]):
        missing = keys - set(found)
        if not missing:
            break
        records = history.records(dict.fromkeys(missing, night.run))
        found |= {key: record for key, record in records.items() if record.outcome != "failed"}
    return found


def _oldest(history: History, nights: Sequence[Night], orphans: set[CellKey]) -> dict[CellKey, CellRecord]:
    found: dict[CellKey, CellRecord] = {}
    for night in [*nights[:_OLDEST], nights[-1]]:
        missing = orphans - set(found)
        if not missing:
            break
        records = history.records(dict.fromkeys(missing, night.run))
        found |= {key: record for key, record in records.items() if record.outcome != "failed"}
    return found


def _opened(marks: Sequence[VerdictRow], levels: Sequence[Level]) -> dict[tuple[CellKey, str], VerdictRow]:
    """Regressions that nothing has ended since: no better or new level of the same quantity, no acceptance."""
    newest: dict[tuple[CellKey, str], VerdictRow] = {}
    for row in marks:
        newest[row.key, row.quantity] = row
    opened = {pair: row for pair, row in newest.items() if row.is_open}
    for level in levels:
        for key, quantity in list(opened):
            accepts = level.quantity in (EVERY, quantity)
            if key == level.key and accepts and level.number >= opened[key, quantity].number:
                del opened[key, quantity]
    return opened


def _accepted(levels: Sequence[Level], history: History, series: str, last: Night) -> dict[tuple[CellKey, str], Level]:
    """Levels that no night has told of yet."""
    told = {
        (row.key, stamp)
        for row in history.verdicts(series, before=last.number + 1, statuses=("new level",))
        for stamp in row.data.get("numbers", {}).get("accepted_utc", ())
    }
    return {(level.key, level.quantity): level for level in levels if (level.key, level.accepted_utc) not in told}


def _times(
    history: History,
    series: str,
    references: Mapping[tuple[CellKey, str], CellRecord],
    keys: set[CellKey],
    numbers: Mapping[str, int],
    before: int,
) -> dict[CellKey, Times]:
    starts = {
        key: numbers.get(record.run, 0) for (key, quantity), record in references.items() if quantity == "latency"
    }
    if not starts:
        return {}
    rows = history.times(series, starts, before=before, usual=USUAL, most=REFERENCE_NIGHTS)
    found = {}
    for key, own in rows.items():
        level = starts.get(key)
        if level is not None:
            found[key] = times_of([row for row in own if row.number >= level], level)
    return found


def times_of(rows: Sequence[TimeRow], level: int) -> Times:
    """The reference that a cell's stored times since its level leave.

    Args:
        rows: oldest first.
        level: the number of the level's own run, which is part of it whatever was said that night.
    """
    begin, kept, unconfirmed = 0, math.nan, 0
    for index, row in enumerate(rows):
        unconfirmed = unconfirmed + 1 if row.unconfirmed else 0
        if row.restart:
            begin = index
            kept = float(row.scale) if row.scale is not None else math.nan
    nights: list[TimedNight] = []
    for row in rows[begin:]:
        if len(nights) == REFERENCE_NIGHTS:
            break
        # Nights that were worse, or that nobody could confirm, are no part of the level.
        usual = row.status in USUAL or row.number == level or row.restart
        if not usual or row.sessions_ns is None:
            continue
        sessions = tuple(math.log(ns) for ns in json.loads(row.sessions_ns) if ns and ns > 0)
        if sessions:
            nights.append(
                TimedNight(
                    run=row.run,
                    number=row.number,
                    sessions=sessions,
                    artifact_sha256=row.artifact_sha256,
                    epoch=row.epoch,
                )
            )
    return Times(
        nights=tuple(nights),
        kept_scale=kept,
        unconfirmed=unconfirmed,
        newest_epoch=next((row.epoch for row in reversed(rows) if row.sessions_ns is not None), None),
    )


def needed_records(history: History, series: str, cells: Iterable[CellKey]) -> dict[tuple[str, CellKey], str]:
    """The records that judging the next night of a series needs, however old they are: (run, cell) -> for what.

    Args:
        cells: of the series, also those that have not run for long.
    """
    nights, keys = history.nights(series), set(cells)
    numbers = {night.run: night.number for night in nights}
    marks = history.verdicts(series, statuses=("first", "better", "new level", "worse", "vanished"))
    levels = [level for level in history.levels() if level.run in numbers]
    events = _events(marks, levels)
    wanted, _ = _references(events, keys)
    needed = {(run, key): "a level" for key, run in wanted}
    told = {key for key, _ in events}
    needed |= {(record.run, key): "a level" for key, record in _oldest(history, nights, keys - told).items()}
    for (key, _), row in _opened(marks, levels).items():
        runs = {row.run, _text(row.data.get("since")), _text(row.data.get("reference"))} - {None}
        needed |= {(str(run), key): "an open regression" for run in runs}
    return needed


def needed_times(history: History, series: str, cells: Iterable[CellKey]) -> set[tuple[str, CellKey]]:
    """The nights of which the next one needs a cell's time, however old they are: (run, cell)."""
    nights = history.nights(series)
    if not nights:
        return set()
    numbers = {night.run: night.number for night in nights}
    past = load_past(history, series, None, cells)
    starts = {key: numbers[record.run] for (key, name), record in past.references.items() if name == "latency"}
    rows = history.times(series, starts, before=nights[-1].number + 1, usual=USUAL, most=REFERENCE_NIGHTS)
    return {(row.run, key) for key, own in rows.items() for row in own}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
