"""What disturbed a cell's timing: other processes, a hypervisor, a clock that moved, a board that was held back, drift.

One word per cell comes of it, its quality:

    throttled   heat, current or supply held the processor back in one of its starts: the figure is not the board's
    noisy       at least half of its starts were disturbed otherwise: the figure is less sure than its samples say
    quiet       neither

Bounds are those of what can be told: the kernel counts all processes' time in ticks of 10 ms, which is 1 % of a second on
two processors, and between two unchanged nights a busy machine moves a median twice as far as a quiet one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.boards.surroundings import Reading, Surroundings
from harness.measure.drift import trend
from harness.results.sections import Quality

Code = Literal["noisy-neighbour", "clock-moved", "latency-drift", "throttled"]

#: share of all processors' time that other processes may take
MOST_OTHERS = 0.10
#: what the kernel's ticks may have counted wrongly of two processors in a start
_TICKS_NS = 20_000_000
#: share of a timing that a hypervisor may take of each processor, and that the timed process may wait for one
MOST_STOLEN, MOST_WAITED = 0.02, 0.02
#: ratio of the fastest to the slowest clock that was read
MOST_CLOCK_RATIO = 1.10
#: bits of a Raspberry Pi's flags: now, and since it started
_PI_NOW, _PI_SINCE = 0xF, 0xF0000
_PI_WORDS = {
    0: "under-voltage",
    1: "its clock was capped",
    2: "it was throttled",
    3: "it was at its soft limit of heat",
}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that disturbed a start: what kind, and in words."""

    code: Code
    words: str


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What disturbed a cell.

    Attributes:
        quality: None where nobody looked.
        reasons: of all starts, each once, what is told in words of the worst.
        others, stolen, waited: shares as the bounds above have them, over all starts; None: not told.
        preempted: involuntary context switches of the timed process, all starts together.
        drift: the largest of a start, as `trend` gives it.
        temperature_c, frequency_hz: (first, highest) and (lowest) of what was read.
    """

    quality: Quality | None = None
    reasons: tuple[Reason, ...] = ()
    others: float | None = None
    stolen: float | None = None
    waited: float | None = None
    preempted: int | None = None
    drift: float | None = None
    temperature_before_c: float | None = None
    temperature_max_c: float | None = None
    frequency_min_hz: int | None = None
    simulated: bool = False


def disturbance(starts: Sequence[tuple[np.ndarray, Surroundings | None]]) -> Disturbance:
    """What disturbed the starts of a cell.

    Args:
        starts: int64 [N] nanoseconds and what went on meanwhile, of each start that was timed, in their order.
    """
    told = [(samples, around) for samples, around in starts if around is not None]
    if not told:
        return Disturbance()
    each = [_reasons(samples, around) for samples, around in told]
    bad = sum(1 for reasons in each if reasons)
    throttled = any(reason.code == "throttled" for reasons in each for reason in reasons)
    quality: Quality = "throttled" if throttled else "noisy" if 2 * bad >= len(each) else "quiet"
    arounds = [around for _, around in told]
    readings = [reading for around in arounds for reading in around.readings]
    drifts = [drift for samples, _ in told if (drift := trend(samples)) is not None]
    heat = [r.temperature_c for r in readings if r.temperature_c is not None]
    return Disturbance(
        quality=quality,
        reasons=tuple({reason.code: reason for reasons in each for reason in reasons}.values()),
        others=_mean([others_share(around) for around in arounds]),
        stolen=_mean([stolen_share(around) for around in arounds]),
        waited=_mean([waited_share(around) for around in arounds]),
        preempted=sum(around.preempted for around in arounds),
        drift=max(drifts, key=abs, default=None),
        temperature_before_c=readings[0].temperature_c,
        temperature_max_c=max(heat, default=None),
        frequency_min_hz=min((r.frequency_hz for r in readings if r.frequency_hz), default=None),
        simulated=any(around.simulated for around in arounds),
    )


def others_share(around: Surroundings) -> float | None:
    """Processor time that other processes had, as a share of all processors' time."""
    if around.busy_cpu_ns is None or around.cpus is None:
        return None
    return max(around.busy_cpu_ns - around.own_cpu_ns, 0) / (around.wall_ns * around.cpus)


def stolen_share(around: Surroundings) -> float | None:
    """What a hypervisor took, as a share of all processors' time."""
    if around.steal_ns is None or around.cpus is None:
        return None
    return around.steal_ns / (around.wall_ns * around.cpus)


def waited_share(around: Surroundings) -> float | None:
    """How long the timed process was ready and had no processor, as a share of the timing; of several threads the sum."""
    return None if around.waited_ns is None else around.waited_ns / around.wall_ns


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


# -- one start ----------------------------------------------------------------------------------------------------------


def _reasons(samples: np.ndarray, around: Surroundings) -> list[Reason]:
    """What disturbed one start, gravest first."""
    found = [Reason(code="throttled", words=words) for words in _throttled(around)[:1]]
    found += [Reason(code="noisy-neighbour", words=words) for words in _neighbours(around)[:1]]
    # A clock that was held down has moved, too: that is told already.
    if not found and (words := _clock(around.readings)):
        found.append(Reason(code="clock-moved", words=words))
    drift = trend(samples)
    if drift:
        way = "longer" if drift > 0 else "shorter"
        words = f"an invoke took {abs(drift):.1%} {way} at the end of a start than at its beginning"
        found.append(Reason(code="latency-drift", words=words))
    return found


def _neighbours(around: Surroundings) -> list[str]:
    others, stolen, waited = others_share(around), stolen_share(around), waited_share(around)
    found = []
    doubt = _TICKS_NS / (around.wall_ns * (around.cpus or 1))
    if others is not None and others - doubt > MOST_OTHERS:
        found.append(f"other processes took {others:.0%} of the processors' time")
    if stolen is not None and stolen - doubt > MOST_STOLEN:
        found.append(f"a hypervisor took {stolen:.0%} of the processors' time")
    if waited is not None and waited > MOST_WAITED:
        found.append(f"the timed process waited for a processor for {waited:.0%} of the time")
    return found


def _clock(readings: Sequence[Reading]) -> str:
    """Tells of a clock that moved; processors of another kind, which a thread may have moved to, are not compared."""
    by_kind: dict[int | None, list[int]] = {}
    for reading in readings:
        if reading.frequency_hz:
            by_kind.setdefault(reading.frequency_max_hz, []).append(reading.frequency_hz)
    for clocks in by_kind.values():
        low, high = min(clocks), max(clocks)
        if high > MOST_CLOCK_RATIO * low:
            governor = next((r.governor for r in readings if r.governor), None)
            by = f" (governor {governor})" if governor else ""
            return f"the processor's clock moved between {low / 1e6:,.0f} and {high / 1e6:,.0f} MHz{by}"
    return ""


def _throttled(around: Surroundings) -> list[str]:
    """What says that the processor was held back."""
    readings, first, last = around.readings, around.before, around.after
    found = []
    if (rise := _rise(first.throttle_events, last.throttle_events)) > 0:
        found.append(f"the processor was throttled {rise} times while it was timed{_heat(readings)}")
    states = [r.cooling_state for r in readings if r.cooling_state]
    if states:
        found.append(f"the kernel's cooling held the processor back (state {max(states)}){_heat(readings)}")
    flags = 0
    for reading in readings:
        flags |= (reading.firmware_flags or 0) & _PI_NOW
    if first.firmware_flags is not None and last.firmware_flags is not None:
        flags |= (last.firmware_flags & ~first.firmware_flags & _PI_SINCE) >> 16
    if flags:
        words = ", ".join(text for bit, text in _PI_WORDS.items() if flags >> bit & 1)
        found.append(f"the board's firmware says: {words}{_heat(readings)}")
    if last.under_voltage and first.under_voltage is False:
        found.append("the supply's voltage was too low while it was timed")
    limits = [r.frequency_limit_hz for r in readings if r.frequency_limit_hz]
    if len(limits) > 1 and min(limits) < limits[0]:
        low, high = min(limits) / 1e6, limits[0] / 1e6
        found.append(f"the highest clock allowed fell from {high:,.0f} to {low:,.0f} MHz{_heat(readings)}")
    return found


def _rise(before: int | None, after: int | None) -> int:
    return 0 if before is None or after is None else after - before


def _heat(readings: Sequence[Reading]) -> str:
    heat = [r.temperature_c for r in readings if r.temperature_c is not None]
    return f", at {max(heat):.0f} °C" if heat else ""


def under_voltage(starts: Sequence[Surroundings | None]) -> bool:
    """Whether the supply's alarm was set, whenever since the board started."""
    readings = [reading for around in starts if around is not None for reading in around.readings]
    return any(r.under_voltage or (r.firmware_flags or 0) & 0x10001 for r in readings)
