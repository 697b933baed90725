"""Energy of a cell: the instruments that come with the harness, and what they do when they fail in the middle."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.boards.base import BenchResult
from harness.core.errors import UserInputError
from harness.measure.energy import gross_nj, net_nj
from harness.meters.base import MeterPlace, MeterProfile
from harness.meters.csv_stream import CsvMeterProfile
from harness.meters.power_files import HwmonProfile, IioProfile
from harness.meters.registry import meter_types
from harness.meters.simulated import SimulatedProfile
from harness.run.cell import new_measurement
from harness.run.energy import drive_energy
from harness.run.measurement import Measurement
from tests.support import tiny_model
from tests.support.fake_board import FakeWorker

QUICK = {"seconds": 0.06, "windows": 3, "idle_s": 0.06}
#: a pretend instrument: 1 W, for good or until it is told to stop; `{...}` are put in
SCRIPT = """
import sys, time
print("# a pretend instrument")
print("t;mW;gate")
begun = time.monotonic()
step = 0
while True:
    step += 1
    time.sleep(0.002)
    now = time.monotonic() - begun
    if now > STOPS: sys.exit("overcurrent")
    print(f"{now * 1e6:.0f};{1000 + 0.001 * (step % 2)};{GATE}", flush=True)
"""


class Looping(FakeWorker):
    """10 inferences of a millisecond each, whatever was asked for."""

    def bench(self, plan):
        time.sleep(plan.min_ns / 1e9)
        samples = np.full(8, round(plan.min_ns / 10), dtype=np.int64)
        return BenchResult(samples_ns=samples, warmup_ns=samples[:2], warmup_stable=True)


def measured(profile: MeterProfile, place: MeterPlace | None = None) -> Measurement:
    measurement = new_measurement()
    worker = Looping(fault={}, outputs=np.zeros((1, 1)))
    place = place or MeterPlace(device="board")
    drive_energy(worker, profile, lambda: profile.make_meter(place), measurement, lambda text: None)
    return measurement


def csv_meter(tmp_path: Path, *, stops: str = "1e9", gate: str = "int(now * 50) % 2", **changes) -> CsvMeterProfile:
    script = tmp_path / "meter.py"
    script.write_text(SCRIPT.replace("STOPS", stops).replace("GATE", gate))
    block = {
        "type": "csv",
        "instrument": "pretend 1",
        "rail": "3V3",
        "command": [sys.executable, str(script)],
        "columns": {"time": "t", "power": "mW", "mark": "gate"},
        "scale": {"time": 1e-6, "power": 1e-3},
        "separator": ";",
        **QUICK,
        **changes,
    }
    return CsvMeterProfile.model_validate_json(json.dumps(block))


def test_a_simulated_meter_finds_its_own_truth():
    profile = SimulatedProfile(
        type="simulated", idle_w=0.2, active_w=0.7, noise=0.0, step_w=0.0, rate_hz=10_000, **QUICK
    )
    found = measured(profile)
    assert found.energy_failed is None and found.energy is not None
    each_j = [w.duration_s / w.inferences for w in found.energy.windows]
    assert net_nj(found.energy).median == pytest.approx(0.5e9 * np.median(each_j), rel=0.02)
    # An inference of a tenth of the loop takes at rest what rest takes in that time.
    assert gross_nj(found.energy).median - net_nj(found.energy).median == pytest.approx(0.2e9 * 0.006, rel=0.02)
    assert (found.energy.instrument, found.energy.rail) == ("simulated", "whole board")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"stops_after_s": 0.25}, "stopped or left a gap during a loop"), ({"range_w": 0.6}, "range was too small during a loop"),
     ({"range_w": 0.15}, "range was too small at rest")],
)  # fmt: skip
def test_a_meter_that_fails_in_the_middle_costs_the_energy_alone(changes, words):
    profile = SimulatedProfile(type="simulated", idle_w=0.2, active_w=0.7, **QUICK, **changes)
    found = measured(profile)
    assert found.energy is None and words in found.energy_failed


def test_a_program_that_prints_csv(tmp_path):
    found = measured(csv_meter(tmp_path))
    assert found.energy_failed is None, found.energy_failed
    assert found.energy.rest_w == pytest.approx(1.0, rel=1e-3) and 100 < found.energy.rate_hz < 600
    assert abs(net_nj(found.energy).median) < 1e5 < gross_nj(found.energy).median == pytest.approx(6e6, rel=0.01)
    assert (found.energy.instrument, found.energy.rail) == ("pretend 1", "3V3")


def test_the_window_that_a_meter_marks(tmp_path):
    found = measured(csv_meter(tmp_path, window="mark", seconds=0.2))
    assert found.energy_failed is None, found.energy_failed
    assert all(0.05 < w.duration_s < 0.15 for w in found.energy.windows)
    nothing = measured(csv_meter(tmp_path, window="mark", gate="0"))
    assert "marked no sample" in nothing.energy_failed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stops": "0.12"}, "stopped or left a gap"),
        ({"stops": "-1"}, "its program has ended: overcurrent"),
        ({"columns": {"power": "W"}}, "no column W"),
        ({"range": {"power": 1.0}}, "range was too small at rest"),
        ({"command": ["no-such-meter"]}, "there is no program no-such-meter"),
    ],
)
def test_a_program_that_gives_no_good_samples_is_told_in_words(tmp_path, changes, words):
    found = measured(csv_meter(tmp_path, **changes))
    assert found.energy is None and words in found.energy_failed


@pytest.mark.parametrize(("kind", "text", "watts"), [(HwmonProfile, "2500000", 2.5), (IioProfile, "1250", 2.5)])
def test_power_files_of_the_kernel(tmp_path, kind, text, watts):
    """hwmon: microwatts. IIO: milliwatts, raw times its scale."""
    name = "power1_input" if kind is HwmonProfile else "in_power0_raw"
    (tmp_path / name).write_text(text)
    if kind is IioProfile:
        (tmp_path / "in_power0_scale").write_text("2.0\n")
    block = {"type": kind.model_fields["type"].annotation.__args__[0], "power": str(tmp_path / name), "rate_hz": 500}
    found = measured(kind.model_validate({**block, **QUICK}))
    assert found.energy_failed is None, found.energy_failed
    assert found.energy.rest_w == pytest.approx(watts)
    gone = measured(kind.model_validate({**block, **QUICK, "power": str(tmp_path / "gone")}))
    assert "its program has ended" in gone.energy_failed and "gone" in gone.energy_failed


def test_a_record_says_what_was_measured_and_by_what(write_profile, devices_dir, runtime_cache, harness_cli, tmp_path):
    (tmp_path / "m.tflite").write_bytes(tiny_model.int8_dense())
    text = (Path(__file__).parents[2] / "devices" / "host-litert.yaml").read_text()
    block = "meter: {type: simulated, seconds: 0.1, windows: 6, idle_s: 0.1, rail: VDD}\n"
    write_profile("metered", text.replace("name: host-litert", "name: metered") + block)
    arguments = ("measure", tmp_path / "m.tflite", "--device", "metered", "--backend", "cpu", "--samples", "4")
    arguments = (*arguments, "--devices-dir", devices_dir)
    shown = harness_cli(*arguments, "--results", tmp_path / "results", "--json", tmp_path / "cells.json")
    assert shown.code == 0, shown.err
    (cell,) = json.loads((tmp_path / "cells.json").read_text())["cells"]
    assert cell["energy_instrument"] == "simulated, VDD" and cell["energy_rail"] == "VDD"
    assert 0 < cell["energy_low_nj"] <= cell["energy_nj"] <= cell["energy_high_nj"] and cell["energy_windows"] == 6
    assert cell["energy_net_nj"] > 0 and 900 < cell["energy_rate_hz"] < 1100
    assert cell["energy_rest_w"] == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("{seconds: 1}", "'meter.type' is missing"),
        ("{type: joulescope}", "'hwmon', 'iio', 'csv', 'simulated'"),
        ("{type: csv, command: [x], columns: {current: I}}", "a `voltage` and a `current`"),
        ("{type: csv, command: [x], columns: {power: P}, window: mark}", "mark"),
        ("{type: hwmon, power: ../power1_input}", "absolute path"),
        ("{type: hwmon, power: /sys/p, voltage: /sys/v, current: /sys/c}", "`power` file, or a `voltage`"),
    ],
)
def test_a_wrong_block_is_told_by_its_field(write_profile, devices_dir, block, words):
    from harness.boards.resolve import get_profile

    text = (Path(__file__).parents[2] / "devices" / "host-litert.yaml").read_text()
    write_profile("metered", text.replace("name: host-litert", "name: metered") + f"meter: {block}\n")
    with pytest.raises(UserInputError) as caught:
        get_profile("metered", devices_dir)
    assert "meter" in str(caught.value) and words in str(caught.value)


def test_packages_can_bring_meters():
    assert meter_types()[:4] == ["hwmon", "iio", "csv", "simulated"]
