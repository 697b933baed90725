"""The compiler of a board, with the flags of its firmware: objects, links, and the names in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import HarnessError
from harness.emulation.mcu.board import HOST_CORE, McuBoard
from harness.emulation.mcu.firmware import compiler_of, run_compiler, runtime_flags

_LOG_LINES = 12
#: letters of `nm` for what a program keeps: code, data, constants, and what begins as zeros
_DEFINED = frozenset("TtDdRrBbWwVv")


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The compiler that builds a board's firmware.

    Attributes:
        compiler: its program.
        version: the first line that it says of itself.
        flags: as the firmware's runtime is compiled, warnings as errors among them.
    """

    compiler: str
    version: str
    flags: tuple[str, ...]

    @staticmethod
    def of(board: McuBoard) -> Toolchain:
        """The board's.

        Raises:
            MissingPartError: no compiler; the hint names the packages.
        """
        compiler, version = compiler_of(board)
        return Toolchain(compiler=compiler, version=version, flags=runtime_flags(board))

    def compile(self, jobs: Sequence[tuple[Path, Path, Sequence[str]]]) -> None:
        """Compiles (source, object, further flags) each, on all cores.

        Raises:
            HarnessError: a file does not compile; the compiler's last lines are quoted.
        """

        def one(job: tuple[Path, Path, Sequence[str]]) -> None:
            source, target, more = job
            self.run([*self.flags, *more, "-c", source.name, "-o", str(target)], source.parent, source.name)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(one, jobs))

    def run(self, arguments: Sequence[str], folder: Path, what: str) -> None:
        """Runs the compiler in a folder.

        Raises:
            HarnessError: it failed; its last lines are quoted.
        """
        done = run_compiler([self.compiler, *arguments], folder)
        if done.returncode:
            lines = "\n".join(done.stderr.strip().splitlines()[-_LOG_LINES:]) or f"exit status {done.returncode}"
            raise HarnessError(f"the exported library does not build; the last lines on {what}:\n{lines}")

    def names(self, file: Path, *, defined: bool = True, only_global: bool = False) -> set[str]:
        """The names that an object or a program defines, or that it wants from others."""
        options = ["--defined-only" if defined else "--undefined-only", *(["-g"] if only_global else [])]
        done = run_compiler([self._tool("nm"), "-P", *options, file.name], file.parent)
        if done.returncode:
            raise HarnessError(f"nm cannot read {file.name}: {done.stderr.strip()}")
        rows = [line.split() for line in done.stdout.splitlines()]
        return {row[0] for row in rows if len(row) >= 2 and (not defined or row[1] in _DEFINED)}

    def _tool(self, name: str) -> str:
        """Another program of the compiler's family, which lies beside it."""
        prefix = self.compiler.removesuffix("gcc") if self.compiler.endswith("-gcc") else ""
        return f"{prefix}{name}"


def require_core(board: McuBoard) -> None:
    """A firmware that is a process of this machine is no board to export for.

    Raises:
        HarnessError: it is one.
    """
    if board.core == HOST_CORE:
        raise HarnessError(
            "its firmware is a program of this machine, for which no library is exported",
            where=board.name,
            hint="export a cell of a Cortex-M board, real or emulated",
        )
