"""Bare-metal programs over the kernels: built with arm-none-eabi-gcc, run on QEMU's Cortex-M boards, without the firmware."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import ROOT, SUPPORT

PROGRAMS = SUPPORT / "bare_metal"
FAST = ROOT / "devices" / "cortex_m" / "kernels"
PORTABLE = ROOT / "devices" / "kernels"
_FLAGS = (
    "-std=c11",
    "-mthumb",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
)


@dataclass(frozen=True)
class BareBoard:
    """One machine of QEMU.

    Attributes:
        code, data: where its memory lies.
        core_flags: for the compiler and the linker, as in the board.toml of the firmware's port. GCC has MVE with the
            floating-point ABI `hard` (or softfp) only.
        end_of_memory: the end of another memory behind which nothing lies; 0: the MPU makes a fence.
    """

    core: str
    machine: str
    code: int
    data: int
    core_flags: tuple[str, ...]
    end_of_memory: int = 0

    @property
    def flags(self) -> tuple[str, ...]:
        """For the compiler and the linker."""
        return (f"-mcpu={self.core}", *self.core_flags, *_FLAGS)


BOARDS = {
    board.core: board
    for board in (
        BareBoard("cortex-m3", "mps2-an385", 0, 0x20000000, ("-mfloat-abi=soft",)),
        BareBoard("cortex-m4", "mps2-an386", 0, 0x20000000, ("-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
        BareBoard("cortex-m7", "mps2-an500", 0, 0x20000000, ("-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")),
        BareBoard("cortex-m55", "mps3-an547", 0x10000000, 0x31000000, ("-mfloat-abi=hard",), 0x30080000),
    )
}


def compile_kernels(board: BareBoard, folder: Path, options: Sequence[str] = ("-Os",)) -> list[Path]:
    """All kernels, portable and fast, as object files in `folder`; `options` choose the optimization.

    Raises:
        RuntimeError: the compiler's messages; a warning is an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(FAST.glob("*.c")) + sorted(path for path in PORTABLE.glob("*.c") if path.name != "prepare.c")
    _run(["arm-none-eabi-gcc", *board.flags, *options, f"-I{FAST}", f"-I{PORTABLE}", "-c", *map(str, sources)], folder)
    return [folder / f"{source.stem}.o" for source in sources]


def link_program(
    board: BareBoard, folder: Path, sources: Sequence[Path], objects: Sequence[Path], options: Sequence[str] = ()
) -> Path:
    """An executable of `sources`, the start-up code and `objects`, for one board; `options` go to the compiler.

    Raises:
        RuntimeError: the compiler's or linker's messages.
    """
    program = folder / f"{sources[0].stem}-{board.core}.elf"
    places = {"CODE": board.code, "DATA": board.data, "END_OF_MEMORY": board.end_of_memory}
    _run(
        [
            "arm-none-eabi-gcc",
            *board.flags,
            "-O2",
            f"-I{FAST}",
            f"-I{PORTABLE}",
            f"-I{PROGRAMS}",
            *options,
            "-nostartfiles",
            "--specs=nosys.specs",
            "-Wl,--gc-sections",
            *(f"-Wl,--defsym={name}={address:#x}" for name, address in places.items()),
            "-T",
            str(PROGRAMS / "bare.ld"),
            "-o",
            str(program),
            str(PROGRAMS / "bare.c"),
            *map(str, sources),
            *map(str, objects),
        ],
        folder,
    )
    return program


def run_program(
    board: BareBoard, program: Path, *arguments: int, icount_shift: int | None = None, timeout_s: float = 300
) -> str:
    """What the program printed.

    Args:
        arguments: the program's command line.
        icount_shift: virtual time advances 2^shift ns per instruction; None: no counting, faster.

    Raises:
        RuntimeError: it ended with another code than 0; the text has its output.
    """
    command = [
        "qemu-system-arm",
        "-M",
        board.machine,
        "-nodefaults",
        "-nic",
        "none",
        "-display",
        "none",
        "-kernel",
        str(program),
        "-semihosting-config",
        ",".join(["enable=on,target=native,arg=program", *(f"arg={value}" for value in arguments)]),
    ]
    if icount_shift is not None:
        command += ["-icount", f"shift={icount_shift},align=off,sleep=off"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise RuntimeError(
            f"{program.name} on {board.machine} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout + done.stderr


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
