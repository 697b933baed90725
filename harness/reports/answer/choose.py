"""The pick and the front: what keeps to the limits, what no other beats, and which one of those to take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.reports.answer.candidate import AS_SMALL, Candidate, as_fast, faster
from harness.reports.answer.candidates import Exclusion, effort, taken_share
from harness.reports.answer.limits import USUAL_DROP, Limits, refuse_more_than_all
from harness.reports.scores import is_share, output_records, score_delta_of, score_of
from harness.reports.values import duration_text, size_text
from harness.results.record import CellRecord

Better = Callable[[Candidate, Candidate], bool]
"""Whether the first one's score is shown to be better."""


@dataclass(frozen=True, kw_only=True)
class Beaten:
    """A candidate that another one makes needless: no worse in anything that can be shown, and better in something."""

    candidate: Candidate
    by: Candidate
    reason: str


def allowed_drop(record: CellRecord, limits: Limits) -> float:
    """The most that a cell's score may be worse than the float model's, in its unit."""
    if limits.max_drop is not None:
        return limits.max_drop
    if is_share(record):
        return USUAL_DROP
    score, delta = score_of(record), score_delta_of(record)
    return USUAL_DROP * abs((score or 0.0) - (delta or 0.0))


def within(
    candidates: Iterable[Candidate], limits: Limits, *, ranked_times: bool
) -> tuple[list[Candidate], list[Exclusion]]:
    """Parts candidates into those that keep to the limits and the others, each with what it misses.

    Args:
        ranked_times: False where the device's times are no times of a board, so that no bound can be held against them.
    """
    kept, out = [], []
    for candidate in candidates:
        missed = [text for text in (_drop(candidate, limits), _time(candidate, limits, ranked_times)) if text]
        missed += _drops_of_others(candidate.record, limits)
        missed += [text for text in (_size(candidate, limits),) if text]
        if missed:
            out.append(Exclusion(record=candidate.record, kind="limit", reason="; ".join(missed)))
        else:
            kept.append(candidate)
    return kept, out


def _drop(candidate: Candidate, limits: Limits) -> str | None:
    record, drop = candidate.record, candidate.drop
    if record.accuracy is not None and limits.max_drop is not None:
        refuse_more_than_all(limits.max_drop)
    if drop is None:
        if limits.max_drop is None:
            return None
        return f"nothing to hold against the allowed drop: {candidate.to_float}"
    allowed = allowed_drop(record, limits)
    if drop <= allowed + 1e-12:
        return None
    return f"loses {drop_text(record, drop)}, more than {drop_text(record, allowed)}"


def _drops_of_others(record: CellRecord, limits: Limits) -> list[str]:
    """What a model loses in the outputs beside its main one, where that is more than is allowed: each by its own metric.

    A bound that was given holds for shares of 1 alone, since other outputs have other units.
    """
    found = []
    for name, one in output_records(record)[1:]:
        if one.score_delta is None:
            continue
        drop = one.score_delta if one.metric_direction == "lower" else -one.score_delta
        allowed = allowed_drop(one, limits if is_share(one) else Limits())
        if drop > allowed + 1e-12:
            found.append(f"output {name} loses {drop_text(one, drop)}, more than {drop_text(one, allowed)}")
    return found


def drop_text(record: CellRecord, drop: float) -> str:
    """A loss in points of a hundred where the score is a share, else in its unit."""
    if not is_share(record):
        return f"{drop:.3g}" + (f" {record.metric_unit}" if record.metric_unit else "")
    points = 100 * drop
    text = f"{points:.1f}" if abs(points) >= 0.095 or points == 0 else f"{points:.2f}"
    return f"{text} point{'' if text == '1.0' else 's'}"


def _time(candidate: Candidate, limits: Limits, ranked_times: bool) -> str | None:
    if limits.max_latency_ns is None:
        return None
    if not ranked_times or candidate.cost_ns is None:
        return "no time of its own board to hold against the allowed latency"
    if candidate.cost_ns <= limits.max_latency_ns:
        return None
    return f"takes {duration_text(candidate.cost_ns)}, more than {duration_text(limits.max_latency_ns)}"


def _size(candidate: Candidate, limits: Limits) -> str | None:
    size, most = candidate.size_bytes, limits.max_size_bytes
    if most is None or (size is not None and size <= most):
        return None
    return (
        f"has {size_text(size)} bytes, more than {size_text(round(most))}"
        if size is not None
        else "its size is not known"
    )


def pick(eligible: Sequence[Candidate], limits: Limits, *, ranked_times: bool) -> Candidate | None:
    """The one to take; None where there is none.

    Preferring speed: of those that are as fast as the fastest, those of the best score group. Preferring size, or where times
    mean nothing: of those that are as small as the smallest, those of the best score group, and of these, where times mean
    nothing, the ones of which a delegate takes most. Of what is left the small ones, then those that ask least of their user
    (no training before training on, and that before QAT), then the smallest.
    """
    if not eligible:
        return None
    timed = [c for c in eligible if c.cost_ns is not None]
    if limits.prefer == "speed" and ranked_times and timed:
        fastest = min(timed, key=lambda c: c.cost_ns or 0.0)
        left = [c for c in timed if as_fast(c, fastest)]
    else:
        left = _small(eligible)
    left = _least(left, lambda c: c.layer)
    if not ranked_times:
        left = _least(left, lambda c: -taken_share(c.record))
    elif limits.prefer == "size":
        left = _least(left, lambda c: float("inf") if c.cost_ns is None else c.cost_ns)
    return min(_small(left), key=lambda c: (effort(c.recipe)[0], _size_of(c), c.cost_ns or 0.0, c.recipe))


def _small(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are as small as the smallest."""
    smallest = min(map(_size_of, candidates))
    return [c for c in candidates if _size_of(c) <= smallest * AS_SMALL]


def _least(candidates: Sequence[Candidate], value: Callable[[Candidate], float]) -> list[Candidate]:
    """Those of the least value."""
    least = min(map(value, candidates))
    return [c for c in candidates if value(c) == least]


def front(
    eligible: Sequence[Candidate], chosen: Candidate, better: Better, *, ranked_times: bool
) -> tuple[list[Candidate], list[Beaten]]:
    """Parts candidates into those that none beats, the pick first, and the beaten ones.

    "No worse" is a matter of what can be shown: a score that the test cannot tell from another, a latency whose interval meets
    another's. Such a relation may run in a circle; so the kept ones are found one after the other, in an order that says what
    to take first, and each is held against those that were kept before.
    """
    order = sorted(
        (c for c in eligible if c is not chosen),
        key=lambda c: (
            c.layer,
            c.cost_ns if ranked_times and c.cost_ns is not None else 0.0,
            _size_of(c),
            effort(c.recipe),
        ),
    )
    kept, beaten = [chosen], []
    for candidate in order:
        rival = next((k for k in kept if _beats(k, candidate, better, ranked_times)), None)
        if rival is None:
            kept.append(candidate)
        else:
            reason = _why_beaten(rival, candidate, better, ranked_times)
            beaten.append(Beaten(candidate=candidate, by=rival, reason=reason))
    return kept, beaten


def _beats(first: Candidate, second: Candidate, better: Better, ranked_times: bool) -> bool:
    """Whether the second one is needless beside the first: no better in anything. Of two alike, the first is kept."""
    if better(second, first) or _size_of(second) < _size_of(first):
        return False
    return not (ranked_times and (faster(second, first) or (first.cost_ns is None and second.cost_ns is not None)))


def _why_beaten(first: Candidate, second: Candidate, better: Better, ranked_times: bool) -> str:
    """What the first one is better in, where it is in anything."""
    gains = ["better score"] if better(first, second) else []
    if ranked_times and faster(first, second):
        gains.append("faster")
    if _size_of(first) < _size_of(second):
        gains.append("smaller")
    return ", ".join(gains) or "alike"


def _size_of(candidate: Candidate) -> float:
    return float("inf") if candidate.size_bytes is None else candidate.size_bytes
