"""Quantities that only inform: told when they move far, confirmed by nothing."""

from __future__ import annotations

from harness.results.record import CellRecord
from harness.verdict.quantities import QUANTITIES, change_text
from harness.verdict.verdict import Verdict

#: relative change from which on each is told, and the least absolute one
_TOLD_FROM: dict[str, tuple[float, float]] = {"cycles": (0.02, 0.0), "load": (0.5, 2e6), "memory": (0.1, 512 << 10)}


def watch(before: CellRecord, after: CellRecord) -> list[Verdict]:
    """The verdicts of what moved far; of the rest there is none."""
    found = []
    for quantity in QUANTITIES:
        if quantity.test != "watched":
            continue
        old, new = quantity.value(before), quantity.value(after)
        if not old or new is None or before.time_basis != after.time_basis:
            continue
        share, least = _TOLD_FROM[quantity.name]
        if abs(new - old) < max(share * old, least):
            continue
        by = f"{(new - old) / old:+.0%}"
        found.append(
            Verdict(
                key=after.key,
                quantity=quantity.name,
                status="suspect" if new > old else "better",
                gates=False,
                reason=f"{quantity.title} {change_text(quantity, old, new)} ({by}); one figure each, not confirmed",
                numbers={"before": old, "after": new},
                reference=before.run,
            )
        )
    return found
