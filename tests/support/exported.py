"""An exported C library in a program that is not the harness's: built of the export's folder alone, run on QEMU."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.bare_metal_build import PROGRAMS, BareBoard, run_program

#: the name that exported.c knows a library by
NAME = "tiny"
#: of the emulated boards: an instruction takes 2^7 ns
SHIFT = 7
_TICK_HZ = {"mps3-an547": 32_000_000}


def link_user_program(board: BareBoard, folder: Path, library: Sequence[Path], program: Path) -> None:
    """Links start-up, main and counter of a user's own with a library.

    Args:
        folder: the export, called `NAME`.
        library: its objects, or the archive of them.
    """
    places = {"CODE": board.code, "DATA": board.data, "END_OF_MEMORY": 0}
    command = [
        "arm-none-eabi-gcc",
        *(f"-mcpu={board.core}", *board.core_flags, "-mthumb", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"),
        *(["-DSSE_300"] if board.machine in _TICK_HZ else []),
        *(f"-I{place}" for place in (PROGRAMS, folder / "include", folder / "example")),
        *("-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections"),
        *(f"-Wl,--defsym={name}={address:#x}" for name, address in places.items()),
        *("-T", str(PROGRAMS / "bare.ld"), str(PROGRAMS / "bare.c"), str(PROGRAMS / "exported.c")),
        *map(str, library),
        *("-o", str(program)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def run_user_program(board: BareBoard, program: Path) -> list[tuple[int, int]]:
    """(bytes that differ, instructions of one inference) of every sample, without what reading the counter takes."""
    hz = _TICK_HZ.get(board.machine, 25_000_000) << SHIFT
    # QEMU has remarks of its own about timers.
    rows = re.findall(r"^(\d+) (\d+) (\d+)$", run_program(board, program, icount_shift=SHIFT), re.MULTILINE)

    def count(ticks: str) -> int:
        return (2 * int(ticks) * 10**9 + hz) // (2 * hz)

    return [(int(apart), count(ticks) - count(around) + 1) for apart, ticks, around in rows]
