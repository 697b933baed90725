"""Energy of an inference: by the intervals of one instrument. Figures of two instruments are never compared.

A figure tells how far its own windows scatter, not how far nights do; that takes old and new artifact side by side under the
instrument. So a change beyond both intervals and beyond what nights usually do is a suspect, which blocks nothing.
"""

from __future__ import annotations

import math

from harness.results.record import CellRecord
from harness.verdict.epoch import changes, since_text
from harness.verdict.exact import cause_of
from harness.verdict.screen import LEAST, POWER_SIGMAS, PRIOR_SCALE, SUSPECT_SIGMAS
from harness.verdict.verdict import Status, Verdict

#: standard deviations from the middle of a 95 % interval to its end
_Z95 = 1.96


def judge_energy(before: CellRecord, after: CellRecord, *, previous: CellRecord | None = None) -> Verdict | None:
    """The verdict of a cell's energy; None where neither record has one, or the later one did not run.

    Args:
        before: of the level.
        previous: the record before `after`, which says what changed in between; None: `before` is it.
    """
    old, new = _figure(before), _figure(after)
    if (old is None and new is None) or after.outcome == "unsupported":
        return None
    if new is None:
        return _plain(
            before, after, "vanished", "no energy tonight: no instrument measured, or what it gave is no number"
        )
    told = f"{energy_text(new)} ({after.energy_instrument or 'an unnamed instrument'})"
    if old is None:
        return _plain(before, after, "first", f"energy {told}, measured for the first time: nothing to compare with")
    if before.energy_instrument is None or before.energy_instrument != after.energy_instrument:
        words = f"energy {told}; the level was measured by {before.energy_instrument or 'an unnamed instrument'}"
        return _plain(before, after, "first", f"{words}: two instruments are not compared, and a new level begins")
    return _compared(before, after, old, new, previous or before)


def _compared(before: CellRecord, after: CellRecord, old: float, new: float, previous: CellRecord) -> Verdict:
    change = math.log(new / old)
    width = math.sqrt(_spread(before) ** 2 + _spread(after) ** 2 + 2 * PRIOR_SCALE**2)
    threshold = max(LEAST, SUSPECT_SIGMAS * width)
    detectable = math.expm1(threshold + POWER_SIGMAS * width)
    words = f"energy {energy_text(old)} -> {energy_text(new)} ({math.expm1(change):+.1%}), by {after.energy_instrument}"
    status: Status = "same" if abs(change) <= threshold else "suspect" if change > 0 else "better"
    if status == "same":
        words += (
            f": within both intervals and what nights usually do; a change of {detectable:.1%} would have been seen"
        )
    else:
        epoch = since_text(changes(previous.fingerprint, after.fingerprint))
        words += f"{epoch}, beyond {math.expm1(threshold):.1%}; nobody measured the accepted artifact beside it"
    return Verdict(
        key=after.key,
        quantity="energy",
        status=status,
        gates=status == "same",
        reason=words,
        numbers={"before_nj": old, "after_nj": new, "change": math.expm1(change), "threshold": math.expm1(threshold)},
        cause=None if status == "same" else cause_of(previous, after),
        reference=before.run,
        detectable=detectable,
    )


def energy_text(nj: float) -> str:
    """An energy with three digits and the unit that leaves it below 1,000: `640 nJ`, `32.8 µJ`, `1.24 mJ`."""
    for unit_nj, unit in ((1.0, "nJ"), (1e3, "µJ"), (1e6, "mJ")):
        if nj < 999.5 * unit_nj:
            return f"{nj / unit_nj:.3g} {unit}"
    return f"{nj / 1e9:.3g} J"


def _figure(record: CellRecord) -> float | None:
    value = record.energy_nj
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _spread(record: CellRecord) -> float:
    """The standard error of ln of the figure, by its interval; 0 where it has none."""
    low, high = record.energy_low_nj, record.energy_high_nj
    if low is None or high is None or not 0 < low <= high or not math.isfinite(high):
        return 0.0
    return (math.log(high) - math.log(low)) / 2 / _Z95


def _plain(before: CellRecord, after: CellRecord, status: Status, reason: str) -> Verdict:
    return Verdict(key=after.key, quantity="energy", status=status, gates=False, reason=reason, reference=before.run)
