"""Compiles the Cortex-M firmware (`devices/cortex_m/`) for a board. The same sources, flags and compiler give the same bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import paths
from harness.core.errors import MissingPartError, UserInputError, unknown_name
from harness.core.files import sha256_bytes, sha256_json, write_json_atomic
from harness.emulation.mcu.board import HOST_CORE, McuBoard, load_board
from harness.emulation.mcu.elf import load_bytes

if TYPE_CHECKING:
    from harness.emulation.mcu.tflite_micro import TfliteMicro

ELF = "firmware.elf"
_INFO = "firmware.json"
_CROSS_COMPILER = "arm-none-eabi-gcc"
_CROSS_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi"
_CROSS_CXX = ("arm-none-eabi-g++", "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib")
_HOST_PACKAGES = "gcc libc6-dev"
_HOST_CXX = ("c++", "g++")
_TIMEOUT_S = 300.0
_HINT = "a C11 compiler and its C library's headers are needed; does the port fit the memory?"
_TFLITE_MICRO_HINT = (
    "is the TFLite Micro library compiled for this core and floating-point ABI, and are its headers of the same version?"
    f" docs/guides/tflite-micro.md; its headers need {_CROSS_CXX[1]}"
)
_LOG_LINES = 12
#: what a board's folder and a build may be called before they become part of a path
_BOARD_NAME, _BUILD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), re.compile(r"[0-9a-f]{16}")

_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
#: a fused multiply-add would change the last bit of a rescaled value (docs/internals/kernels.md)
_C_STANDARD = "-std=c11"
_COMMON = (_C_STANDARD, "-ffp-contract=off", "-ffunction-sections", "-fdata-sections", *_WARNINGS)
_ARM_FLAGS = ("-mthumb", "-Os")
_ARM_LINK = ("-nostartfiles", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--fatal-warnings")
_HOST_FLAGS = ("-O1", "-g")
#: below devices/: what every board is made of, the two runtimes of which it has one, and what only Cortex-M boards are
_FOLDERS = ("cortex_m/firmware", "cortex_m/protocol")
_PLAN_FOLDERS = ("cortex_m/runtime", "cortex_m/kernels", "kernels")
_TFLITE_MICRO_FOLDERS = ("cortex_m/adapters",)
_ARM_FOLDERS = ("cortex_m/firmware/cortex_m",)
#: makes parameters, with floating point and the C library's mathematics: the plan's maker does that on the host
_NOT_ON_BOARDS = ("kernels/prepare.c",)
_INCLUDES = ("kernels", "cortex_m/kernels", "cortex_m/protocol", "cortex_m/runtime", "cortex_m/firmware")


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """A compiled firmware.

    Attributes:
        board: what it is for.
        elf: the program; QEMU and debuggers take it as it is.
        code_bytes: text, constants and initialised data, as the firmware says in its hello; 0 for the host.
        compiler: the first line that the compiler says of itself.
        build: hash of sources, flags and compiler; the firmware says it in its hello.
    """

    board: McuBoard
    elf: Path
    code_bytes: int
    compiler: str
    build: str


@dataclass(frozen=True)
class _Unit:
    source: Path
    name: str


class _Cxx:
    """How the adapter to TFLite Micro is compiled, and what its library adds to the link."""

    def __init__(self, compiler: str, tflite_micro: TfliteMicro, c_flags: Sequence[str]) -> None:
        self._tflite_micro = tflite_micro
        self._command = [compiler, *(flag for flag in c_flags if flag != _C_STANDARD), *tflite_micro.flags]
        self.libraries = (str(tflite_micro.library), "-lm")

    def command(self, includes: Sequence[str]) -> list[str]:
        """The compiler with everything but what to make of which file."""
        return [*self._command, *includes]

    def key(self, units: Sequence[_Unit], includes: Sequence[str]) -> list[str]:
        """What the adapter becomes once every header of TFLite Micro is read in, and the library.

        Raises:
            MissingPartError: the headers do not compile.
        """
        texts = [*self._tflite_micro.defines, self._tflite_micro.build]
        for unit in units:
            if unit.source.suffix == ".cc":
                done = _run([*self.command(includes), "-E", "-P", unit.source.name], unit.source.parent)
                _check(done, unit.name, _TFLITE_MICRO_HINT)
                texts.append(sha256_bytes(done.stdout.encode()))
        return texts


def build_firmware(
    board: str | os.PathLike[str] | McuBoard,
    *,
    tflite_micro: TfliteMicro | None = None,
    ops: Collection[str] | None = None,
    test_faults: bool = False,
    extra_flags: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> Firmware:
    """The firmware for a board, compiled now if it is not in the cache yet (about 3 s). Safe to call from several processes.

    Args:
        board: the name of a board that came with the harness, or the folder of another one (docs/guides/adding-an-mcu-board.md).
        tflite_micro: the runtime is this one, and models are .tflite files; without it the plan runtime.
        ops: of plans (harness.tflite.plan.words.RECORDS); the program has just these. None: all.
        test_faults: with a request that breaks the firmware; for tests only.
        extra_flags: of compiler and linker, such as a sanitizer's; for tests only.
        progress: told a line before something is compiled, which takes seconds.

    Raises:
        UserInputError: an unknown board, a board.toml that is wrong; the cache cannot be written.
        MissingPartError: no compiler (names the Debian packages), or it failed (its last lines are quoted).
    """
    job = _job(board, tflite_micro, ops, test_faults, extra_flags)
    board, build, folder = job.board, job.build, job.folder
    compiler, version, flags, units, cxx = job.compiler, job.version, job.flags, job.units, job.cxx
    found = _cached(board, folder)
    if found is not None:
        return found
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            found = _cached(board, folder)
            if found is None:
                if progress is not None:
                    progress(f"compiling the firmware for {board.name} (once, a few seconds)")
                code_bytes = _compile(board, compiler, [*flags, f'-DFW_BUILD="{build}"'], units, folder / ELF, cxx)
                write_json_atomic(folder / _INFO, {"code_bytes": code_bytes, "compiler": version, "build": build})
                found = _cached(board, folder)
    except OSError as error:
        raise UserInputError(
            f"the firmware cannot be written: {error.strerror or error}",
            where=str(folder),
            hint="set HARNESS_CACHE_DIR to a folder that can be written",
        ) from error
    assert found is not None
    return found


def compiler_of(board: McuBoard) -> tuple[str, str]:
    """The compiler of a board's firmware, and the first line that it says of itself.

    Raises:
        MissingPartError: it is not installed; the hint names the packages.
    """
    compiler = _find_compiler(board)
    return compiler, _run([compiler, "--version"], None).stdout.partition("\n")[0]


def runtime_flags(board: McuBoard) -> tuple[str, ...]:
    """With what the plan runtime and its kernels are compiled for a board, in every firmware and in what is exported of one."""
    return (*board.flags, *_COMMON, *(_HOST_FLAGS if board.core == HOST_CORE else _ARM_FLAGS))


def link_flags(board: McuBoard, sections: Path) -> tuple[str, ...]:
    """What makes a program of a Cortex-M board; `sections` is the linker script for every one of them."""
    return () if board.memory is None else (*_ARM_LINK, "-T", str(board.memory), "-T", str(sections))


def runtime_sources() -> list[Path]:
    """The C files of the plan runtime and of all of its kernels, in a fixed order."""
    root = paths.packaged_devices_dir()
    names = [f"{folder}/{path.name}" for folder in _PLAN_FOLDERS for path in sorted((root / folder).glob("*.c"))]
    return [root / name for name in ("cortex_m/protocol/crc32.c", *names) if name not in _NOT_ON_BOARDS]


def runtime_includes() -> list[Path]:
    """Where their headers lie."""
    return [paths.packaged_devices_dir() / name for name in _INCLUDES]


def run_compiler(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a tool of the compiler's in a folder, to its end.

    Raises:
        MissingPartError: it does not end.
    """
    return _run(command, folder)


def program_of_build(board: str, build: str) -> Path | None:
    """The program of a build that was made on this machine; None where it was not, or where the cache has it no more.

    Args:
        board, build: as a firmware says of itself, which nobody has checked.
    """
    if not _BOARD_NAME.fullmatch(board) or not _BUILD.fullmatch(build):
        return None
    elf = paths.cache_dir() / "firmware" / f"{board}-{build}" / ELF
    return elf if elf.is_file() else None


def built_firmware(
    board: str | os.PathLike[str] | McuBoard, *, tflite_micro: TfliteMicro | None = None
) -> Firmware | None:
    """The firmware for a board where it was compiled already, from the present sources; else None. Nothing is compiled.

    Raises:
        UserInputError, MissingPartError: as `build_firmware`.
    """
    job = _job(board, tflite_micro, None, False, ())
    return _cached(job.board, job.folder)


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A build, and where its result lies."""

    board: McuBoard
    compiler: str
    version: str
    flags: tuple[str, ...]
    units: list[_Unit]
    cxx: _Cxx | None
    build: str
    folder: Path


def _job(
    board: str | os.PathLike[str] | McuBoard,
    tflite_micro: TfliteMicro | None,
    ops: Collection[str] | None,
    test_faults: bool,
    extra_flags: Sequence[str],
) -> _Job:
    board = board if isinstance(board, McuBoard) else load_board(board)
    compiler = _find_compiler(board)
    version = _run([compiler, "--version"], None).stdout.partition("\n")[0]
    flags = (*_flags(board, test_faults), *_ops_flags(ops), *extra_flags)
    units = _units(board, tflite_micro)
    cxx = _Cxx(_find_cxx(board), tflite_micro, flags) if tflite_micro else None
    build = _key(board, version, flags, units, cxx)
    return _Job(
        board=board,
        compiler=compiler,
        version=version,
        flags=flags,
        units=units,
        cxx=cxx,
        build=build,
        folder=paths.cache_dir() / "firmware" / f"{board.name}-{build}",
    )


def _cached(board: McuBoard, folder: Path) -> Firmware | None:
    try:
        info = json.loads((folder / _INFO).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Firmware(board=board, elf=folder / ELF, **info)


def _find_compiler(board: McuBoard) -> str:
    host = (os.environ.get("CC") or "cc", _HOST_PACKAGES)
    return _find(board, *(host if board.core == HOST_CORE else (_CROSS_COMPILER, _CROSS_PACKAGES)))


def _find_cxx(board: McuBoard) -> str:
    return _find(board, *(_HOST_CXX if board.core == HOST_CORE else _CROSS_CXX))


def _find(board: McuBoard, name: str, packages: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingPartError(
            f"the firmware for {board.name} is compiled with {name}, which is not installed",
            hint=f"apt-get install --no-install-recommends {packages}",
        )
    return found


def _flags(board: McuBoard, test_faults: bool) -> tuple[str, ...]:
    defines = [f"-D{name}={value}" for name, value in board.defines]
    defines += [f'-DFW_BOARD="{board.name}"', f'-DFW_CORE="{board.core}"']
    if test_faults:
        defines.append("-DFW_TEST_FAULTS")
    return (*runtime_flags(board), *defines)


def _ops_flags(ops: Collection[str] | None) -> tuple[str, ...]:
    if ops is None:
        return ()
    from harness.tflite.plan.words import RECORDS, ops_defines, ops_mask

    unknown = sorted(set(ops) - set(RECORDS))
    if unknown:
        raise unknown_name("op of a plan", unknown[0], RECORDS)
    # What is built for some models is to be small, and its counts are those of a loop with one caller.
    mask = ops_mask(ops)
    return ("-DRT_LAYERS=0", *ops_defines(mask), *(() if mask >> 64 else ("-DSP_LATE_OPS=0",)))


def _units(board: McuBoard, tflite_micro: TfliteMicro | None) -> list[_Unit]:
    """The C and C++ files of a build in a fixed order, each with a name that does not depend on where this machine keeps it."""
    root = paths.packaged_devices_dir()
    runtime = _TFLITE_MICRO_FOLDERS if tflite_micro else _PLAN_FOLDERS
    folders = (*_FOLDERS, *runtime, *(() if board.core == HOST_CORE else _ARM_FOLDERS))
    own = [f"{folder}/{path.name}" for folder in folders for path in sorted((root / folder).glob("*.c*"))]
    if not own:
        raise MissingPartError(
            "the sources of the firmware are missing", where=str(root), hint="install the harness again"
        )
    units = [_Unit(root / name, name) for name in own if name not in _NOT_ON_BOARDS]
    return units + [_Unit(path, f"port/{path.parent.name}/{path.name}") for path in board.sources]


def _key(board: McuBoard, version: str, flags: Sequence[str], units: Sequence[_Unit], cxx: _Cxx | None) -> str:
    """Of everything that the bytes depend on: sources, headers and linker scripts by content, flags, compiler."""
    folders = {unit.name.rpartition("/")[0]: unit.source.parent for unit in units}
    folders.update({name: paths.packaged_devices_dir() / name for name in (*_INCLUDES, *_ARM_FOLDERS)})
    contents = {unit.name: sha256_bytes(unit.source.read_bytes()) for unit in units}
    for name, folder in folders.items():
        for path in (*folder.glob("*.h"), *folder.glob("*.ld")):
            contents[f"{name}/{path.name}"] = sha256_bytes(path.read_bytes())
    if board.memory is not None:
        contents["memory"] = sha256_bytes(board.memory.read_bytes())
    parts = [board.name, version, flags, _ARM_LINK, contents]
    return sha256_json([*parts, *([cxx.key(units, _includes())] if cxx else [])])[:16]


def _includes() -> list[str]:
    return [f"-I{paths.packaged_devices_dir() / name}" for name in _INCLUDES]


def _compile(
    board: McuBoard, compiler: str, flags: Sequence[str], units: Sequence[_Unit], elf: Path, cxx: _Cxx | None
) -> int:
    """Writes the program and returns its code bytes."""
    root = paths.packaged_devices_dir()
    includes = _includes()
    hint = _TFLITE_MICRO_HINT if cxx else _HINT
    with tempfile.TemporaryDirectory(dir=elf.parent, prefix=".tmp-") as temporary:
        objects = [Path(temporary) / f"{number}.o" for number in range(len(units))]

        def one(unit: _Unit, target: Path) -> None:
            # From its own folder and by its bare name: what the compiler writes down of the source is the same on every machine.
            command = cxx.command(includes) if cxx and unit.source.suffix == ".cc" else [compiler, *flags, *includes]
            _check(_run([*command, "-c", unit.source.name, "-o", str(target)], unit.source.parent), unit.name, hint)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(one, units, objects))
        scripts = link_flags(board, root / _ARM_FOLDERS[0] / "sections.ld")
        program = Path(temporary) / ELF
        libraries = cxx.libraries if cxx else ()
        command = [compiler, *flags, *scripts, *[path.name for path in objects], *libraries, "-o", ELF]
        _check(_run(command, Path(temporary)), board.name, hint)
        code_bytes = 0 if board.core == HOST_CORE else load_bytes(program)
        os.replace(program, elf)
        return code_bytes


def _check(done: subprocess.CompletedProcess[str], what: str, hint: str) -> None:
    if done.returncode:
        lines = "\n".join(done.stderr.strip().splitlines()[-_LOG_LINES:]) or f"exit status {done.returncode}"
        raise MissingPartError(f"the firmware does not compile; the last lines on {what}:\n{lines}", hint=hint)


def _run(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        raise MissingPartError(f"{command[0]} did not end within {_TIMEOUT_S:.0f} s") from None
