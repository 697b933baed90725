"""The life of one QEMU process: started under a guard, spoken to over QMP, gone when its owner is."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import TransientDeviceError
from harness.emulation import guard
from harness.emulation.linux.qemu import CONSOLE_LOG, BootFiles, board_arguments
from harness.emulation.linux.qmp import QmpClient, QmpError
from harness.emulation.linux.running import RunDir, new_run_dir
from harness.emulation.linux.spec import EmulationSpec
from harness.emulation.tools import find_tool

_QEMU_LOG = "qemu.log"
_LOG_LINES = 12
_GREETING_S = 20.0
_END_S = 10.0


class Machine:
    """One running QEMU.

    Attributes:
        qmp: its control connection.
        run: its folder, with logs.
        guard_pid: the process that keeps it.
    """

    def __init__(self, spec: EmulationSpec, files: BootFiles, *, pristine: bool, incoming: int | None = None) -> None:
        """Starts QEMU.

        Args:
            pristine: see `board_arguments`.
            incoming: descriptor to read a saved state from; the machine then waits for it instead of booting.

        Raises:
            MissingPartError: QEMU is not installed.
            TransientDeviceError: QEMU did not start; its last lines are quoted.
        """
        program = find_tool("qemu-system-aarch64")
        self.run: RunDir = new_run_dir()
        mine, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        arguments = board_arguments(spec, files, run_dir=self.run.path, qmp_fd=theirs.fileno(), pristine=pristine)
        inherited = [theirs.fileno(), self.run.lock_fd, lifeline]
        if incoming is not None:
            arguments += ["-incoming", f"fd:{incoming}"]
            inherited.append(incoming)
        try:
            self._process = self._spawn([program, *arguments], lifeline, inherited)
        finally:
            theirs.close()
            os.close(self.run.lock_fd)
            os.close(lifeline)
        self.guard_pid = self._process.pid
        self.qmp = QmpClient(mine)
        try:
            self.qmp.greet(_GREETING_S)
        except QmpError as error:
            failure = self.explain(f"QEMU did not start: {error.what}")
            self.kill()
            raise failure from error

    def _spawn(self, command: Sequence[str], lifeline: int, inherited: Sequence[int]) -> subprocess.Popen[bytes]:
        with open(self.run.path / _QEMU_LOG, "wb") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    guard.__file__,
                    str(lifeline),
                    str(self.run.lock_fd),
                    str(self.run.path),
                    *command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                # Ctrl-C in a terminal is for the harness, which then ends the board in good order.
                start_new_session=True,
                # QEMU keeps what a pristine board writes in TMPDIR.
                env={**os.environ, "TMPDIR": str(self.run.path)},
            )

    @property
    def alive(self) -> bool:
        """False once QEMU has ended."""
        return self._process.poll() is None

    def ssh_port(self) -> int:
        """The loopback port that leads to the board's SSH server."""
        text = self.qmp.command("human-monitor-command", {"command-line": "info usernet"})
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s", text)
        if not match:
            raise TransientDeviceError("QEMU did not tell the port of the board", where=text.strip())
        return int(match[1])

    def status(self) -> str:
        """What QEMU says that the machine does: `running`, `paused`, `io-error` (its disk is full), or why it says nothing."""
        if not self.alive:
            return "has ended"
        try:
            return str(self.qmp.command("query-status")["status"])
        except QmpError as error:
            return f"does not answer: {error.what}"

    def explain(self, what: str, where: str | None = None) -> TransientDeviceError:
        """An error with the end of what QEMU and the board's console printed."""
        lines: list[str] = []
        for name in (_QEMU_LOG, CONSOLE_LOG):
            with contextlib.suppress(OSError):
                lines += _tail(self.run.path / name)
        return TransientDeviceError("\n".join([what, *lines]), where=where)

    def quit(self) -> None:
        """Ends QEMU in good order: what it has not written yet is written."""
        try:
            self.qmp.command("quit")
            self._process.wait(_END_S)
        except (QmpError, subprocess.TimeoutExpired) as error:
            raise self.explain("QEMU did not end") from error
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends QEMU at once and removes its folder. Safe to call twice; a detached machine is ended, too."""
        self.qmp.close()
        self._release()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.run.path, ignore_errors=True)

    def detach(self) -> None:
        """From now on the machine outlives this process, until `harness emulator stop`."""
        os.write(self._lifeline, b"d")
        self._release()

    def _release(self) -> None:
        """Lets go of the lifeline; a machine that is not detached ends."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _tail(path: Path) -> list[str]:
    text = path.read_bytes()[-8192:].decode(errors="replace")
    return [re.sub(r"[^\x20-\x7e]", "", line) for line in text.splitlines() if line.strip()][-_LOG_LINES:]
