"""Exact comparison: figures that repeat to the digit. They take nothing of a night's error budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.results.record import CellRecord
from harness.verdict.epoch import changes, since_text
from harness.verdict.quantities import OUTCOME_RANK, QUANTITIES, SIZE_GATES_FROM, Quantity, change_text
from harness.verdict.verdict import Cause, Status, Verdict

#: how places rank: the delegate that the backend is about, the runtime's own, none
_PLACE_RANK = {"cpu": 0, "xnnpack": 1}
#: changed nodes that are named one by one
_NAMED = 4


@dataclass(frozen=True, kw_only=True)
class _Finding:
    """What a comparison gave: the status and a sentence without its cause."""

    status: Status
    words: str
    gates: bool = True


def compare_exact(before: CellRecord, after: CellRecord, *, previous: CellRecord | None = None) -> list[Verdict]:
    """The verdicts of every exact quantity that the later record tells; those that are the same are among them.

    Cells that failed tell nothing of the model: there is no verdict of them. Where one of the two did not run, only the outcome
    and the size are compared.

    Args:
        before, after: what is compared.
        previous: the record before `after`, which says what changed in between; None: `before` is it.
    """
    if "failed" in (before.outcome, after.outcome):
        return []
    both_ran = before.outcome not in ("unsupported",) and after.outcome not in ("unsupported",)
    found = []
    for quantity in QUANTITIES:
        if quantity.test != "exact" or not (both_ran or quantity.name in ("outcome", "size")):
            continue
        if quantity.name == "instructions" and before.time_basis != after.time_basis:
            continue  # counted by another rule
        verdict = _verdict(quantity, before, after, previous or before)
        if verdict is not None:
            found.append(verdict)
    return found


def cause_of(before: CellRecord, after: CellRecord) -> Cause:
    """What differs between two records of a cell: the artifact, else the environment, else nothing but the board."""
    if before.artifact_sha256 != after.artifact_sha256:
        return "artifact"
    return "environment" if changes(before.fingerprint, after.fingerprint) else "board"


def cause_words(before: CellRecord, after: CellRecord) -> str:
    """What a sentence says of the cause: ` since runtime a -> b`, or that nothing but the board can have changed."""
    epoch = since_text(changes(before.fingerprint, after.fingerprint))
    if before.artifact_sha256 != after.artifact_sha256:
        return f" with another artifact{epoch and ' and' + epoch}"
    return epoch or "; the same bytes in the same environment: the board or its surroundings, not the model"


def _verdict(quantity: Quantity, before: CellRecord, after: CellRecord, previous: CellRecord) -> Verdict | None:
    old, new = quantity.value(before), quantity.value(after)
    if old is None and new is None:
        return None
    if quantity.name == "partitions" and old != new and 0 in (old, new):
        return None  # a delegate that takes nothing any more, or something again: the placement tells it
    if new is None:
        found = _Finding(status="vanished", words=f"{quantity.title} is not told any more", gates=False)
    elif old is None:
        found = _Finding(
            status="first", words=f"{quantity.title} {_shown(quantity, new)}, told for the first time", gates=False
        )
    elif old == new:
        found = _Finding(status="same", words=f"{quantity.title} {_shown(quantity, new)}, as before")
    else:
        found = _compared(quantity, old, new, before, after)
    silent = found.status in ("same", "first")
    words = found.words if silent else found.words + cause_words(previous, after)
    return Verdict(
        key=after.key,
        quantity=quantity.name,
        status=found.status,
        gates=quantity.gates and found.gates,
        reason=words,
        numbers={"before": _plain(old), "after": _plain(new)},
        cause=None if silent else cause_of(previous, after),
        reference=before.run,
    )


def _compared(quantity: Quantity, old: Any, new: Any, before: CellRecord, after: CellRecord) -> _Finding:
    if quantity.name == "outcome":
        return _outcome(old, new, after)
    if quantity.name == "placement":
        return _placement(old, new)
    if quantity.better == "fewer":
        return _sets(quantity, old, new)
    status: Status = "worse" if new > old else "better"
    share = (new - old) / old if old else None
    by = f" ({share:+.1%})" if share is not None and abs(share) >= 0.0005 else f" ({new - old:+,})"
    gates = quantity.name != "size" or share is None or abs(share) >= SIZE_GATES_FROM
    return _Finding(status=status, words=f"{quantity.title} {change_text(quantity, old, new)}{by}", gates=gates)


def _outcome(old: str, new: str, after: CellRecord) -> _Finding:
    step = OUTCOME_RANK[new] - OUTCOME_RANK[old]
    status: Status = "worse" if step < 0 else "better" if step > 0 else "same"
    why = f" ({after.reason})" if after.reason and status == "worse" else ""
    return _Finding(status=status, words=f"{old} -> {new}{why}")


def _sets(quantity: Quantity, old: frozenset[str], new: frozenset[str]) -> _Finding:
    more, fewer = sorted(new - old), sorted(old - new)
    words = []
    if more:
        words.append(f"new {quantity.title}: {', '.join(more)}")
    if fewer:
        words.append(f"gone: {', '.join(fewer)}")
    return _Finding(status="worse" if more else "better", words="; ".join(words))


def _placement(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> _Finding:
    """Node by node where the model has the same ops; of another graph, the nodes that no delegate took, by their op."""
    if [op for op, _ in old] != [op for op, _ in new]:
        return _other_graph(old, new)
    moved = [
        (node, op, a, b, _rank(b) - _rank(a))
        for node, ((op, a), (_, b)) in enumerate(zip(old, new, strict=True))
        if a != b
    ]
    lost = [m for m in moved if m[4] < 0]
    named = ", ".join(f"node {node} {op} {a} -> {b}" for node, op, a, b, _ in (lost or moved)[:_NAMED])
    more = len(lost or moved) - _NAMED
    words = f"{len(lost or moved)} of {len(new)} nodes moved: {named}" + (f" and {more} more" if more > 0 else "")
    status: Status = "worse" if lost else "better" if any(m[4] > 0 for m in moved) else "same"
    return _Finding(status=status, words=words)


def _other_graph(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> _Finding:
    left = [Counter(op for op, place in places if _rank(place) == 0) for places in (old, new)]
    more, fewer = left[1] - left[0], left[0] - left[1]
    graph = f"another graph of {len(new)} nodes ({len(old)} before)"
    delegated = any(_rank(place) for _, place in (*old, *new))
    if not delegated or not (more or fewer):
        return _Finding(status="same", words=f"{graph}; as many nodes on the CPU")
    if more:
        ops = ", ".join(f"{count} {op}" for op, count in sorted(more.items()))
        return _Finding(status="worse", words=f"{graph}; more left on the CPU: {ops}")
    ops = ", ".join(f"{count} {op}" for op, count in sorted(fewer.items()))
    return _Finding(status="better", words=f"{graph}; no longer left on the CPU: {ops}")


def _rank(place: str) -> int:
    return _PLACE_RANK.get(place.lower(), 2)


def _shown(quantity: Quantity, value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return f"of {len(value)} nodes"
    return ", ".join(sorted(value)) or "none" if isinstance(value, frozenset) else str(value)


def _plain(value: Any) -> Any:
    """JSON of a figure; a placement as how many nodes ran where."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return dict(sorted(Counter(place for _, place in value).items()))
    return value
