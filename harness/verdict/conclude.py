"""What confirmation makes of a suspect: whose fault a change of a time is, or that there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.verdict.confirm import Look
from harness.verdict.epoch import since_text
from harness.verdict.latency import FRESH_SESSIONS, Evidence, Suspect, figures, verdict_of
from harness.verdict.verdict import Cause, Status, Verdict

#: nights in a row beyond 3 w that make "persisting, unconfirmed", and that width
PERSISTING_NIGHTS, PERSISTING_SIGMAS = 4, 3.0
#: a session this far above the fastest of its side ran in a slow mode
_SLOW_MODE = 0.05


def conclude(suspect: Suspect, evidence: Evidence) -> Verdict:
    """The verdict of a suspect by what confirmation gave."""
    if evidence.look is not None and evidence.old and not suspect.same_bytes:
        return _of_both(suspect, evidence, evidence.look)
    if suspect.same_bytes and evidence.runtime is not None:
        return _of_runtime(suspect, evidence, evidence.runtime, "the same bytes", {})
    if suspect.same_bytes and len(evidence.new) >= FRESH_SESSIONS:
        return _of_fresh(suspect, evidence)
    return _unconfirmed(suspect, evidence)


def _of_both(suspect: Suspect, evidence: Evidence, look: Look) -> Verdict:
    """By old and new artifact side by side."""
    extra = {**_evidence(evidence), "p": look.p, "alpha": look.alpha, "confirmed_change": math.expm1(look.change)}
    beside = (
        f"{look.sessions} fresh sessions of it beside {look.sessions} of the accepted artifact's (run {suspect.reference.run}) "
        f"in random order: {math.expm1(look.change):+.1%}, p = {look.p:.2g}{_modes(evidence)}"
    )
    if look.state == "confirmed":
        status: Status = "worse" if suspect.slower else "better"
        words = f"{figures(suspect)}: this artifact is {'slower' if suspect.slower else 'faster'}; {beside}"
        moves = {"moves_level": True} if not suspect.slower else {}
        since = (suspect.since or suspect.record.run) if suspect.slower else None
        return verdict_of(suspect, status, words, cause="artifact", since=since, extra={**extra, **moves})
    # Not the artifact: the accepted one is asked whether it is slower tonight, too.
    if evidence.runtime is not None:
        return _of_runtime(suspect, evidence, evidence.runtime, f"{beside}: not the artifact", extra)
    apart = float(np.median(evidence.old)) - suspect.level - suspect.shift
    if _beyond(suspect, apart):
        return _elsewhere(suspect, apart, f"{beside}: the accepted artifact changed as much", extra)
    if suspect.since is not None:
        words = f"{figures(suspect)}: {beside}: it is no longer slower; it was worse since run {suspect.since}"
        return verdict_of(suspect, "better", words, extra={**extra, "fixed": True, "restart": True})
    words = (
        f"{figures(suspect)}, and not confirmed: {beside}; a change of {suspect.detectable:.1%} would have been seen"
    )
    return verdict_of(suspect, "same", words, extra={**extra, "restart": True})


def _of_runtime(suspect: Suspect, evidence: Evidence, seen: Look, beside: str, extra: Mapping[str, object]) -> Verdict:
    """By the level's runtime and today's side by side: what history alone could not tell from a night's own noise."""
    extra = {
        **extra,
        "runtime_p": seen.p,
        "runtime_alpha": seen.alpha,
        "runtime_change": math.expm1(seen.change),
        "runtime_old_ns": [round(math.exp(y)) for y in evidence.runtime_old],
        "runtime_new_ns": [round(math.exp(y)) for y in evidence.runtime_new],
    }
    words = (
        f"{beside}; {seen.sessions} fresh sessions on today's runtime beside {seen.sessions} on that of run "
        f"{suspect.reference.run} in random order: {math.expm1(seen.change):+.1%}, p = {seen.p:.2g}"
    )
    if seen.state == "confirmed":
        return _elsewhere(suspect, seen.change, words, extra)
    others = replace(suspect, epoch_changes=tuple(c for c in suspect.epoch_changes if c.field != "runtime"))
    apart = float(np.median(evidence.runtime_new)) - suspect.level - suspect.shift
    if _beyond(suspect, apart):
        return _elsewhere(others, apart, f"{words}: not the runtime", extra)
    words = f"{figures(suspect)}, and not confirmed: {words}; a change of {suspect.detectable:.1%} would have been seen"
    fixed = {"fixed": True} if suspect.since is not None else {}
    return verdict_of(suspect, "better" if fixed else "same", words, extra={**extra, **fixed, "restart": True})


def _of_fresh(suspect: Suspect, evidence: Evidence) -> Verdict:
    """By fresh sessions of the same bytes against history and controls."""
    apart = float(np.median(evidence.new)) - suspect.level - suspect.shift
    extra = {**_evidence(evidence), "confirmed_change": math.expm1(apart)}
    words = f"{len(evidence.new)} fresh sessions of the same bytes: {math.expm1(apart):+.1%} against their history"
    words += _modes(evidence)
    if _beyond(suspect, apart):
        return _elsewhere(suspect, apart, words, extra)
    words = f"{figures(suspect)}, and not confirmed: {words}; a change of {suspect.detectable:.1%} would have been seen"
    return verdict_of(suspect, "same", words, extra=extra)


def _beyond(suspect: Suspect, apart: float) -> bool:
    return (apart if suspect.slower else -apart) > suspect.threshold


def _elsewhere(suspect: Suspect, apart: float, beside: str, extra: Mapping[str, object]) -> Verdict:
    """The change is not the artifact's: the environment's, where something of it changed, else the board's."""
    status: Status = "worse" if suspect.slower else "better"
    if suspect.epoch_changes:
        words = f"{figures(suspect)}{since_text(suspect.epoch_changes)}; {beside}"
        moves = {} if suspect.slower else {"moves_level": True}
        since = (suspect.since or suspect.record.run) if suspect.slower else None
        return verdict_of(suspect, status, words, cause="environment", since=since, extra={**extra, **moves})
    words = f"{figures(suspect)}: the board or its surroundings, not the model; {beside}"
    # Told once: from here on this is what the board is like.
    return verdict_of(suspect, status, words, gates=False, cause="board", extra={**extra, "restart": True})


def _unconfirmed(suspect: Suspect, evidence: Evidence) -> Verdict:
    beyond = abs(suspect.change) > max(PERSISTING_SIGMAS * suspect.width, math.log(1.02))
    nights = suspect.unconfirmed + 1 if beyond else 0
    why = evidence.problem or "nothing was confirmed on the board"
    words = f"{figures(suspect)}{since_text(suspect.epoch_changes)}, beyond {math.expm1(suspect.threshold):.1%}; {why}"
    if nights >= PERSISTING_NIGHTS:
        words = f"{figures(suspect)}: persisting for {nights} nights, unconfirmed; {why}"
    extra = {**_evidence(evidence), "unconfirmed": beyond, "unconfirmed_nights": nights}
    if suspect.since is not None:
        return verdict_of(suspect, "worse", words, cause="artifact", since=suspect.since, extra=extra)
    return verdict_of(suspect, "suspect", words, gates=False, cause=_cause(suspect), extra=extra)


def _cause(suspect: Suspect) -> Cause:
    return "artifact" if not suspect.same_bytes else "environment" if suspect.epoch_changes else "board"


def _evidence(evidence: Evidence) -> dict[str, object]:
    return {
        "confirmed_new_ns": [round(math.exp(y)) for y in evidence.new],
        "confirmed_old_ns": [round(math.exp(y)) for y in evidence.old],
    }


def _modes(evidence: Evidence) -> str:
    """`; slow mode in 1 of 16 -> 5 of 16 sessions`, where there is one."""
    present = [side for side in (evidence.old, evidence.new) if side]
    counts = [_slow(side) for side in present]
    if not any(counts):
        return ""
    sides = [f"{count} of {len(side)}" for count, side in zip(counts, present, strict=True)]
    return f"; slow mode in {' -> '.join(sides)} sessions"


def _slow(side: Sequence[float]) -> int:
    """Sessions in a slow mode: above a gap in the ordered sessions that is wider than all else and wide enough."""
    ordered = sorted(side)
    gaps = [b - a for a, b in zip(ordered, ordered[1:], strict=False)]
    if not gaps or max(gaps) < _SLOW_MODE:
        return 0
    return len(ordered) - 1 - gaps.index(max(gaps))
