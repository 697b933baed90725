"""An emulated microcontroller board: one qemu-system-arm that runs a firmware, its serial line a socket on loopback.

Its time is a count of instructions: every instruction takes 2^N ns (`-icount shift=N`), whatever the host does meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack

from harness.core.errors import TransientDeviceError, UserInputError
from harness.emulation import guard
from harness.emulation.linux.qemu import option_value
from harness.emulation.linux.running import new_run_dir
from harness.emulation.mcu.board import McuBoard, McuEmulation
from harness.emulation.mcu.firmware import Firmware
from harness.emulation.tools import find_tool

_QEMU_LOG = "qemu.log"
_LOG_LINES = 12
_END_S = 10.0
_NS = 10**9


def instructions(ticks: int, tick_hz: int, icount_shift: int) -> int:
    """Instructions between two readings of a board's counter, exactly.

    Both readings are rounded down to ticks, so the difference is off by less than one tick; while an instruction takes longer
    than two ticks, rounding to the nearest whole instruction takes that away.

    Args:
        ticks: the difference of two readings.
        tick_hz: ticks per second of the board's time, as its hello says.
        icount_shift: one instruction takes 2^icount_shift ns.

    Raises:
        UserInputError: the counter is too slow for exact counts.
    """
    instructions_hz = tick_hz << icount_shift  # times a billion
    if instructions_hz <= 2 * _NS:
        raise UserInputError(
            f"a counter of {tick_hz} Hz cannot tell single instructions of {1 << icount_shift} ns apart",
            hint="a larger icount_shift, up to 10, makes instructions longer",
        )
    return (2 * ticks * _NS + instructions_hz) // (2 * instructions_hz)


def _arguments(emulation: McuEmulation, firmware: Firmware, listener: int) -> list[str]:
    """QEMU's, with its serial line on a socket that listens already."""
    return [
        "-M",
        emulation.machine,
        "-nodefaults",
        "-no-user-config",
        "-nic",
        "none",
        "-display",
        "none",
        "-monitor",
        "none",
        "-icount",
        f"shift={emulation.icount_shift},align=off,sleep=on",
        "-chardev",
        f"socket,id=line,fd={listener},server=on,wait=off,nodelay=on",
        "-serial",
        "chardev:line",
        "-device",
        f"loader,file={option_value(firmware.elf)},cpu-num=0",
    ]


class McuMachine:
    """A running board. It ends with `stop`, or with the process that started it.

    Attributes:
        board: what it is.
        host, port: where its serial line listens, for one client at a time.
    """

    def __init__(self, firmware: Firmware) -> None:
        """Starts the board; it runs when this returns, and answers within about 0.1 s.

        Raises:
            UserInputError: QEMU has no such board.
            MissingPartError: QEMU is not installed.
            TransientDeviceError: QEMU could not be started.
        """
        emulation = firmware.board.emulation
        if emulation is None:
            raise UserInputError(f"{firmware.board.name} cannot be emulated", hint="its board.toml has no [emulation]")
        self.board: McuBoard = firmware.board
        self._shift = emulation.icount_shift
        program = find_tool("qemu-system-arm")
        # `done` closes what only the start needs, whatever happens; `failed` takes back what a running board keeps.
        with ExitStack() as done, ExitStack() as failed:
            self._run = new_run_dir()
            failed.callback(shutil.rmtree, self._run.path, ignore_errors=True)
            done.callback(os.close, self._run.lock_fd)
            try:
                # Bound and listening before QEMU starts: no port is guessed, and a client may connect at once.
                listener = done.enter_context(socket.create_server(("127.0.0.1", 0)))
                self.host, self.port = listener.getsockname()
                lifeline, self._lifeline = os.pipe()
                done.callback(os.close, lifeline)
                failed.callback(os.close, self._lifeline)
                command = [program, *_arguments(emulation, firmware, listener.fileno())]
                self._process = self._spawn(command, lifeline, listener.fileno())
            except OSError as error:
                what = f"the emulated board cannot be started: {error.strerror or error}"
                raise TransientDeviceError(
                    what, where=firmware.board.name, hint="too many open files or processes?"
                ) from error
            failed.pop_all()

    def _spawn(self, command: list[str], lifeline: int, listener: int) -> subprocess.Popen[bytes]:
        run = self._run
        with open(run.path / _QEMU_LOG, "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(lifeline), str(run.lock_fd), str(run.path), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lifeline, run.lock_fd, listener),
                # Ctrl-C in a terminal is for the harness, which then ends the board in good order.
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """The serial line, as pyserial takes it."""
        return f"socket://{self.host}:{self.port}"

    @property
    def alive(self) -> bool:
        """False once QEMU has ended."""
        return self._process.poll() is None

    def instructions(self, ticks: int, tick_hz: int) -> int:
        """See `instructions`; the length of one is this board's."""
        return instructions(ticks, tick_hz, self._shift)

    def explain(self, what: str) -> TransientDeviceError:
        """An error with the end of what QEMU printed."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = (self._run.path / _QEMU_LOG).read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return TransientDeviceError("\n".join([what, *lines]), where=self.board.name)

    def stop(self) -> None:
        """Ends the board at once. Safe to call twice."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._run.path, ignore_errors=True)

    def __enter__(self) -> McuMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
