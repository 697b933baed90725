"""What the agent reads of sensors and counters, under any root."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from agent.errors import Refused
from agent.runs import Runs
from agent.samples import Feed
from agent.sensors import Sensors
from agent.watch import MOST_LOOKS, Watch

from tests.support.sensors import PI, write_files

HOT = {
    "cpu": 3,
    "governor": "ondemand",
    "frequency_hz": 600_000_000,
    "frequency_limit_hz": 1_400_000_000,
    "frequency_max_hz": 1_500_000_000,
    "temperature_c": 81.25,
    "throttle_events": None,
    "cooling_state": 2,
    "firmware_flags": 0x50005,
    "under_voltage": True,
}


def test_a_hot_board_is_read_from_a_folder_and_from_a_list_alike(tmp_path: Path):
    there, listed = Sensors({"sysfs": write_files(tmp_path, PI)}), Sensors({"simulated": PI})
    assert there.reading(3) == listed.reading(3) == HOT
    assert there.simulated and listed.simulated and there.governor(3) == "ondemand"


def test_a_reading_is_of_now_and_of_the_processor_that_was_asked_for(tmp_path: Path):
    sensors = Sensors({"sysfs": write_files(tmp_path, PI)})
    sensors.reading(3)
    write_files(tmp_path, {"class/thermal/thermal_zone1/temp": "40000\n"})
    assert sensors.reading(3)["temperature_c"] == 40.0
    assert (sensors.reading(0)["governor"], sensors.reading(0)["frequency_hz"]) == (None, None)


def test_an_x86_processor_counts_how_often_it_was_throttled():
    files = {f"devices/system/cpu/cpu{n}/thermal_throttle/core_throttle_count": f"{n + 1}\n" for n in range(3)}
    assert Sensors({"simulated": {**files, "devices/system/cpu/cpufreq/x": "9"}}).reading()["throttle_events"] == 6


@pytest.mark.parametrize("files", [{}, {"class/thermal/thermal_zone0/temp": "N/A\n"}, {"class/hwmon/hwmon0/name": ""}])
def test_what_a_board_does_not_tell_is_none(files):
    reading = Sensors({"simulated": files}).reading()
    assert {name for name, value in reading.items() if value is not None} == {"cpu"}


def test_the_boards_own_sensors_are_not_simulated_and_a_wrong_root_is_refused(tmp_path: Path):
    assert not Sensors().simulated and not Sensors({"sysfs": "/sys"}).simulated
    with pytest.raises(Refused) as caught:
        Sensors({"sysfs": str(tmp_path / "nowhere")})
    assert caught.value.args[0] == "setting" and "nowhere" in caught.value.args[1]


# -- while timing


class Slow:
    """An interpreter that takes a tenth of a millisecond."""

    def invoke(self) -> None:
        time.sleep(0.0001)

    def set_tensor(self, index, value) -> None:
        pass


def watched(ns: int, **settings) -> tuple[int, dict]:
    runs = Runs(np, Slow(), -1, watch=Watch(Sensors(settings or None)))
    runs.feeds = [Feed(0, np.zeros((1, 1)), None)]
    samples, around = runs.watched(2, ns, 10**12)
    return len(samples), around


def test_a_timing_is_looked_at_before_during_and_after():
    count, around = watched(150_000_000, simulated=PI)
    assert count > 100 and 1 <= len(around["during"]) <= MOST_LOOKS and around["simulated"] is True
    assert around["before"]["temperature_c"] == around["after"]["temperature_c"] == 81.25
    assert around["wall_ns"] >= 150_000_000


def test_a_short_timing_is_not_disturbed_by_looks():
    assert watched(1_000_000)[1]["during"] == []


def burn(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def test_the_kernels_counters_tell_other_processes_from_the_timed_one():
    context = multiprocessing.get_context("fork")
    neighbours = [context.Process(target=burn, args=(20.0,)) for _ in range(2)]
    for neighbour in neighbours:
        neighbour.start()
    try:
        _, around = watched(300_000_000)
    finally:
        for neighbour in neighbours:
            neighbour.terminate()
            neighbour.join()
    # It sleeps nearly all of the time; the neighbours never do.
    assert around["own_cpu_ns"] < around["wall_ns"] / 2
    assert around["busy_cpu_ns"] - around["own_cpu_ns"] > around["wall_ns"] / 4
    assert around["cpus"] >= 1 and around["yielded"] > 100
