"""Flashing: by a program of the user's and by QEMU's loader; the board itself says what runs, whatever the tool said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.boards.mcu.flashing import flash_mcu
from harness.boards.mcu.profile import McuProfile
from harness.boards.resolve import get_profile
from harness.core.errors import MissingPartError, StableDeviceError, TransientDeviceError, UserInputError
from tests.support import tiny_model
from tests.support.fixtures_mcu_board import emulated_line, mcu_profile
from tests.support.flash_rig import FlashRig

PROFILE = """\
name: flashed
title: a board behind a tool
kind: mcu
core: cortex-m4
board: mps2-an386
link: {{type: serial, port: "{port}"}}
connect: {{again_s: 3}}
flash: {flash}
"""


@pytest.fixture
def rig(tmp_path: Path):
    rig = FlashRig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def flashed(rig: FlashRig, devices_dir: Path, write_profile) -> Callable[..., McuProfile]:
    """`flashed(tool, **block)`: the profile of the rig's board."""

    def make(tool: str = "good", **block: object) -> McuProfile:
        flash = json.dumps({"command": rig.command(tool), **block})
        write_profile("flashed", PROFILE.format(port=rig.port, flash=flash))
        profile = get_profile("flashed", devices_dir)
        assert isinstance(profile, McuProfile)
        return profile

    return make


def test_a_board_gets_the_firmware_once_and_says_so(rig, flashed, devices_dir, harness_cli):
    flashed()
    first = harness_cli("devices", "flash", "flashed", "--build", "--devices-dir", devices_dir)
    assert first.code == 0, first.err
    assert f"over build {rig.old.build}" in first.err and f"runs build {rig.firmware.build} now" in first.out
    again = harness_cli("devices", "flash", "flashed", "--devices-dir", devices_dir)
    assert again.code == 0 and "already: nothing was flashed" in again.out
    assert rig.called() == 1 and rig.flash.read_bytes() == rig.firmware.elf.read_bytes()


@pytest.mark.parametrize(
    ("tool", "error", "words"),
    [
        ("liar", StableDeviceError, "still runs the old program"),
        ("refuses", StableDeviceError, r"exit status 3.*flash is write-protected"),
        ("hangs", TransientDeviceError, "did not end within 0.5 s"),
        ("kills", TransientDeviceError, "does not come back within 3 s"),
        ("other", StableDeviceError, "runs build .* after build .* was flashed"),
    ],
)
def test_what_a_tool_says_counts_for_nothing(flashed, tool, error, words):
    profile = flashed(tool, timeout_s=0.5 if tool == "hangs" else 60)
    with pytest.raises(error, match=words) as caught:
        flash_mcu(profile, build=False, say=lambda line: None)
    assert caught.value.where == "flashed" and caught.value.hint


def test_a_tool_that_is_not_there_is_told_before_the_board_is_touched(rig, flashed):
    with pytest.raises(MissingPartError, match="there is no program no-such-flasher"):
        flash_mcu(flashed(command=["no-such-flasher", "{elf}"]), build=False, say=lambda line: None)
    assert rig.called() == 0


@pytest.mark.parametrize(
    ("flash", "words"),
    [
        ({"command": ["openocd", "-f", "board.cfg"]}, "write {elf} or {bin}"),
        ({"tool": "pyocd"}, "flash.target"),
        ({"tool": "openocd", "target": "x"}, "pyocd"),
        ({"tool": "pyocd", "target": "stm32; rm -rf /"}, "letters, digits"),
        ({"command": "openocd {elf}"}, "flash.command"),
        ({"command": ["x", "{elf}"], "board": "a", "image": "b.elf"}, "not both"),
    ],
)
def test_a_wrong_block_is_told_by_its_field(devices_dir, write_profile, flash, words):
    write_profile("flashed", PROFILE.format(port="/dev/ttyACM0", flash=json.dumps(flash)))
    with pytest.raises(UserInputError) as caught:
        get_profile("flashed", devices_dir)
    assert words in str(caught.value)


def test_an_emulated_board_is_flashed_by_its_loader(rig, monkeypatch):
    profile = mcu_profile()
    line = emulated_line(profile)
    line.load_program(rig.old.elf)
    monkeypatch.setattr(type(profile.link), "make_line", lambda self, place: line)
    said: list[str] = []
    assert f"runs build {rig.firmware.build} now" in flash_mcu(profile, build=False, say=said.append)
    assert f"over build {rig.old.build}" in said[-1]
    assert "already" in flash_mcu(profile, build=False, say=said.append)


def test_a_board_nobody_says_how_to_flash_is_told_what_to_write(devices_dir, write_profile, harness_cli):
    write_profile("flashed", PROFILE.format(port="/dev/ttyACM0", flash="null"))
    shown = harness_cli("devices", "flash", "flashed", "--devices-dir", devices_dir)
    assert shown.code == 1 and "flash: {tool: pyocd, target: ...}" in shown.err


def test_a_run_flashes_first_where_it_is_asked_to(rig, flashed, mcu_run, prepare_mcu):
    (record,) = mcu_run(prepare_mcu(tiny_model.int8_dense(), samples=2), profiles=(flashed(),), flash=True)
    assert rig.called() == 1 and record.outcome == "ok", record.reason
    assert record.fingerprint.firmware.startswith(rig.firmware.build)
    (failed,) = mcu_run(prepare_mcu(tiny_model.int8_dense(), samples=2), profiles=(flashed("refuses"),), flash=True)
    assert failed.outcome == "ok", "it runs already, and no tool is asked"
    assert rig.called() == 1
