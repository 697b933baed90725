"""Saves a running board into a compressed file and brings it back: QEMU's migration through a pipe to and from zstd."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import TransientDeviceError
from harness.core.files import atomic_file
from harness.core.pipes import piped
from harness.emulation.linux.machine import Machine
from harness.emulation.tools import find_tool

_SAVE_S = 120.0
_RESUME_S = 60.0
_POLL_S = 0.005


def save_state(machine: Machine, path: Path) -> None:
    """Stops the board and writes its whole state to `path`.

    Raises:
        TransientDeviceError: QEMU or zstd failed.
    """
    qmp = machine.qmp
    qmp.command("stop")
    # Without a limit, and memory pages of zeros take no room.
    qmp.command("migrate-set-parameters", {"max-bandwidth": 1 << 40})
    with atomic_file(path) as file:
        with subprocess.Popen([find_tool("zstd"), "-q", "-3", "-T1", "-c"], stdin=subprocess.PIPE, stdout=file) as zstd:
            try:
                state = piped(zstd.stdin)
                qmp.command("getfd", {"fdname": "state"}, fd=state.fileno())
                state.close()
                qmp.command("migrate", {"uri": "fd:state"}, timeout_s=_SAVE_S)
                _wait_for_migration(machine, _SAVE_S)
            except BaseException:
                zstd.kill()
                raise
        if zstd.returncode:
            raise TransientDeviceError(
                f"zstd could not write the board's state: exit status {zstd.returncode}", where=str(path)
            )


@contextlib.contextmanager
def open_state(path: Path) -> Iterator[int]:
    """A descriptor that gives the uncompressed state; zstd ends with the block."""
    command = [find_tool("zstd"), "-q", "-d", "-c", str(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as zstd:
        state = piped(zstd.stdout)
        try:
            yield state.fileno()
        finally:
            state.close()
            zstd.kill()


def resume(machine: Machine) -> None:
    """Waits until a machine that was started with `incoming` has its state, and lets it run.

    Raises:
        TransientDeviceError: the state does not fit this QEMU, or is damaged.
    """
    deadline = time.monotonic() + _RESUME_S
    while machine.qmp.command("query-status")["status"] == "inmigrate":
        if time.monotonic() > deadline:
            raise machine.explain("the saved state of the board was not read in time")
        time.sleep(_POLL_S)
    machine.qmp.command("cont")


def _wait_for_migration(machine: Machine, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        state = machine.qmp.command("query-migrate")
        status = state.get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled"):
            raise machine.explain(f"QEMU could not save the board: {state.get('error-desc', status)}")
        if time.monotonic() > deadline:
            raise machine.explain("QEMU did not save the board in time")
        time.sleep(_POLL_S * 4)


def qemu_version() -> str:
    """QEMU's version; a saved state is only read by the very version that wrote it."""
    from harness.emulation.tools import run_tool

    lines = run_tool(["qemu-system-aarch64", "--version"], "QEMU does not start", timeout_s=20).splitlines()
    return lines[0].removeprefix("QEMU emulator version ").strip() if lines else "unknown"
