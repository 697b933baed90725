"""Times of a night: which cells the screen suspects, and what confirmation makes of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.results.record import CellKey, CellRecord
from harness.verdict.boards import Controls
from harness.verdict.confirm import MARGIN, Look
from harness.verdict.epoch import Change, changes, epoch_id, since_text
from harness.verdict.past import Past, Times
from harness.verdict.quantities import CLOCKED, time_text
from harness.verdict.screen import OWN_SCALE_FROM, REFERENCE_NIGHTS, Screened, screen, session_spread
from harness.verdict.verdict import Cause, Status, Verdict

#: fresh sessions of today's artifact where there is no other one to compare with
FRESH_SESSIONS = 5
#: a shift of the board that is shown: below it stands `0.0%`
_SHOWN_SHIFT = 0.0005


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A cell whose time is too far from its history to be noise.

    Attributes:
        record: tonight's.
        slower: or faster.
        reference: the record of the accepted level; its artifact is the old side of a confirmation.
        level, change, shift, scale, width, threshold: of the screen, natural logarithms; `change` is less the shift.
        detectable: relative.
        nights: of the reference.
        epoch_changes: of what it ran on, since the night before.
        unconfirmed: nights in a row before tonight that nobody could confirm.
        since: the run that an open regression began with.
    """

    record: CellRecord
    slower: bool
    reference: CellRecord
    level: float
    change: float
    shift: float
    scale: float
    width: float
    threshold: float
    detectable: float
    nights: int
    epoch_changes: tuple[Change, ...] = ()
    unconfirmed: int = 0
    since: str | None = None

    @property
    def key(self) -> CellKey:
        return self.record.key

    @property
    def same_bytes(self) -> bool:
        """Whether tonight's artifact is the accepted one, so that nothing but board and environment can have changed."""
        return self.record.artifact_sha256 == self.reference.artifact_sha256


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a confirmation on the board gave.

    Attributes:
        new: ln of the medians of fresh sessions of today's artifact, in their order.
        old: of the accepted one's, in random order among them; empty where there was none to run.
        look: the last look at both; None without old sessions.
        runtime: the last look at today's artifact on the level's runtime and on today's, where the runtime is another one and can
            be brought back; `runtime_old` and `runtime_new` are its sides.
        problem: why nothing, or not enough, was confirmed.
    """

    new: tuple[float, ...] = ()
    old: tuple[float, ...] = ()
    look: Look | None = None
    runtime: Look | None = None
    runtime_old: tuple[float, ...] = ()
    runtime_new: tuple[float, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class TimedCell:
    """A cell with a clocked time tonight, and its past."""

    record: CellRecord
    times: Times
    reference: CellRecord | None


@dataclass(kw_only=True)
class Timed:
    """What the screen of a night gave: verdicts of what is no suspect, and the suspects."""

    verdicts: list[Verdict] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)


def session_medians_ns(record: CellRecord) -> list[int]:
    """A cell's sessions of a night: the median of each start that was timed, else of all samples."""
    median = record.latency_median_ns
    starts = record.latency_start_medians_ns or ([] if median is None else [median])
    return [int(ns) for ns in starts if ns and math.isfinite(ns) and ns > 0]


def is_clocked(record: CellRecord) -> bool:
    """True for a record with a time that a clock gave; counts and estimates are compared exactly."""
    return record.time_basis in CLOCKED and bool(session_medians_ns(record))


def screen_times(records: Sequence[CellRecord], past: Past, controls: Mapping[str, Controls]) -> Timed:
    """Screens all clocked cells, board by board.

    Args:
        records: tonight's.
        controls: per device; devices without any are not corrected for their shift.
    """
    found = Timed()
    boards: dict[str, list[TimedCell]] = {}
    for record in records:
        reference = past.references.get((record.key, "latency"))
        if not is_clocked(record):
            if _lost(record, reference) and (record.key, "latency") not in past.opened:
                found.verdicts.append(_vanished(record, reference))
            continue
        times = past.times.get(record.key, Times())
        if reference is None or not times.nights or reference.time_basis != record.time_basis:
            found.verdicts.append(_first(record, reference))
        else:
            boards.setdefault(record.key.device, []).append(TimedCell(record=record, times=times, reference=reference))
    for device, cells in boards.items():
        _screen_board(cells, past, controls.get(device), found)
    return found


def _screen_board(cells: Sequence[TimedCell], past: Past, controls: Controls | None, found: Timed) -> None:
    history, sessions = _arrays(cells)
    tonight = np.array([_night_value(cell.record) for cell in cells])
    shifts = np.array([controls.since(cell.times.begins).value if controls is not None else 0.0 for cell in cells])
    screened = screen(
        history,
        tonight,
        shift=shifts,
        session_spread=session_spread(sessions),
        kept_scale=np.array([cell.times.kept_scale for cell in cells]),
        noisy=np.array([cell.record.quality in ("noisy", "throttled") for cell in cells]),
    )
    for i, cell in enumerate(cells):
        _one(cell, i, screened, float(shifts[i]), past, found)


def _arrays(cells: Sequence[TimedCell]) -> tuple[np.ndarray, np.ndarray]:
    """[cells, nights] of values and [cells, nights, sessions], both padded by NaN."""
    nights = [cell.times.nights[:REFERENCE_NIGHTS] for cell in cells]
    width = max(len(row) for row in nights)
    depth = max(len(night.sessions) for row in nights for night in row)
    values, sessions = np.full((len(cells), width), np.nan), np.full((len(cells), width, depth), np.nan)
    for i, row in enumerate(nights):
        for j, night in enumerate(row):
            values[i, j] = night.value
            sessions[i, j, : len(night.sessions)] = night.sessions
    return values, sessions


def _night_value(record: CellRecord) -> float:
    return float(np.median(np.log(session_medians_ns(record))))


def _one(cell: TimedCell, i: int, screened: Screened, shift: float, past: Past, found: Timed) -> None:
    record, reference = cell.record, cell.reference
    assert reference is not None
    opened = past.opened.get((record.key, "latency"))
    known = {night.epoch for night in cell.times.nights} | {cell.times.newest_epoch}
    before = past.previous.get(record.key) or reference
    epoch = () if epoch_id(record.fingerprint) in known else changes(before.fingerprint, record.fingerprint)
    change = float(screened.change[i])
    slower = bool(screened.slower[i])
    suspect = Suspect(
        record=record,
        slower=slower or (opened is not None and change > MARGIN),
        reference=reference,
        level=float(screened.level[i]),
        change=change,
        shift=shift,
        scale=float(screened.scale[i]),
        width=float(screened.width[i]),
        threshold=float(screened.threshold[i]),
        detectable=float(screened.detectable[i]),
        nights=int(screened.nights[i]),
        epoch_changes=epoch,
        unconfirmed=cell.times.unconfirmed,
        since=opened.data.get("since") or opened.run if opened is not None else None,
    )
    if opened is not None:
        _still_open(suspect, str(opened.data.get("numbers", {}).get("artifact_sha256")), opened.data, found)
    elif slower or bool(screened.faster[i]):
        found.suspects.append(suspect)
    else:
        found.verdicts.append(_same(suspect, restart=bool(epoch)))


def _still_open(suspect: Suspect, confirmed_sha256: str, stored: Mapping[str, object], found: Timed) -> None:
    """An open regression: fixed where the time is back; other bytes than those confirmed are asked again; else still there."""
    record = suspect.record
    if suspect.change <= max(MARGIN, suspect.width):
        words = f"{figures(suspect)}: back at its level; it was worse since run {suspect.since}"
        found.verdicts.append(verdict_of(suspect, "better", words, extra={"fixed": True}))
    elif suspect.same_bytes and not changes(suspect.reference.fingerprint, record.fingerprint):
        words = (
            f"{figures(suspect)}: the level's own bytes in its own environment again; it was worse since run {suspect.since}, "
            "and what is left is the board's"
        )
        found.verdicts.append(verdict_of(suspect, "better", words, extra={"fixed": True}))
    elif record.artifact_sha256 == confirmed_sha256 or suspect.same_bytes:
        words = f"{figures(suspect)}: still worse, since run {suspect.since}"
        cause: Cause = stored.get("cause") or "artifact"  # type: ignore[assignment]
        found.verdicts.append(verdict_of(suspect, "worse", words, cause=cause, since=suspect.since))
    else:
        found.suspects.append(suspect)


def _first(record: CellRecord, reference: CellRecord | None) -> Verdict:
    other = reference is not None and reference.time_basis != record.time_basis
    why = "its times are of another basis now" if other else "the first night of this cell"
    sessions = session_medians_ns(record)
    return Verdict(
        key=record.key,
        quantity="latency",
        status="first",
        gates=False,
        reason=f"{time_text(float(np.median(sessions)))} in {len(sessions)} sessions; {why}: nothing to compare with",
        numbers=_stored(record),
    )


def _lost(record: CellRecord, reference: CellRecord | None) -> bool:
    """Whether a cell that had a time ran on the same clock tonight, and told none."""
    if reference is None or record.outcome == "unsupported" or not is_clocked(reference):
        return False
    return record.time_basis == reference.time_basis


def _vanished(record: CellRecord, reference: CellRecord | None) -> Verdict:
    return Verdict(
        key=record.key,
        quantity="latency",
        status="vanished",
        gates=False,
        reason="no time tonight: the samples were missing, or were no numbers; nothing is compared, and the level stays",
        reference=reference.run if reference is not None else None,
    )


def _stored(record: CellRecord) -> dict[str, object]:
    """What later nights need of this one."""
    return {
        "sessions_ns": session_medians_ns(record),
        "artifact_sha256": record.artifact_sha256,
        "epoch": epoch_id(record.fingerprint),
    }


def figures(suspect: Suspect) -> str:
    """`12.1 us -> 13.4 us (+10.7 %, board's shift of +0.3 % taken off)`."""
    now = math.exp(_night_value(suspect.record))
    text = f"{time_text(math.exp(suspect.level))} -> {time_text(now)} ({math.expm1(suspect.change):+.1%}"
    shift = math.expm1(suspect.shift)
    return text + (f", the board's {shift:+.1%} taken off)" if abs(shift) >= _SHOWN_SHIFT else ")")


def verdict_of(
    suspect: Suspect,
    status: Status,
    reason: str,
    *,
    gates: bool = True,
    cause: Cause | None = None,
    since: str | None = None,
    extra: Mapping[str, object] | None = None,
) -> Verdict:
    """A verdict on a cell's time with what the screen found, which later nights are screened by.

    Args:
        extra: further numbers.
    """
    numbers: dict[str, object] = {
        **_stored(suspect.record),
        "before_ns": math.exp(suspect.level),
        "change": math.expm1(suspect.change),
        "board_shift": math.expm1(suspect.shift),
        "scale": suspect.scale,
        "threshold": math.expm1(suspect.threshold),
        "nights": suspect.nights,
        **(extra or {}),
    }
    return Verdict(
        key=suspect.key,
        quantity="latency",
        status=status,
        gates=gates,
        reason=reason,
        numbers=numbers,
        cause=cause,
        since=since,
        reference=suspect.reference.run,
        detectable=suspect.detectable if math.isfinite(suspect.detectable) else None,
    )


def _same(suspect: Suspect, *, restart: bool = False) -> Verdict:
    seen = f"a change of {suspect.detectable:.1%} would have been seen"
    if suspect.nights < OWN_SCALE_FROM:
        seen += f" (night {suspect.nights + 1}: with a usual noise of 1 %, its own is not known yet)"
    if (quality := suspect.record.quality) in ("noisy", "throttled"):
        seen += f", with the half that is added because the board was {quality} tonight"
    epoch = since_text(suspect.epoch_changes)
    words = f"{figures(suspect)}: within its noise{f', also{epoch}' if epoch else ''}; {seen}"
    return verdict_of(suspect, "same", words, extra={"restart": True} if restart else None)
