"""Builds what an export holds, from its folder alone, and runs it on the emulated board: one that fails here is not made."""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError
from harness.emulation.mcu.elf import load_bytes
from harness.emulation.mcu.firmware import Firmware
from harness.emulation.mcu.machine import McuMachine
from harness.export.mcu.example import Example, board_defines, link_arguments
from harness.export.mcu.library import Library

#: an emulated core runs far more of its instructions in a second than this, also on a busy machine
_INSTRUCTIONS_A_SECOND = 1_000_000
_LEAST_S = 60.0
_READING = re.compile(r"of every count (\d+) instructions")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was tried.

    Attributes:
        library_bytes: code and constants of the library's objects that a program with nothing else of it links, plan included;
            None where no program was linked.
        ran: the machine that the example ran on; None: it was only compiled.
        lines: what it printed of every sample.
        reading: instructions of every count that are reading the counter.
    """

    library_bytes: int | None = None
    ran: str | None = None
    lines: tuple[str, ...] = ()
    reading: int | None = None


def prove(library: Library, example: Example | None, folder: Path) -> Proof:
    """Compiles every file of the export with warnings as errors, links the example and runs it where the board is emulated.

    Raises:
        HarnessError: it does not compile, an output or a count is not the measured one; nothing of it is the user's fault.
        MissingPartError: QEMU is missing.
    """
    with tempfile.TemporaryDirectory(prefix="harness-export-") as temporary:
        build = Path(temporary)
        objects = _compile(library, example, folder, build)
        if example is None or not example.whole:
            return Proof()
        elf = build / "example.elf"
        arguments = [*library.toolchain.flags, *link_arguments(library, example, folder), *map(str, objects)]
        library.toolchain.run([*arguments, "-o", str(elf)], folder, "the example")
        size = load_bytes(elf)
        if example.icount_shift is None:
            return Proof(library_bytes=size)
        lines, reading = _run(library, elf)
        return Proof(library_bytes=size, ran=library.board.name, lines=lines, reading=reading)


def _compile(library: Library, example: Example | None, folder: Path, build: Path) -> list[Path]:
    """Every source, in the flags of the firmware. Returns the objects."""
    jobs: list[tuple[Path, Path, Sequence[str]]] = []
    objects: list[Path] = []
    for number, name in enumerate(library.sources):
        objects.append(build / f"{number}-{name}.o")
        jobs.append((folder / "src" / name, objects[-1], ()))
    if example is not None:
        more = [f"-I{folder / 'example' / place}" for place in example.includes] + board_defines(library.board)
        for number, name in enumerate(example.sources):
            objects.append(build / f"example-{number}.o")
            jobs.append((folder / "example" / name, objects[-1], more))
    library.toolchain.compile(jobs)
    return objects


def _run(library: Library, elf: Path) -> tuple[tuple[str, ...], int | None]:
    """What the example says on the emulated board: a line for each sample, and what reading the counter takes.

    Raises:
        HarnessError: an output or a count is another one than was measured.
    """
    samples = library.shipped.samples
    assert samples is not None
    work = int(samples.counts.sum()) if samples.counts is not None else 0
    firmware = Firmware(board=library.board, elf=elf, code_bytes=0, compiler=library.toolchain.version, build="example")
    with McuMachine(firmware) as machine:
        text = _talk(machine, _LEAST_S + 2 * work / _INSTRUCTIONS_A_SECOND)
        if text is None:
            raise machine.explain("the exported example did not end on the emulated board")
    lines = tuple(line for line in text.splitlines() if line.startswith(("sample", "FAIL", "PASS")))
    if not lines or lines[-1] != "PASS":
        said = "; ".join(line for line in lines[:4] if line != "FAIL")
        raise HarnessError(
            f"the exported library does not do what was measured: {said or 'it says nothing'}",
            where=library.shipped.record.key.text,
            hint="was it measured with another compiler or an earlier harness? run the cell again, then export it",
        )
    reading = _READING.search(text)
    return lines[:-1], int(reading[1]) if reading else None


def _talk(machine: McuMachine, patience_s: float) -> str | None:
    """Asks for a run and returns what it says; None where it does not end in time."""
    ends = time.monotonic() + patience_s
    with socket.create_connection((machine.host, machine.port), timeout=5.0) as line:
        line.sendall(b"\n")  # what a first run said before anybody listened is lost
        line.settimeout(0.5)
        heard = b""
        while time.monotonic() < ends and machine.alive:
            try:
                piece = line.recv(4096)
            except TimeoutError:
                continue
            if not piece:
                return None
            heard += piece
            # From the beginning of a run to its end: a first one may have been under way.
            begun = heard.find(f"{_HEAD}".encode())
            if begun >= 0 and re.search(rb"\n(PASS|FAIL)[^\n]*\n", heard[begun:]):
                return heard[begun:].decode("ascii", "replace")
    return None


_HEAD = ": model "
