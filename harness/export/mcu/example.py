"""The example of an exported library: the measured samples, and a program for the measured board that runs and compares them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.paths import packaged_devices_dir
from harness.emulation.mcu.board import McuBoard, ports_dir
from harness.emulation.mcu.firmware import link_flags
from harness.export.folder import write_text
from harness.export.mcu.library import Library
from harness.export.shipped import Samples
from harness.export.templates import fill

_PACKAGE = "harness.export.mcu"
_BYTES_A_LINE = 16
#: of the firmware, what a program needs beside the port: start-up, faults, the counter. The protocol's header names the faults.
_FIRMWARE = ("port.h", "ring.h", "footprint.h", "faults.h", "watch.h", "wide_counter.h", "wide_counter.c")
_PROTOCOL = ("protocol.h", "crc32.h")
#: below example/: the port of a board that came with the harness, as in the firmware
_TREE = "board"


@dataclass(frozen=True, kw_only=True)
class Example:
    """What of the example is there to be built.

    Attributes:
        sources: C files below `example/`, for the whole program; the port is the user's own where there is none.
        includes: folders below `example/`.
        memory, sections: linker scripts below `example/`; None without a port.
        icount_shift: of the emulator that counted; None where a real board was measured.
    """

    sources: tuple[str, ...]
    includes: tuple[str, ...]
    memory: str | None
    sections: str | None
    icount_shift: int | None

    @property
    def whole(self) -> bool:
        """Whether a program can be linked of it."""
        return self.memory is not None


def write_example(library: Library, samples: Samples, folder: Path, *, icount_shift: int | None) -> Example:
    """Writes `example/` of an export.

    Args:
        icount_shift: of the emulated board that counted the samples; None: a real one did.
    """
    board, root = library.board, folder / "example"
    port = board.memory is not None and ports_dir() in board.memory.parents
    unit = "instructions" if icount_shift is not None else "ticks"
    counted = samples.counts is not None and icount_shift is not None
    write_text(root / "expected.h", "".join(_expected(library, samples, icount_shift, counted)))
    write_text(
        root / "main.c",
        fill(
            _PACKAGE,
            "main.c.txt",
            **library.values(),
            port=port,
            icount_shift=icount_shift,
            unit=unit,
            counted=counted,
            exact=counted,
        ),
    )
    if not port:
        firmware = packaged_devices_dir() / "cortex_m" / "firmware"
        _copy(firmware / "port.h", root / _TREE / "firmware" / "port.h")
        return Example(
            sources=("main.c",), includes=(f"{_TREE}/firmware",), memory=None, sections=None, icount_shift=icount_shift
        )
    return _write_port(board, root, icount_shift)


def _write_port(board: McuBoard, root: Path, icount_shift: int | None) -> Example:
    """Copies the board's port, with what it includes, in the folders in which it lies in the firmware."""
    assert board.memory is not None
    cortex_m = packaged_devices_dir() / "cortex_m"
    files = [cortex_m / "firmware" / name for name in _FIRMWARE] + [cortex_m / "protocol" / name for name in _PROTOCOL]
    files += sorted((cortex_m / "firmware" / "cortex_m").glob("*"))
    files += [*board.sources, board.memory]
    for source in board.sources:
        files += sorted(source.parent.glob("*.h"))
    for path in files:
        _copy(path, root / _TREE / path.relative_to(cortex_m))
    sources = [path for path in dict.fromkeys(files) if path.suffix == ".c"]
    place = f"{_TREE}/{board.memory.relative_to(cortex_m)}"
    return Example(
        sources=("main.c", *(f"{_TREE}/{path.relative_to(cortex_m)}" for path in sources)),
        includes=(f"{_TREE}/firmware",),
        memory=place,
        sections=f"{_TREE}/firmware/cortex_m/sections.ld",
        icount_shift=icount_shift,
    )


def link_arguments(library: Library, example: Example, folder: Path) -> list[str]:
    """The flags of the link, relative to the export's folder."""
    assert example.sections is not None and example.memory is not None and library.board.memory is not None
    flags = link_flags(library.board, Path("example") / example.sections)
    return [f"example/{example.memory}" if flag == str(library.board.memory) else flag for flag in flags]


def board_defines(board: McuBoard) -> list[str]:
    """What the port is compiled with."""
    return [f'-DFW_BOARD="{board.name}"', f'-DFW_CORE="{board.core}"', *(f"-D{n}={v}" for n, v in board.defines)]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)


def _expected(library: Library, samples: Samples, icount_shift: int | None, counted: bool) -> Iterator[str]:
    name = library.name
    yield f"/* {len(samples)} of the samples that {name} was measured with, and what the board answered, as bytes in memory. */\n"
    yield "#ifndef EXPECTED_H\n#define EXPECTED_H\n\n#include <stdint.h>\n\n"
    yield f"#define EXPECTED_SAMPLES {len(samples)}u\n"
    if icount_shift is not None:
        yield f"#define EXPECTED_ICOUNT_SHIFT {icount_shift}\n"
    if counted:
        assert samples.counts is not None
        yield "static const uint64_t expected_instructions[EXPECTED_SAMPLES] = {"
        yield ", ".join(f"{count}u" for count in samples.counts.tolist()) + "};\n"
    for kind, arrays in (("input", samples.inputs), ("output", samples.outputs)):
        for number, array in enumerate(arrays):
            yield from _array(f"expected_{kind}_{number}", array)
    yield "\n#endif\n"


def _array(name: str, array: np.ndarray) -> Iterator[str]:
    rows = np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)
    yield f"\nstatic const uint8_t {name}[EXPECTED_SAMPLES][{rows.shape[1]}] = {{\n"
    for row in rows.tolist():
        yield "    {\n"
        for start in range(0, len(row), _BYTES_A_LINE):
            yield "        " + " ".join(f"{value}," for value in row[start : start + _BYTES_A_LINE]) + "\n"
        yield "    },\n"
    yield "};\n"
