"""Building the firmware: for every core without a warning, the same bytes everywhere, and clear words where it cannot be."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.core import paths
from harness.core.errors import MissingPartError, UserInputError
from harness.emulation.mcu import firmware as mcu_firmware
from harness.emulation.mcu.board import known_boards, load_board, ports_dir
from harness.emulation.mcu.elf import load_bytes
from harness.emulation.mcu.firmware import build_firmware
from harness.emulation.mcu.machine import McuMachine
from harness.tflite.plan.words import RECORDS
from harness.tflite.plan.words_float import FIRST_FLOAT, FLOAT_RECORDS
from tests.support.fixtures_firmware import MCU_BOARDS
from tests.support.mcu_client import McuClient

#: with the int8 ops (numbers 1 to 24 of plan.h), and with all
INT8_LIMIT_BYTES, ALL_LIMIT_BYTES = 30 * 1024, 64 * 1024


@pytest.fixture
def copied_devices(tmp_path, monkeypatch):
    """The board-side sources in another folder, with a cache of their own."""
    target = tmp_path / "elsewhere"
    shutil.copytree(paths.packaged_devices_dir(), target)
    monkeypatch.setattr(paths, "packaged_devices_dir", lambda: target)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return target


def test_every_port_compiles_without_a_warning():
    """-Werror is among the flags. The example for a user's own board is one of the ports."""
    assert set(known_boards()) == {*MCU_BOARDS, "example", "host"}
    for board in known_boards():
        firmware = build_firmware(board)
        assert firmware.elf.is_file() and firmware.compiler
        if board != "host":
            assert firmware.code_bytes == load_bytes(firmware.elf)


def test_the_firmware_with_all_ops_fits_the_limit_on_the_m4():
    int8 = [name for name, record in RECORDS.items() if record.number <= 24]
    everything = build_firmware("mps2-an386").code_bytes
    assert build_firmware("mps2-an386", ops=int8).code_bytes <= INT8_LIMIT_BYTES < everything <= ALL_LIMIT_BYTES


def test_a_firmware_of_some_ops_has_just_these_and_says_so():
    made = build_firmware("mps2-an386", ops=["FULLY_CONNECTED", "FLOAT_SOFTMAX"])
    assert made.code_bytes < build_firmware("mps2-an386").code_bytes - 8_000
    with McuMachine(made) as machine, McuClient.connect(machine.host, machine.port) as client:
        hello = client.hello()
        assert hello.ops == 1 << RECORDS["FULLY_CONNECTED"].number | 1 << RECORDS["FLOAT_SOFTMAX"].number
    with pytest.raises(UserInputError, match="FULLY_CONECTED"):
        build_firmware("mps2-an386", ops=["FULLY_CONECTED"])


def test_float_kernels_are_there_where_the_core_has_the_unit():
    everything = (1 << len(FLOAT_RECORDS)) - 1
    for board, floats in (("mps2-an386", everything), ("mps2-an385", 0)):
        with McuMachine(build_firmware(board)) as machine, McuClient.connect(machine.host, machine.port) as client:
            assert client.hello().ops >> FIRST_FLOAT == floats
    symbols = subprocess.run(
        ["arm-none-eabi-nm", str(build_firmware("microbit").elf)], capture_output=True, text=True, check=True
    ).stdout
    assert "kn_float" not in symbols and "kn_conv_2d" in symbols


def test_there_is_no_heap_and_no_stdio():
    symbols = subprocess.run(
        ["arm-none-eabi-nm", str(build_firmware("mps2-an386").elf)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "rt_invoke" in symbols and "fault_vector" in symbols
    assert not {"malloc", "_malloc_r", "free", "_sbrk", "printf", "puts", "test_fault"} & set(symbols)


def test_the_bytes_do_not_depend_on_where_they_are_made(copied_devices, monkeypatch):
    there = build_firmware("microbit")
    assert str(copied_devices.parent).encode() not in there.elf.read_bytes()
    monkeypatch.undo()
    here = build_firmware("microbit")
    assert here.elf != there.elf and here.build == there.build
    assert here.elf.read_bytes() == there.elf.read_bytes()


def test_it_is_built_once(monkeypatch):
    first = build_firmware("mps2-an386")
    monkeypatch.setattr(mcu_firmware, "_compile", lambda *_: pytest.fail("it was compiled again"))
    assert build_firmware("mps2-an386") == first


def test_whoever_asks_at_the_same_time_gets_the_same_one(copied_devices, monkeypatch):
    compile_it, compiled = mcu_firmware._compile, []

    def counting(*arguments):
        compiled.append(arguments)
        return compile_it(*arguments)

    monkeypatch.setattr(mcu_firmware, "_compile", counting)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(build_firmware, ["microbit"] * 3))
    assert len(compiled) == 1 and len(set(found)) == 1


def test_another_source_is_another_firmware_and_an_error_is_quoted(copied_devices):
    before = sorted(copied_devices.rglob("*.c"))
    assert before
    (copied_devices / "cortex_m" / "firmware" / "main.c").write_text("int broken(void) { return nothing; }\n")
    with pytest.raises(MissingPartError, match="nothing"):
        build_firmware("microbit")
    assert not list((paths.cache_dir() / "firmware").rglob("*.elf"))
    assert not list((paths.cache_dir() / "firmware").rglob("*.o"))


@pytest.mark.parametrize("board, packages", [("mps2-an386", "gcc-arm-none-eabi"), ("host", "gcc libc6-dev")])
def test_a_missing_compiler_names_its_debian_package(monkeypatch, board, packages):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(MissingPartError, match=packages):
        build_firmware(board)


def test_an_unknown_board_names_those_that_are_known():
    with pytest.raises(UserInputError, match="mps2-an386"):
        build_firmware("mps2-an387")


def test_a_board_of_the_users_own_is_a_folder(tmp_path):
    folder = tmp_path / "my-board"
    shutil.copytree(ports_dir() / "example", folder)
    firmware = build_firmware(folder)
    assert firmware.board.name == "my-board" and firmware.code_bytes > 10_000
    with pytest.raises(UserInputError, match="cannot be emulated"):
        McuMachine(firmware)


@pytest.mark.parametrize(
    "change, complaint",
    [
        (("core =", "cor ="), "cor"),
        (('memory = "memory.ld"', ""), "memory"),
        (('"port.c"', '"prot.c"'), "prot.c"),
        (("core =", "core"), "cannot be read"),
        (('core = "cortex-m4"', "core = 4"), "core"),
        (("", '[emulation]\nmachine = "netduinoplus2"\nicount_shift = 11\n'), "icount_shift"),
        (("", '[emulation]\nmachine = "netduinoplus2"\n'), "icount_shift"),
    ],
)
def test_a_wrong_board_file_is_told_with_its_field(tmp_path, change, complaint):
    shutil.copytree(ports_dir() / "example", tmp_path / "b")
    path = tmp_path / "b" / "board.toml"
    old, new = change
    path.write_text(path.read_text().replace(old, new, 1) if old else path.read_text() + new)
    with pytest.raises(UserInputError, match=complaint):
        load_board(tmp_path / "b")


def test_a_folder_without_a_board_file_is_told(tmp_path):
    with pytest.raises(UserInputError, match="board.toml"):
        load_board(tmp_path)
