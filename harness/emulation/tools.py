"""The programs of the operating system that emulation needs, found and run without a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core.errors import MissingPartError, TransientDeviceError

#: program -> the Debian package that brings it
PACKAGES = {
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "zstd": "zstd",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "tar": "tar",
    "apt-get": "apt",
    "apt-cache": "apt",
}
#: what starting a finished image takes; building takes all of them
RUN_TOOLS = ("qemu-system-aarch64", "zstd")

_LOG_LINES = 12


def find_tool(name: str) -> str:
    """The path of a program, also in the folders that only root has on PATH.

    Raises:
        MissingPartError: not installed; names the Debian package.
    """
    require_tools((name,))
    return _which(name) or name


def require_tools(names: Sequence[str] = tuple(PACKAGES)) -> None:
    """Checks that programs are there.

    Raises:
        MissingPartError: one error for all that are missing, naming the Debian packages.
    """
    missing = [name for name in names if _which(name) is None]
    if missing:
        packages = " ".join(dict.fromkeys(PACKAGES[name] for name in missing))
        raise MissingPartError(
            f"emulated boards need {', '.join(missing)}, not installed here",
            hint=f"`./bench` installs what is missing; by hand: apt-get install --no-install-recommends {packages}",
        )


def run_tool(
    argv: Sequence[str | Path],
    failure: str,
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Runs a program to its end and returns what it printed.

    Args:
        argv: the program's name as in PACKAGES (or an absolute path) and its arguments.
        failure: how an error begins, such as "no disk could be made".

    Raises:
        MissingPartError: the program failed; its last lines are quoted.
        TransientDeviceError: it did not end in time.
    """
    program = str(argv[0])
    command = [program if os.path.isabs(program) else find_tool(program), *map(str, argv[1:])]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransientDeviceError(f"{failure}: {Path(program).name} did not end within {timeout_s:.0f} s") from None
    if done.returncode:
        raise MissingPartError(f"{failure}; the last lines of {Path(program).name}:\n{last_lines(done)}")
    return done.stdout


def last_lines(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what a program printed, errors first of all."""
    lines = (done.stderr or done.stdout or "").strip().splitlines()
    return "\n".join(lines[-_LOG_LINES:]) or f"exit status {done.returncode}"


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
