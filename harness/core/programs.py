"""Programs of others that are run to their end: by an argument list, never a shell, with a deadline and bounded output."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import MissingPartError
from harness.core.printable import visible

#: of what a program prints, the end is kept
_OUTPUT_BYTES = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit status, negative for a signal; None: it was ended at its deadline.
        output: the end of what it printed on both streams, safe to print.
    """

    code: int | None
    output: str

    def last_lines(self, count: int = 6) -> str:
        """The last lines with anything in them, joined by ` | `."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return " | ".join(lines[-count:]) or "it printed nothing"


def find_program(name: str, *, hint: str) -> str:
    """The path of a program; a name with a `/` is one.

    Raises:
        MissingPartError: there is no such program.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingPartError(f"there is no program {name}", hint=hint)
    return found


def run_program(
    command: Sequence[str], *, timeout_s: float, folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> Ended:
    """Runs a program without input until it ends, it and what it started; at the deadline all of them are killed.

    Args:
        command: the program's path and its arguments.
        timeout_s: the deadline.
        folder: where it runs; None: here.
        environ: in place of this process's environment.

    Raises:
        MissingPartError: it cannot be started.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=None if environ is None else dict(environ),
                start_new_session=True,
            )
        except OSError as error:
            raise MissingPartError(f"{command[0]} cannot be started: {error.strerror or error}") from error
        code: int | None
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(process)
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _OUTPUT_BYTES))
        text = output.read().decode("utf-8", "replace")
    return Ended(code=code, output="\n".join(visible(line) for line in text.splitlines()))


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that leads a session of its own, with all that it started there; nothing where it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
