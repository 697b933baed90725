"""An emulated board that does not start leaves nothing behind, and one that starts says what takes long."""

from __future__ import annotations

import errno
import os
import socket
import subprocess

import pytest

from harness.core.errors import TransientDeviceError
from harness.emulation.linux.running import _base
from harness.emulation.mcu import machine as mcu_machine
from harness.emulation.mcu.firmware import build_firmware
from harness.emulation.mcu.machine import McuMachine
from tests.support.fixtures_mcu_board import emulated_line, mcu_profile


@pytest.mark.parametrize("part", ["create_server", "pipe", "Popen"])
def test_a_failed_start_leaves_no_folder_and_no_open_file(part: str, tmp_path, monkeypatch):
    firmware = build_firmware("mps2-an386")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    before = set(os.listdir("/proc/self/fd"))

    def refuse(*_arguments, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    owner = {"create_server": socket, "pipe": os, "Popen": subprocess}[part]
    with monkeypatch.context() as patch:
        patch.setattr(owner, part, refuse)
        with pytest.raises(TransientDeviceError, match="cannot be started: Too many open files"):
            McuMachine(firmware)
    assert list(_base().iterdir()) == []
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_start_that_was_interrupted_leaves_nothing_either(tmp_path, monkeypatch):
    firmware = build_firmware("mps2-an386")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    before = set(os.listdir("/proc/self/fd"))

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mcu_machine.subprocess, "Popen", interrupted)
        with pytest.raises(KeyboardInterrupt):
            McuMachine(firmware)
    assert list(_base().iterdir()) == [] and set(os.listdir("/proc/self/fd")) == before


def test_a_started_board_keeps_only_its_lifeline(tmp_path, monkeypatch):
    firmware = build_firmware("mps2-an386")
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    with McuMachine(firmware) as machine:
        assert machine.alive and len(os.listdir("/proc/self/fd")) == before + 1
    assert len(os.listdir("/proc/self/fd")) == before and list(_base().iterdir()) == []


def test_the_first_firmware_of_a_twin_is_announced(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    said: list[str] = []
    line = emulated_line(mcu_profile(), progress=said.append)
    for _ in range(2):
        line.open()
        line.close()
    assert said == ["compiling the firmware for mps2-an386 (once, a few seconds)"]
