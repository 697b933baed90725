"""Sensors and counters from a board to its record: read by the real agent, checked where they come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.boards.base import BackendSpec, BenchPlan, Deadlines
from harness.boards.linux.answers import MalformedAnswer
from harness.boards.linux.board import AgentOptions, LinuxBoard
from harness.boards.linux.twin import qemu_twin
from harness.boards.resolve import get_profile
from harness.boards.surroundings import CoolDown
from harness.core.errors import StableDeviceError, UserInputError
from harness.links.base import LocalLink, make_link
from tests.support.scripted_agent import changed, scripted_board
from tests.support.sensors import PI, write_files

PLAN = BenchPlan(min_samples=50, min_ns=120_000_000, max_ns=2_000_000_000, warmup_max_ns=50_000_000)
CPU = BackendSpec(name="cpu", affinity=(0,))


def local_board(python: str, folder: Path, **sensors) -> LinuxBoard:
    return LinuxBoard(
        name="local",
        link=make_link(LocalLink()),
        runtime_module="tflite_runtime",
        python=python,
        options=AgentOptions(directory=str(folder / "agent"), **sensors),
    )


def timed(board: LinuxBoard, files):
    for file in (files.mlp, files.floats):
        board.ensure_file(file.path, file.sha256)
    worker = board.open_worker(CPU, Deadlines())
    try:
        worker.load(files.mlp.sha256)
        worker.first_invoke([files.floats.sha256])
        return worker.bench(PLAN), worker.stats()
    finally:
        worker.close()


def test_a_simulated_folder_is_read_anew_each_time_and_said_to_be_simulated(tflite_python, tmp_path, board_files):
    cpu0 = {name.replace("cpu3/", "cpu0/"): text for name, text in PI.items()}
    board = local_board(tflite_python, tmp_path, sysfs=write_files(tmp_path / "sys", cpu0))
    try:
        assert board.connect().governor == "ondemand"
        bench, stats = timed(board, board_files)
        around = bench.surroundings
        assert around.simulated and around.during and around.wall_ns >= PLAN.min_ns
        assert {r.frequency_hz for r in around.readings} == {600_000_000} and around.after.cooling_state == 2
        assert (stats.temperature_c, stats.governor) == (81.25, "ondemand")
        write_files(tmp_path / "sys", {"class/thermal/thermal_zone1/temp": "41000\n"})
        assert board.sense().temperature_c == 41.0
    finally:
        board.close()


def test_a_real_board_counts_its_processes_and_says_that_its_sensors_are_its_own(tflite_python, tmp_path, board_files):
    board = local_board(tflite_python, tmp_path)
    try:
        board.connect()
        around = timed(board, board_files)[0].surroundings
    finally:
        board.close()
    assert not around.simulated and around.before.cpu == 0
    assert 0 < around.own_cpu_ns < 2 * around.wall_ns and around.cpus >= 1
    assert around.busy_cpu_ns is not None and around.waited_ns is not None


def test_a_root_that_is_not_there_is_refused_with_its_name(tflite_python, tmp_path):
    board = local_board(tflite_python, tmp_path, sysfs=str(tmp_path / "nowhere"))
    with pytest.raises(StableDeviceError, match="sensors.sysfs names .*nowhere"):
        board.connect()


# -- the border

AROUND = {
    "before": {"temperature_c": 48.0, "cooling_state": 0},
    "during": [],
    "after": {},
    "simulated": False,
    "wall_ns": 333,
    "own_cpu_ns": 300,
}


def scripted(**fields):
    board = scripted_board(changed("bench", surroundings={**AROUND, **fields}))
    board.connect()
    worker = board.open_worker(BackendSpec(name="cpu"), Deadlines())
    worker.load("1" * 64)
    return worker.bench(BenchPlan(min_ns=1_000_000, warmup_max_ns=1_000_000)).surroundings


def test_a_board_may_tell_little():
    around = scripted()
    assert (around.before.temperature_c, around.busy_cpu_ns, around.cpus, around.during) == (48.0, None, None, ())
    assert scripted(before={"temperature_c": 9999.0}).before.temperature_c is None


@pytest.mark.parametrize(
    "fields",
    [
        {"wall_ns": 0},
        {"wall_ns": "long"},
        {"own_cpu_ns": -1},
        {"busy_cpu_ns": float("nan")},
        {"cpus": 0},
        {"simulated": "no"},
        {"before": None},
        {"before": {"frequency_hz": 10**15}},
        {"after": {"firmware_flags": "0x50005"}},
        {"after": {"under_voltage": 1}},
        {"during": [{}] * 1000},
        {"during": {"0": {}}},
        {"preempted": -3},
    ],
    ids=str,
)
def test_surroundings_that_make_no_sense_are_refused_by_field(fields):
    with pytest.raises(MalformedAnswer, match="answer to `bench` makes no sense: surroundings"):
        scripted(**fields)


def test_an_older_agent_tells_no_surroundings():
    board = scripted_board(changed("bench", surroundings=...))
    board.connect()
    worker = board.open_worker(BackendSpec(name="cpu"), Deadlines())
    assert worker.bench(BenchPlan(min_ns=1_000_000, warmup_max_ns=1_000_000)).surroundings is None


# -- the profile

PROFILE = """\
name: pi
title: A Raspberry Pi
link: {type: local}
runtime: {module: tflite_runtime, python: /usr/bin/python3}
backends: {cpu: {}}
"""


@pytest.fixture
def profile(tmp_path):
    def read(*lines: str):
        (tmp_path / "pi.yaml").write_text(PROFILE + "\n".join(lines) + "\n")
        return get_profile("pi", tmp_path)

    return read


def test_a_profile_says_how_cool_and_where_its_sensors_are(profile):
    found = profile("wait: {below_c: 60}", "sensors: {simulated: {class/thermal/thermal_zone0/temp: 48000}}")
    assert found.cool_down() == CoolDown(below_c=60.0, at_most_s=300.0)
    assert found.sensors.simulated == {"class/thermal/thermal_zone0/temp": "48000"}
    assert profile().cool_down() is None


@pytest.mark.parametrize(
    "line",
    [
        "wait: {below_c: warm}",
        "wait: {at_most_s: 10}",
        "wait: {below_c: 60, at_most_s: 99999}",
        "sensors: {sysfs: ../sys}",
        "sensors: {sysfs: /a, simulated: {a: b}}",
        "sensors: {simulated: {../../etc/passwd: b}}",
        "sensors: {simulated: {/etc/passwd: b}}",
        'sensors: {simulated: {a: "two\\nlines"}}',
    ],
)
def test_what_a_profile_cannot_mean_is_refused_with_its_place(profile, line):
    with pytest.raises(UserInputError, match="pi.yaml:6"):
        profile(line)


def test_a_twin_has_neither_its_boards_sensors_nor_its_heat_but_its_own(profile):
    block = "emulation: {machine: qemu-aarch64, sensors: {simulated: {class/thermal/thermal_zone0/temp: 91000}}}"
    real = profile("wait: {below_c: 60}", "sensors: {sysfs: /opt/sys}", block)
    assert qemu_twin(real).sensors.simulated == {"class/thermal/thermal_zone0/temp": "91000"}
    assert qemu_twin(real).wait is None and qemu_twin(real).sensors.sysfs is None
