"""What disturbed a timing, from the kernel's counters, the sensors and the samples themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.boards.surroundings import Reading, Surroundings
from harness.measure.disturbance import disturbance, under_voltage
from harness.measure.drift import trend
from tests.judge.facts import CALM, FLAT

FAST, CAPPED = Reading(frequency_hz=1_800_000_000), Reading(frequency_hz=1_000_000_000)


def of(*arounds: Surroundings | None, samples: np.ndarray = FLAT):
    return disturbance([(samples, around) for around in arounds])


def codes(found) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_three_calm_starts_are_quiet_and_say_by_how_much():
    found = of(CALM, CALM, CALM)
    assert (found.quality, found.reasons, found.drift) == ("quiet", (), 0.0)
    assert found.others == pytest.approx(10 / 666) and found.stolen == 0.0 and found.waited < 0.001


def test_a_board_that_tells_nothing_has_no_quality():
    assert of(None, None).quality is None and disturbance([]).quality is None


def test_one_disturbed_start_of_three_is_outvoted_and_two_are_not():
    busy = replace(CALM, busy_cpu_ns=640_000_000)
    assert of(CALM, busy, CALM).quality == "quiet" and of(busy, CALM, busy).quality == "noisy"
    assert codes(of(CALM, busy, CALM)) == ["noisy-neighbour"]
    assert of(busy, busy, CALM, CALM).quality == "noisy" and of(busy, busy, CALM, CALM, CALM).quality == "quiet"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"busy_cpu_ns": 640_000_000}, "other processes took 47% of the processors' time"),
        ({"steal_ns": 60_000_000}, "a hypervisor took 9% of the processors' time"),
        ({"waited_ns": 30_000_000}, "waited for a processor for 9% of the time"),
    ],
)
def test_each_kind_of_neighbour_is_named_with_its_share(changes, words):
    found = of(replace(CALM, **changes))
    assert found.quality == "noisy" and words in found.reasons[0].words


def test_ticks_of_the_kernel_are_no_neighbour_in_a_short_timing():
    short = replace(CALM, wall_ns=17_000_000, own_cpu_ns=17_000_000, busy_cpu_ns=40_000_000)
    assert of(short).quality == "quiet"


def test_a_clock_that_moves_is_noise_but_other_kinds_of_processors_are_not_compared():
    moved = of(replace(CALM, before=FAST, after=replace(CAPPED, governor="ondemand")))
    assert moved.quality == "noisy" and codes(moved) == ["clock-moved"] and moved.frequency_min_hz == 1_000_000_000
    assert "between 1,000 and 1,800 MHz" in moved.reasons[0].words
    big, little = replace(FAST, frequency_max_hz=2), replace(CAPPED, frequency_max_hz=1)
    assert of(replace(CALM, before=big, after=little)).quality == "quiet"
    slightly = replace(FAST, frequency_hz=1_750_000_000)
    assert of(replace(CALM, before=FAST, after=slightly)).quality == "quiet"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"throttle_events": 4}, {"throttle_events": 6}, "throttled 2 times"),
        ({}, {"cooling_state": 2}, "state 2"),
        ({"firmware_flags": 0}, {"firmware_flags": 0x4}, "it was throttled"),
        ({"firmware_flags": 0}, {"firmware_flags": 0x10000}, "under-voltage"),
        ({"under_voltage": False}, {"under_voltage": True}, "the supply's voltage was too low"),
        ({"frequency_limit_hz": 1_800_000_000}, {"frequency_limit_hz": 1_200_000_000}, "from 1,800 to 1,200 MHz"),
    ],
)
def test_a_processor_that_is_held_back_in_any_start_makes_the_cell_throttled(before, after, words):
    held = replace(CALM, before=Reading(**before), after=Reading(**after, temperature_c=91.0))
    found = of(CALM, CALM, held)
    assert found.quality == "throttled" and codes(found) == ["throttled"]
    assert words in found.reasons[0].words and found.temperature_max_c == 91.0


@pytest.mark.parametrize(
    "reading",
    [
        {"throttle_events": 4},
        {"cooling_state": 0},
        {"firmware_flags": 0x50000},
        {"under_voltage": True},
        {"frequency_limit_hz": 1_200_000_000, "frequency_max_hz": 1_800_000_000},
    ],
)
def test_what_was_before_the_timing_or_is_set_by_the_user_is_not_held_against_it(reading):
    still = Reading(**reading)
    assert of(replace(CALM, before=still, during=(still,), after=still)).quality == "quiet"


def test_an_alarm_of_the_supply_since_the_board_started_is_told_apart():
    assert under_voltage([replace(CALM, after=Reading(under_voltage=True))])
    assert under_voltage([None, replace(CALM, after=Reading(firmware_flags=0x10000))])
    assert not under_voltage([CALM, None])


def test_simulated_sensors_are_said_to_be_so():
    assert of(CALM, replace(CALM, simulated=True)).simulated and not of(CALM).simulated


# -- drift


def test_a_start_that_gets_slower_drifts_by_as_much():
    slower = (FLAT * np.linspace(1.0, 1.06, len(FLAT))).astype(np.int64)
    assert trend(slower) == pytest.approx(0.05, abs=0.01)
    found = of(CALM, CALM, samples=slower)
    assert found.quality == "noisy" and codes(found) == ["latency-drift"] and found.drift == trend(slower)
    assert trend(slower[::-1]) == pytest.approx(-0.05, abs=0.01)


def test_noise_outliers_and_a_slow_first_block_are_no_drift():
    rng = np.random.default_rng(1)
    for _ in range(200):
        noisy = 1e6 * np.exp(0.02 * rng.standard_normal(200)) * np.where(rng.random(200) < 0.05, 4.0, 1.0)
        assert trend(noisy.astype(np.int64)) == 0.0
    step = FLAT.copy()
    step[:50] *= 2
    assert trend(step) == 0.0


def test_few_samples_and_a_clock_that_stands_still_tell_no_trend():
    assert trend(FLAT[:31]) is None and trend(np.zeros(64, np.int64)) is None and trend(np.full(64, 7)) == 0.0
