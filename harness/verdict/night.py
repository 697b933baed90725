"""A night against its past: all quantities of all cells. Suspects are left to be confirmed; everything else is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.results.history import EVERY, ControlRow, VerdictRow
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord
from harness.verdict.answers import AnswerBook
from harness.verdict.boards import Controls
from harness.verdict.command import reproduction
from harness.verdict.energy import judge_energy
from harness.verdict.exact import compare_exact
from harness.verdict.gone import carried, scores_gone, since_of, vanished
from harness.verdict.latency import Suspect, screen_times
from harness.verdict.past import CELL, Past
from harness.verdict.quantities import BY_NAME
from harness.verdict.scored import Pair, judge_scores
from harness.verdict.verdict import BoardVerdict, Verdict, by_urgency
from harness.verdict.watched import watch


@dataclass(kw_only=True)
class Judgement:
    """What became of a night.

    Attributes:
        run, series: of the night.
        nights: earlier nights of the series.
        verdicts: of everything that is judged.
        suspects: times that nobody has confirmed yet.
        boards: what the control cells say.
        failed: cells whose board or link failed; they are no regressions.
        not_run: planned cells without a record.
        two_runs: two runs were compared, and no night with its history.
        notes: what a reader should know of the series, a sentence each.
        place: options with which another command finds the store, such as ` --results /srv/results`; empty: it needs none.
        no_history: why nothing was compared, in words: no history could be read; None of every other night.
    """

    run: str
    series: str
    nights: int
    verdicts: list[Verdict] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    boards: list[BoardVerdict] = field(default_factory=list)
    failed: list[CellRecord] = field(default_factory=list)
    not_run: list[CellKey] = field(default_factory=list)
    two_runs: bool = False
    notes: list[str] = field(default_factory=list)
    place: str = ""
    no_history: str | None = None

    @property
    def first(self) -> bool:
        """True for the first night of its series."""
        return self.nights == 0 and self.no_history is None

    @property
    def open(self) -> list[Verdict]:
        """The open regressions."""
        return [v for v in by_urgency(self.verdicts) if v.open]

    def new(self) -> list[Verdict]:
        """The regressions that began tonight."""
        return [v for v in self.open if v.since in (None, self.run)]

    def stored(self) -> list[tuple[CellKey, str, str, bool, Mapping[str, Any]]]:
        """The rows that the store keeps: what is not the same, and every time."""
        kept = [
            v
            for v in self.verdicts
            if (v.status != "same" or v.quantity == "latency")
            and not v.numbers.get("carried")
            and (v.quantity == CELL or BY_NAME[v.quantity].test != "watched")
        ]
        return [(v.key, v.quantity, v.status, v.open, _data(v)) for v in kept]


def _data(verdict: Verdict) -> dict[str, Any]:
    data = verdict.to_json()
    del data["key"]
    return data


def judge_night(
    run: str,
    series: str,
    records: Sequence[CellRecord],
    planned: Iterable[CellKey],
    past: Past,
    objects: ObjectStore,
    *,
    controls: Mapping[str, Sequence[ControlRow]] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Judgement:
    """Judges a night.

    Args:
        records: of its cells.
        planned: the cells that it planned.
        past: of its series.
        controls: tonight's sessions of the control cells, per device.
        options: the run's, for the commands that reproduce its alarms.
    """
    planned = list(planned)
    done = {record.key for record in records}
    judgement = Judgement(
        run=run,
        series=series,
        nights=len(past.nights),
        failed=[record for record in records if record.outcome == "failed"],
        not_run=[key for key in planned if key not in done],
        notes=list(past.notes),
    )
    usable = [record for record in records if record.outcome != "failed"]
    boards = {
        device: Controls.of(device, past.controls.get(device, ()), rows, past.boards.get(device))
        for device, rows in (controls or {}).items()
        if rows
    }
    judgement.boards = [board.verdict() for board in boards.values()]
    found: list[Verdict] = []
    for record in usable:
        found += _cell(record, past)
    book = AnswerBook(objects)
    found += judge_scores(_pairs(usable, past), book)
    found += scores_gone(usable, past)
    found += _energies(usable, past)
    timed = screen_times(usable, past, boards)
    found += timed.verdicts
    judgement.suspects = timed.suspects
    asked = {(suspect.key, "latency") for suspect in timed.suspects}
    judgement.verdicts = [_with_history(v, past, run) for v in found]
    judgement.verdicts += vanished(done, planned, past, run)
    judgement.verdicts += carried(past, {(v.key, v.quantity) for v in judgement.verdicts} | asked)
    judgement.verdicts = [_with_command(v, options or {}) for v in judgement.verdicts]
    return judgement


def settle(judgement: Judgement, verdicts: Sequence[Verdict], options: Mapping[str, Any] | None = None) -> None:
    """Adds what became of the suspects, and decides which improvements are levels from now on."""
    settled = {v.key for v in verdicts}
    judgement.suspects = [s for s in judgement.suspects if s.key not in settled]
    judgement.verdicts += [_with_command(v, options or {}) for v in verdicts]
    worse = {v.key: v.quantity for v in judgement.verdicts if v.open}
    judgement.verdicts = [_held(v, worse.get(v.key)) for v in judgement.verdicts]


def _held(verdict: Verdict, worse: str | None) -> Verdict:
    """An improvement of a cell that is worse in something else is no level: whoever mends the one takes the other back."""
    if worse is None or not verdict.numbers.get("moves_level"):
        return verdict
    words = f"{verdict.reason}; no new level while {worse} is worse"
    return replace(verdict, reason=words, numbers={**verdict.numbers, "moves_level": False})


def _cell(record: CellRecord, past: Past) -> list[Verdict]:
    """The verdicts of the exact and the watched quantities, or that the cell is new."""
    key = record.key
    references = {name: past.references.get((key, name)) for name in BY_NAME}
    if not any(references.values()):
        return [_first(record, past)]
    found: list[Verdict] = []
    runs = {r.run: r for r in references.values() if r is not None}
    for reference in runs.values():
        compared = [*compare_exact(reference, record, previous=past.previous.get(key)), *watch(reference, record)]
        found += [v for v in compared if (own := references[v.quantity]) is not None and own.run == reference.run]
    return [*found, *_new_levels(key, past)]


def _new_levels(key: CellKey, past: Past) -> list[Verdict]:
    """What was accepted since the last night, in one verdict on the cell."""
    levels = [past.accepted[key, name] for name in (EVERY, *BY_NAME) if (key, name) in past.accepted]
    if not levels:
        return []
    newest = max(levels, key=lambda level: level.number)
    words = [f"{'' if v.quantity == EVERY else v.quantity + ' '}accepted as of run {v.run}: {v.why}" for v in levels]
    return [
        Verdict(
            key=key,
            quantity=CELL,
            status="new level",
            gates=False,
            reason="; ".join(words),
            numbers={"accepted_utc": [level.accepted_utc for level in levels]},
            reference=newest.run,
        )
    ]


def _first(record: CellRecord, past: Past) -> Verdict:
    other = [
        key
        for key in past.planned
        if replace(key, dataset=record.key.dataset) == record.key and key.dataset != record.key.dataset
    ]
    words = "the first night of this cell: nothing to compare with"
    if other:
        words = f"another dataset ({other[0].dataset[:8]} -> {record.key.dataset[:8]}): a new history begins"
    return Verdict(key=record.key, quantity=CELL, status="first", gates=False, reason=words)


def _pairs(records: Iterable[CellRecord], past: Past) -> list[Pair]:
    pairs = []
    for record in records:
        reference = past.references.get((record.key, "score"))
        if reference is not None and record.score is not None:
            pairs.append(Pair(before=reference, after=record, previous=past.previous.get(record.key)))
    return pairs


def _energies(records: Iterable[CellRecord], past: Past) -> list[Verdict]:
    found = []
    for record in records:
        reference = past.references.get((record.key, "energy"))
        is_open = (record.key, "energy") in past.opened
        verdict = None if reference is None else judge_energy(reference, record, previous=past.previous.get(record.key))
        if verdict is not None and not (is_open and verdict.status in ("first", "vanished", "suspect")):
            found.append(verdict)  # else it stays open
    return found


def _with_history(verdict: Verdict, past: Past, run: str) -> Verdict:
    """Since when it is so, that an open regression is fixed, and that an improvement is the level from now on."""
    opened = past.opened.get((verdict.key, verdict.quantity))
    if verdict.quantity == "latency":
        return verdict  # said where it was screened
    if (
        verdict.quantity == "score"
        and opened is not None
        and verdict.status == "same"
        and not _score_is_back(verdict, opened)
    ):
        since = since_of(opened)
        words = f"{verdict.reason}; open since run {since}, and nothing shows that it is fixed"
        return replace(verdict, status="worse", gates=True, since=since, reason=words, cause=opened.data.get("cause"))
    if verdict.status == "worse" and verdict.gates:
        since = since_of(opened) if opened is not None else run
        words = verdict.reason if opened is None else f"{_told(opened, verdict)}; since run {since}"
        cause = verdict.cause if opened is None else opened.data.get("cause") or verdict.cause
        return replace(verdict, since=since, reason=words, cause=cause)
    if opened is not None and verdict.status in ("same", "better", "new level"):
        words = f"{verdict.reason}; fixed: it was worse since run {since_of(opened)}"
        moves = verdict.status == "better"
        return replace(
            verdict, status="better", reason=words, numbers={**verdict.numbers, "fixed": True, "moves_level": moves}
        )
    if verdict.status == "better" and verdict.gates:
        return replace(verdict, numbers={**verdict.numbers, "moves_level": True})
    return verdict


def _told(opened: VerdictRow, verdict: Verdict) -> str:
    """The reason as it was first told, where the figures are the same: what changed that night is to blame, not later changes."""
    before = opened.data.get("numbers", {})
    same = all(before.get(name) == verdict.numbers.get(name) for name in ("before", "after"))
    return str(opened.data.get("reason")).partition("; since run ")[0] if same else verdict.reason


def _score_is_back(verdict: Verdict, opened: VerdictRow) -> bool:
    """Whether less than half of what was lost is missing; without a paired figure it is not known."""
    before, now = opened.data.get("numbers", {}).get("loss"), verdict.numbers.get("loss")
    return now is not None and (before is None or now < before / 2)


def _with_command(verdict: Verdict, options: Mapping[str, Any]) -> Verdict:
    if verdict.status not in ("worse", "suspect", "vanished") or verdict.command is not None:
        return verdict
    return replace(verdict, command=reproduction(verdict.key, options))
