"""Energy of a cell's inference, as its instrument measured it. It never changes an outcome."""

from __future__ import annotations

from harness.core.finding import Finding
from harness.measure.energy import gross_nj, net_nj
from harness.results.record import CellRecord
from harness.run.measurement import Measurement


def note_energy(record: CellRecord, measurement: Measurement) -> None:
    """Adds the figures, or a finding that says why there are none."""
    if measurement.energy_failed is not None:
        record.findings.append(
            Finding(
                code="energy-not-measured",
                severity="warning",
                where=record.key.text,
                what=f"there is no energy: {measurement.energy_failed}",
                fix="all other figures stand; see docs/guides/energy.md",
            )
        )
    facts = measurement.energy
    if facts is None:
        return
    gross, net = gross_nj(facts), net_nj(facts)
    record.energy_nj, record.energy_low_nj, record.energy_high_nj = gross.median, gross.low, gross.high
    record.energy_net_nj, record.energy_net_low_nj, record.energy_net_high_nj = net.median, net.low, net.high
    record.energy_rest_w = facts.rest_w
    record.energy_instrument = f"{facts.instrument}, {facts.rail}"
    record.energy_rail, record.energy_rate_hz = facts.rail, facts.rate_hz
    record.energy_windows = len(facts.windows)
    if net.median <= 0:
        record.findings.append(
            Finding(
                code="energy-not-above-rest",
                severity="warning",
                where=record.key.text,
                what=f"the board took no more while it worked than at rest ({facts.rest_w:.3g} W)",
                fix="is the meter on this board's supply, and is its rate high enough?",
            )
        )
