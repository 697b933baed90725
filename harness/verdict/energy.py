"""Energy of an inference: by the intervals of one instrument. Figures of two instruments are never compared.

A figure tells how far its own windows scatter, not how far nights do. So a change beyond both intervals and beyond what nights
usually do is a suspect, until old and new artifact ran side by side under the instrument (`harness.nightly.confirm`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from harness.results.record import CellRecord
from harness.verdict.epoch import changes, since_text
from harness.verdict.exact import cause_of
from harness.verdict.latency import Evidence
from harness.verdict.screen import LEAST, POWER_SIGMAS, PRIOR_SCALE, SUSPECT_SIGMAS
from harness.verdict.verdict import Status, Verdict

_NOBODY = "; nobody measured the accepted artifact beside it"
#: standard deviations from the middle of a 95 % interval to its end
_Z95 = 1.96


@dataclass(frozen=True, kw_only=True)
class EnergySuspect:
    """A cell whose energy rose beyond what its intervals and nights explain.

    Attributes:
        before: the record of the level; its artifact is the old side of a confirmation.
        after: tonight's.
        change: ln of the ratio.
    """

    before: CellRecord
    after: CellRecord
    change: float

    @property
    def same_bytes(self) -> bool:
        """Whether both are one artifact."""
        return self.before.artifact_sha256 == self.after.artifact_sha256


def energy_suspect(before: CellRecord, after: CellRecord) -> EnergySuspect | None:
    """The suspect that `judge_energy` speaks of; None where there is none."""
    found = judge_energy(before, after)
    if found is None or found.status != "suspect":
        return None
    return EnergySuspect(before=before, after=after, change=math.log1p(found.numbers["change"]))


def conclude_energy(verdict: Verdict, evidence: Evidence | None, run: str) -> Verdict:
    """The verdict of a suspect by what its board gave.

    Args:
        verdict: of `judge_energy`, a suspect.
        evidence: ln of the energies of fresh sessions; None: nobody asked the board.
        run: tonight's, which an open regression begins with.
    """
    look = None if evidence is None else evidence.look
    if evidence is None or look is None:
        problem = evidence.problem if evidence is not None else None
        return verdict if problem is None else replace(verdict, reason=f"{verdict.reason}: {problem}")
    told = verdict.reason.removesuffix(_NOBODY)
    beside = (
        f"{look.sessions} fresh sessions of it beside {look.sessions} of the accepted artifact's (run {verdict.reference}) in "
        f"random order under the instrument: {math.expm1(look.change):+.1%}, p = {look.p:.2g}"
    )
    numbers = {
        **verdict.numbers,
        "p": look.p,
        "alpha": look.alpha,
        "confirmed_change": math.expm1(look.change),
        "old_nj": [round(math.exp(y), 3) for y in evidence.old],
        "new_nj": [round(math.exp(y), 3) for y in evidence.new],
    }
    if look.state == "confirmed":
        words = f"{told}; this artifact takes more energy; {beside}"
        return replace(verdict, status="worse", gates=True, reason=words, numbers=numbers, cause="artifact", since=run)
    return replace(verdict, status="same", gates=True, reason=f"{told}, and not confirmed: {beside}", numbers=numbers)


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
        words += f"{epoch}, beyond {math.expm1(threshold):.1%}{_NOBODY}"
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
