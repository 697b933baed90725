"""What a night does not tell any more: cells that nobody plans, scores that are missing, regressions that nothing speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from harness.results.history import VerdictRow
from harness.results.record import CellKey, CellRecord
from harness.verdict.exact import cause_of, cause_words
from harness.verdict.past import CELL, Past
from harness.verdict.verdict import Verdict


def scores_gone(records: Iterable[CellRecord], past: Past) -> list[Verdict]:
    """Cells that ran and have no score any more. Answers that are no numbers are worse than any; a score that nobody asked for is
    only told.
    """
    found = []
    for record in records:
        reference = past.references.get((record.key, "score"))
        if reference is None or reference.score is None or record.score is not None or not record.ran:
            continue
        odd = any(f.code == "not-a-number" and "score = " in f.what for f in record.findings)
        if not odd and (record.key, "score") in past.opened:
            continue  # it stays open
        title = "accuracy" if reference.accuracy is not None else (reference.metric or "score")
        why = "not a number" if odd else "none: there were no labels, or no metric"
        words = f"{title} {reference.score:.4f} -> {why}"
        found.append(
            Verdict(
                key=record.key,
                quantity="score",
                status="worse" if odd else "vanished",
                gates=odd,
                reason=words + cause_words(past.previous.get(record.key) or reference, record),
                numbers={"before": reference.score, "after": None},
                cause=cause_of(past.previous.get(record.key) or reference, record),
                reference=reference.run,
            )
        )
    return found


def vanished(done: set[CellKey], planned: Sequence[CellKey], past: Past, run: str) -> list[Verdict]:
    """Cells that the last night planned and this one does not; and those that are back."""
    tonight = set(planned)
    same_but_data = {replace(key, dataset="") for key in (*done, *tonight)}
    found = [
        Verdict(
            key=key,
            quantity=CELL,
            status="vanished",
            reason="the last night of this series planned it, this one does not",
            since=run,
            reference=past.nights[-1].run,
        )
        for key in sorted(past.planned - tonight - done, key=lambda key: key.text_with_seed)
        if replace(key, dataset="") not in same_but_data and (key, CELL) not in past.opened
    ]
    back = [
        Verdict(
            key=key,
            quantity=CELL,
            status="better",
            gates=False,
            reason=f"it is back; it was gone since run {since_of(row)}",
            numbers={"fixed": True},
        )
        for (key, quantity), row in past.opened.items()
        if quantity == CELL and key in done
    ]
    return [*found, *back]


def carried(past: Past, judged: set[tuple[CellKey, str]]) -> list[Verdict]:
    """Open regressions that nothing tonight speaks of: they stay open."""
    found = []
    for (key, quantity), row in past.opened.items():
        if (key, quantity) in judged:
            continue
        told = Verdict.from_json({**row.data, "key": _plain_key(key)})
        reason = str(row.data.get("reason")).partition("; not measured")[0]
        found.append(
            replace(
                told,
                since=since_of(row),
                reason=f"{reason}; not measured tonight, open since run {since_of(row)}",
                numbers={**told.numbers, "carried": True},
            )
        )
    return found


def _plain_key(key: CellKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__dataclass_fields__}


def since_of(opened: VerdictRow) -> str:
    """The run that a stored regression began with."""
    return str(opened.data.get("since") or opened.run)
