"""Flashing by pyOCD: the real program, on a chip whose flash controller its flash algorithm drives; only the probe is the test's.

The faults come from where they come on a desk: from the probe, from the chip, and from USB libraries below pyOCD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.boards.mcu.flashing import flash_mcu
from harness.boards.mcu.profile import McuProfile
from harness.boards.resolve import get_profile
from harness.core.errors import DeviceError, MissingPartError, StableDeviceError, TransientDeviceError
from harness.emulation.mcu.firmware import build_firmware
from harness.flash.base import FlashImage
from harness.flash.profile import PyocdProfile
from tests.support.debugged_chip import DebuggedChip
from tests.support.probe_server import ProbeServer

PROFILE = """\
name: probed
title: a board under a probe
kind: mcu
core: cortex-m0
board: microbit
link: {{type: serial, port: "{port}"}}
connect: {{again_s: 2}}
flash: {{tool: pyocd, target: {target}, probe: "{probe}", frequency_hz: 4000000, {program}}}
"""
#: probes beside those on the machine's USB, as pyOCD's plugins bring them: two that are listed, and cannot be opened
PLUGIN = """\
import usb.core
from pyocd.core.plugin import Plugin
from pyocd.probe.debug_probe import DebugProbe

class Probe(DebugProbe):
    vendor_name = product_name = "Test"
    unique_id = "?"
    supported_wire_protocols = [DebugProbe.Protocol.SWD]
    associated_board_info = None
    is_open = False

    def __init__(self, unique_id):
        super().__init__()
        self.unique_id = unique_id

    @classmethod
    def get_all_connected_probes(cls, unique_id=None, is_explicit=False):
        return [cls("0669FF49"), cls("0669FF50")]

    @classmethod
    def get_probe_with_id(cls, unique_id, is_explicit=False):
        return None

    def open(self):
        raise usb.core.USBError("Resource busy", None, 16)

    def close(self):
        pass

class ProbePlugin(Plugin):
    name = "test"

    def load(self):
        return Probe
"""


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[DebuggedChip]:
    chip = DebuggedChip(tmp_path, build_firmware("microbit", test_faults=True).elf)
    yield chip
    chip.close()


@pytest.fixture
def probe(chip: DebuggedChip) -> Iterator[ProbeServer]:
    server = ProbeServer(chip)
    yield server
    server.close()


@pytest.fixture
def probed(devices_dir: Path, write_profile) -> Callable[..., McuProfile]:
    """`probed(chip, probe)`: the profile of a board on the chip's serial line, flashed by the probe."""

    def make(
        chip: DebuggedChip, probe: ProbeServer, *, target: str = "nrf51", program: str = "timeout_s: 60"
    ) -> McuProfile:
        text = PROFILE.format(port=chip.url, probe=probe.id, target=target, program=program)
        write_profile("probed", text)
        profile = get_profile("probed", devices_dir)
        assert isinstance(profile, McuProfile)
        return profile

    return make


def flash_alone(tmp_path: Path, **block: object) -> None:
    """What the tool says, where no board would be asked."""
    profile = PyocdProfile.model_validate({"tool": "pyocd", "target": "nrf51", **block})
    elf = build_firmware("microbit").elf
    profile.flasher("nucleo").flash(FlashImage(elf=elf, bare=tmp_path / "f.bin", address=0, build="b"))


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch) -> None:
    """Two probes on the USB of this machine."""
    site = tmp_path / "site"
    info = site / "probes_of_a_test-1.dist-info"
    info.mkdir(parents=True)
    (site / "probes_of_a_test.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probes-of-a-test\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[pyocd.probe]\ntest = probes_of_a_test:ProbePlugin\n")
    monkeypatch.setenv("PYTHONPATH", str(site))


def test_pyocd_flashes_a_chip_and_the_board_says_so(chip, probe, probed, devices_dir, harness_cli):
    old, new = build_firmware("microbit", test_faults=True), build_firmware("microbit")
    probed(chip, probe)
    first = harness_cli("devices", "flash", "probed", "--build", "--devices-dir", devices_dir)
    assert first.code == 0, first.err
    assert f"over build {old.build}" in first.err and f"runs build {new.build} now" in first.out
    # It was the flash algorithm that wrote: pages went into its buffers, by the clock that the profile asks for.
    assert "write_block8" in probe.asked and "set_clock" in probe.asked
    asked = len(probe.asked)
    again = harness_cli("devices", "flash", "probed", "--devices-dir", devices_dir)
    assert again.code == 0 and "already: nothing was flashed" in again.out and len(probe.asked) == asked


def test_a_probe_on_another_board_leaves_the_old_program(chip, probed, tmp_path):
    (tmp_path / "other").mkdir()
    other = DebuggedChip(tmp_path / "other", build_firmware("microbit", test_faults=True).elf)
    wrong = ProbeServer(other)
    with pytest.raises(StableDeviceError, match="still runs the old program") as caught:
        flash_mcu(probed(chip, wrong), build=True, say=lambda line: None)
    assert "this very board" in str(caught.value.hint)
    wrong.close()
    other.close()


def test_a_program_of_another_chip_is_flashed_and_the_board_does_not_come_back(chip, probe, probed):
    elf = build_firmware("mps2-an386").elf
    with pytest.raises(TransientDeviceError, match="does not come back within 2 s"):
        flash_mcu(probed(chip, probe, program=f"image: {elf}"), build=False, say=lambda line: None)


def _another_target(probe: ProbeServer) -> dict[str, str]:
    return {"target": "stm32f429xi"}


def _unknown_target(probe: ProbeServer) -> dict[str, str]:
    return {"target": "stm32f999"}


def _busy(probe: ProbeServer) -> dict[str, str]:
    probe.refuses = "Unable to claim interface for probe 0669FF49"
    return {}


def _no_chip(probe: ProbeServer) -> dict[str, str]:
    probe.chip_answers = False
    return {}


def _unplugged(probe: ProbeServer) -> dict[str, str]:
    probe.unplugged_after = 40
    return {"program": "timeout_s: 3"}


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (_another_target, StableDeviceError, "lies where pyOCD's target 'stm32f429xi' has no memory"),
        (_unknown_target, StableDeviceError, "pyOCD does not know the target 'stm32f999'"),
        (_busy, TransientDeviceError, "is there, and cannot be opened: .*Unable to claim"),
        (_no_chip, TransientDeviceError, "is there, and no chip answers it"),
        (_unplugged, TransientDeviceError, "did not end within 3 s"),
    ],
)
def test_what_goes_wrong_on_the_desk_is_told(chip, probe, probed, fault, error, words):
    profile = probed(chip, probe, **fault(probe))
    with pytest.raises(error, match=words) as caught:
        flash_mcu(profile, build=True, say=lambda line: None)
    assert caught.value.where == "probed" and caught.value.hint


@pytest.mark.parametrize(
    ("block", "error", "words"),
    [
        ({"probe": "0770"}, StableDeviceError, "the probe 0770 is not connected"),
        ({"probe": "0669"}, StableDeviceError, "several probes, and the probe 0669 may be"),
        ({}, StableDeviceError, "several probes, and the debug probe may be"),
        ({"probe": "FF50"}, TransientDeviceError, "the probe FF50 is there, and cannot be opened: .*Resource busy"),
    ],
)
def test_probes_on_usb_are_told_apart(plugged, tmp_path, block, error, words):
    with pytest.raises(error, match=words) as caught:
        flash_alone(tmp_path, **block)
    assert caught.value.where == "nucleo" and "flash.probe" in str(caught.value.hint) or error is TransientDeviceError


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({}, "the debug probe is not connected"),
        ({"probe": "remote:127.0.0.1:1"}, "cannot be reached: .*Connection refused"),
    ],
)
def test_no_probe_at_all(tmp_path, block, words):
    with pytest.raises(DeviceError, match=words):
        flash_alone(tmp_path, **block)


def test_pyocd_that_is_not_installed_is_told_before_the_board_is_touched(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.flash.pyocd.find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match="pyOCD is not installed") as caught:
        PyocdProfile.model_validate({"tool": "pyocd", "target": "nrf51"}).flasher("nucleo").require_parts()
    assert "[pyocd]" in str(caught.value.hint)
