"""What disturbed a cell's timing, as its quality and as findings; and how long it waited for a cooler board."""

from __future__ import annotations

from harness.core.finding import Finding, Severity
from harness.measure.disturbance import disturbance, under_voltage
from harness.results.record import CellRecord
from harness.run.measurement import Measurement

_FIXES = {
    "throttled": "cool the board or give it a stronger supply, and let cells wait for a cool one (`wait` in the profile)",
    "noisy-neighbour": "stop the other processes, or bind the backend to processors that they do not use (`affinity`)",
    "clock-moved": "set the governor to `performance` while measuring",
    "latency-drift": "pin the clock, let the board cool, and look at the raw samples",
}


def note_disturbance(record: CellRecord, measurement: Measurement) -> None:
    """Adds the quality of a cell's latency, the figures behind it, and what disturbed it.

    A count of instructions is the same on the busiest machine: it has no quality.
    """
    benches = [measurement.bench, *(start.bench for start in measurement.further)]
    starts = [(b.samples_ns, b.surroundings) for b in benches if b is not None and len(b.samples_ns)]
    if starts and record.time_basis != "guest-instructions":
        found = disturbance(starts)
        record.quality = found.quality
        record.other_cpu_share, record.steal_share, record.wait_share = found.others, found.stolen, found.waited
        record.preempted, record.drift = found.preempted, found.drift
        record.frequency_min_hz = found.frequency_min_hz
        record.temperature_before_c, record.temperature_max_c = found.temperature_before_c, found.temperature_max_c
        if found.quality is not None:
            record.sensors = "simulated" if found.simulated else "board"
        for reason in found.reasons:
            severity: Severity = "warning" if reason.code == "throttled" else "info"
            _note(record, reason.code, severity, f"while it was timed, {reason.words}", _FIXES[reason.code])
        if under_voltage([around for _, around in starts]):
            what = "the supply's voltage has been too low since the board was started"
            _note(record, "under-voltage", "warning", what, "use a stronger supply and a shorter cable")
    _note_cooling(record, measurement)


def _note_cooling(record: CellRecord, measurement: Measurement) -> None:
    """Tells how long the cell waited, and whether that was of use."""
    cooling = measurement.cooling
    if cooling is None:
        return
    record.cooled_s = round(cooling.waited_s, 3)
    if cooling.last_c is None:
        what = (
            f"the profile wants a board below {cooling.below_c:g} °C, and this one tells no temperature: nothing waited"
        )
        _note(record, "no-temperature", "warning", what, "take `wait` out of the profile")
    elif cooling.last_c >= cooling.below_c:
        wanted = f"{cooling.below_c:g} °C were wanted"
        what = f"after {cooling.waited_s:.0f} s the board was still at {cooling.last_c:.1f} °C; {wanted}"
        _note(record, "still-hot", "warning", what, "cool the board, or give it more time (`wait: {at_most_s: ...}`)")


def _note(record: CellRecord, code: str, severity: Severity, what: str, fix: str) -> None:
    record.findings.append(Finding(code=code, severity=severity, where=record.key.text, what=what, fix=fix))
