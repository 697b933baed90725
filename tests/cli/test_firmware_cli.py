"""`harness devices firmware`: the program to flash, for packaged boards and for a folder of the user's own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.emulation.mcu.board import ports_dir
from harness.emulation.mcu.elf import flat_image, load_bytes, memory_bytes, room
from harness.emulation.mcu.firmware import build_firmware
from harness.emulation.mcu.machine import McuMachine
from tests.support import tiny_model
from tests.support.fixtures_firmware import MCU_BOARDS
from tests.support.mcu_client import McuClient


@pytest.fixture
def own_board(tmp_path: Path) -> Path:
    """The example for a user's own board, copied away as its documentation says."""
    return shutil.copytree(ports_dir() / "example", tmp_path / "my-board")


def test_a_users_own_board_is_built_and_told(own_board: Path, harness_cli, tmp_path: Path):
    shown = harness_cli("devices", "firmware", own_board)
    assert shown.code == 0, shown.err
    made = build_firmware(own_board)
    assert f"my-board: cortex-m4, build {made.build}, " in shown.out
    assert f"{made.code_bytes:,} bytes of flash, {memory_bytes(made.elf):,} bytes of RAM" in shown.out
    assert shown.out.splitlines()[-1].strip() == str(made.elf)
    copy = tmp_path / "firmware.elf"
    assert harness_cli("devices", "firmware", own_board, "--output", copy).out.splitlines()[-1].strip() == str(copy)
    assert copy.read_bytes() == made.elf.read_bytes()


def test_the_room_for_a_model_is_told(own_board: Path, harness_cli, tmp_path: Path):
    """The example: what MLPerf Tiny's four models take on it, as plans and arena (benchmarks/bench_mcu.py --example)."""
    found = room(build_firmware(own_board).elf)
    assert (found.model_bytes, found.model_in_code) == (384 << 10, True) and found.arena_bytes > 80 << 10
    shown = harness_cli("devices", "firmware", own_board)
    assert "room for a model: 393,216 bytes of flash beside the program; for its tensors: " in shown.out
    assert f"{found.arena_bytes:,} bytes of arena" in shown.out
    fast = harness_cli("devices", "firmware", "mps3-an547")
    assert "for its tensors: 4,194,304 bytes of arena, in faster memory those that need at most " in fast.out
    (own_board / "memory.ld").write_text(
        "MEMORY { CODE (rx) : ORIGIN = 0, LENGTH = 512K RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 128K }\n"
        "__model_start = 0x60000; __model_end = 0x60000; __sample_bytes = 0;\n"
    )
    assert room(build_firmware(own_board).elf).model_bytes == 0


@pytest.mark.parametrize("board", MCU_BOARDS)
def test_the_room_that_is_told_is_what_the_board_says(board: str):
    made = build_firmware(board)
    found = room(made.elf)
    with McuMachine(made) as machine, McuClient.connect(machine.host, machine.port) as client:
        facts = client.hello()
    assert (found.model_bytes, found.arena_bytes) == (facts.model_bytes, facts.arena_bytes)


@pytest.mark.parametrize("board", ["example", "mps2-an386"])
def test_the_bare_bytes_are_those_that_objcopy_makes(board: str, harness_cli, tmp_path: Path):
    target, expected = tmp_path / "ours.bin", tmp_path / "theirs.bin"
    shown = harness_cli("devices", "firmware", board, "-o", target)
    elf = build_firmware(board).elf
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "--gap-fill", "0xff", elf, expected], check=True)
    assert target.read_bytes() == expected.read_bytes() and len(target.read_bytes()) >= load_bytes(elf)
    address = int(re.search(r"for the address (0x[0-9a-f]{8})", shown.out)[1], 16)
    assert address == flat_image(elf)[0] == {"example": 0x0800_0000, "mps2-an386": 0}[board]


def test_ram_is_what_the_linker_gave_out():
    elf = build_firmware("example").elf
    sizes = (
        subprocess.run(["arm-none-eabi-size", elf], check=True, capture_output=True, text=True)
        .stdout.splitlines()[1]
        .split()
    )
    assert memory_bytes(elf) == pytest.approx(int(sizes[1]) + int(sizes[2]), abs=64)  # paddings


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nucleo"], "unknown microcontroller board 'nucleo'"),
        (["{tmp}"], "the folder has no board.toml"),
        (["example", "-o", "{tmp}/x.hex"], "write it to FILE.elf or FILE.bin"),
        (["example", "-o", "{tmp}/none/x.bin"], "there is no such folder"),
        (["host", "-o", "{tmp}/x.bin"], "has no bare bytes"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_compiled(arguments, words, harness_cli, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    shown = harness_cli("devices", "firmware", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert shown.code == 1 and words in shown.err
    assert not (tmp_path / "cache" / "firmware").exists()


def test_a_firmware_has_just_the_ops_of_given_models(harness_cli, tmp_path: Path):
    for name, data in (("dense", tiny_model.int8_dense()), ("float", tiny_model.float_mlp())):
        (tmp_path / f"{name}.tflite").write_bytes(data)
    shown = harness_cli("devices", "firmware", "mps2-an386", "--model", tmp_path / "dense.tflite")
    assert shown.code == 0, shown.err
    made = build_firmware("mps2-an386", ops=["FULLY_CONNECTED"])
    assert f"build {made.build}" in shown.out and made.code_bytes < build_firmware("mps2-an386").code_bytes / 2
    assert "with just these ops: FULLY_CONNECTED; a model that needs another one is unsupported on it" in shown.out
    refused = harness_cli("devices", "firmware", "microbit", "--model", tmp_path / "float.tflite")
    assert refused.code == 1 and "float.tflite: " in refused.err
    both = harness_cli("devices", "firmware", "mps2-an386", "--model", tmp_path / "dense.tflite", "--tflite-micro")
    assert both.code == 1 and "TFLite Micro has its own" in both.err


def test_the_first_build_says_that_it_compiles(own_board: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    said: list[str] = []
    build_firmware(own_board, progress=said.append)
    build_firmware(own_board, progress=said.append)
    assert said == ["compiling the firmware for my-board (once, a few seconds)"]


def test_the_command_imports_nothing_heavy(own_board: Path):
    code = (
        "import sys; from harness.cli.main import cli\n"
        f"cli.main(['devices', 'firmware', {str(own_board)!r}], standalone_mode=False)\n"
        "print([m for m in sys.modules if m in ('numpy', 'tensorflow', 'pandas', 'pydantic', 'paramiko', 'serial', 'rich')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
