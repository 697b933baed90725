"""A cell's quality stands in its record, beside its latency in every table, and judges nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.boards.surroundings import Reading
from harness.judge.cell import judge
from harness.reports.values import latency_text, surroundings_text
from harness.run.measurement import FurtherStart
from harness.verdict.quantities import BY_NAME, TIMING_FINDINGS
from tests.judge.facts import CALM, FLAT, context, measured, model

BUSY = replace(CALM, busy_cpu_ns=640_000_000, preempted=40)
HOT = replace(CALM, simulated=True, after=Reading(cooling_state=3, temperature_c=92.0, under_voltage=True))


def record(*arounds, **where):
    benches = [replace(measured().bench, samples_ns=FLAT, surroundings=around) for around in arounds]
    further = tuple(FurtherStart(bench=bench) for bench in benches[1:])
    return judge(measured(bench=benches[0], further=further), model(), context(**where))


def test_a_quiet_cell_says_so_beside_its_latency():
    found = record(CALM, CALM, CALM)
    assert (found.quality, found.sensors, found.findings) == ("quiet", "board", [])
    assert "(n=1200, 3 starts, quiet)" in latency_text(found)
    assert surroundings_text(found) == "quiet: other processes 2%, governor performance"


def test_a_busy_machine_makes_a_noisy_cell_with_its_figures_and_an_info():
    found = record(BUSY, BUSY, CALM)
    assert found.quality == "noisy" and found.preempted == 80 and found.other_cpu_share > 0.3
    assert [(f.code, f.severity) for f in found.findings] == [("noisy-neighbour", "info")]
    assert "3 starts, noisy)" in latency_text(found)


def test_a_throttled_board_and_a_weak_supply_are_warnings():
    found = record(CALM, HOT)
    assert (found.quality, found.sensors, found.temperature_max_c) == ("throttled", "simulated", 92.0)
    assert [(f.code, f.severity) for f in found.findings] == [("throttled", "warning"), ("under-voltage", "warning")]
    assert "92 °C" in found.findings[0].what and "sensors simulated" in surroundings_text(found)


@pytest.mark.parametrize("basis", ["guest-instructions"])
def test_a_count_has_no_quality(basis):
    assert record(BUSY, BUSY, time_basis=basis).quality is None


def test_a_record_from_before_anybody_looked_has_none():
    found = record(None, None)
    assert (found.quality, found.drift, found.sensors, surroundings_text(found)) == (None, None, None, "")


def test_no_finding_made_from_times_is_compared_between_nights():
    hot = record(HOT, replace(BUSY, before=Reading(frequency_hz=1), after=Reading(frequency_hz=9)))
    assert {f.code for f in hot.findings} <= TIMING_FINDINGS
    assert BY_NAME["findings"].value(hot) == frozenset() == BY_NAME["errors"].value(hot)
