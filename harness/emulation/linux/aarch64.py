"""An emulated 64-bit Arm board: QEMU's `virt` machine with Debian and a TFLite runtime, reached over real SSH.

    with EmulatedBoard.start(EmulationSpec(model="NXP i.MX8MPlus EVK board")) as board:
        ...  # board.host, board.port, board.user, board.key_file, board.host_key_line, board.python

A start resumes the saved state of a booted board, so it takes about a second, and its disk is as it was made, every time.
The board ends with the `with` block, and with the process that started it, however that ends.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from harness.core.errors import TransientDeviceError
from harness.emulation.linux.image import PYTHON, BoardImage, ensure_image
from harness.emulation.linux.login import Access, CommandResult, run_on_board
from harness.emulation.linux.machine import Machine
from harness.emulation.linux.migrate import open_state, resume
from harness.emulation.linux.running import KNOWN_HOSTS, RunningInfo, announce
from harness.emulation.linux.spec import EmulationSpec
from harness.envs.hostenv import TextProgress, parse_package

#: what the board calls its caches' parent; writable, empty at each start
HOME = "/root"


@dataclass(frozen=True, kw_only=True)
class StartTimes:
    """Seconds from the call until QEMU ran, and until the board ran on from where it was saved."""

    qemu_s: float
    resumed_s: float


class RunningBoard:
    """A board that runs. Also a context manager that ends it.

    Attributes:
        id: for `harness emulator stop`.
        image: what it runs on.
        access: how to log in.
        python: the interpreter that has numpy and the runtime.
        runtime_module: the runtime's import name.
        times: how long the start took.
    """

    def __init__(self, machine: Machine, image: BoardImage, access: Access, times: StartTimes) -> None:
        self._machine = machine
        self.id = machine.run.id
        self.image = image
        self.access = access
        self.times = times
        self.python = PYTHON
        self.runtime_module = parse_package(image.spec.runtime).module

    @property
    def host(self) -> str:
        return self.access.host

    @property
    def port(self) -> int:
        """The loopback port of its SSH server, another one at each start."""
        return self.access.port

    @property
    def user(self) -> str:
        return self.access.user

    @property
    def key_file(self) -> Path:
        """Private key of the login."""
        return self.access.key_file

    @property
    def host_key_line(self) -> str:
        """The board's public host key, `ssh-ed25519 BASE64`: the one to pin."""
        return self.access.host_key_line

    @property
    def known_hosts_file(self) -> Path:
        """A known_hosts file with just this board, there for as long as the board runs."""
        return self._machine.run.path / KNOWN_HOSTS

    @property
    def alive(self) -> bool:
        """False once the board has ended, for whatever reason."""
        return self._machine.alive

    @property
    def guard_pid(self) -> int:
        """The process that keeps the board."""
        return self._machine.guard_pid

    @property
    def login_command(self) -> str:
        """A command line with which a person logs in. The key is checked against the image's, not accepted on sight."""
        import shlex

        known_hosts = f"UserKnownHostsFile={shlex.quote(str(self.known_hosts_file))}"
        options = (
            f"-o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null -o {known_hosts}"
        )
        return f"ssh -p {self.port} -i {shlex.quote(str(self.key_file))} {options} {self.user}@{self.host}"

    def run(self, command: str, timeout_s: float = 60.0) -> CommandResult:
        """Runs a command of the harness's own on the board, with a login of its own.

        Raises:
            StableDeviceError: the board has another host key, or refuses the login.
            TransientDeviceError: the connection failed, or the command did not end in time; QEMU's state and the last lines of
                its console are quoted, because a board that hangs says nothing by itself.
        """
        try:
            return run_on_board(self.access, command, timeout_s)
        except TransientDeviceError as error:
            raise self._machine.explain(f"{error.what} (QEMU: {self._machine.status()})", where=error.where) from error

    def stop(self) -> None:
        """Ends the board at once; nothing of it is worth keeping. Safe to call twice."""
        self._machine.kill()

    def __enter__(self) -> RunningBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class EmulatedBoard:
    """Makes boards run."""

    @staticmethod
    def start(spec: EmulationSpec, *, progress: TextProgress | None = None, detached: bool = False) -> RunningBoard:
        """Starts a board, after making its image where there is none yet.

        Args:
            progress: told what is going on, a line at a time.
            detached: the board outlives this process, until `harness emulator stop`.

        Raises:
            MissingPartError: a program or package is not to be had.
            TransientDeviceError: the board did not come up.
        """
        return start_image(ensure_image(spec, progress=progress), detached=detached)


def start_image(image: BoardImage, *, detached: bool = False) -> RunningBoard:
    """Resumes a board from its image.

    Raises:
        TransientDeviceError: it did not come up; the last lines of QEMU and of its console are quoted.
    """
    begin = time.monotonic()
    machine = None
    with open_state(image.state) as state:
        try:
            machine = Machine(image.spec, image.files, pristine=True, incoming=state)
            started = time.monotonic()
            resume(machine)
            resumed = time.monotonic()
            # Its SSH server was listening when the board was saved. Asking it for its banner first would only cost it a login.
            access = Access(port=machine.ssh_port(), key_file=image.login_key, host_key_line=image.host_key_line)
            times = StartTimes(qemu_s=started - begin, resumed_s=resumed - begin)
            board = RunningBoard(machine, image, access, times)
            announce(
                machine.run,
                RunningInfo(
                    id=board.id,
                    title=image.spec.model or image.spec.cpu,
                    image=image.key,
                    port=access.port,
                    guard_pid=machine.guard_pid,
                    owner_pid=None if detached else os.getpid(),
                    login=board.login_command,
                ),
                access.known_hosts_line,
            )
            if detached:
                machine.detach()
            return board
        except TransientDeviceError as error:
            failure = machine.explain(error.what) if machine else error  # without a machine, the logs are in the error
            if machine:
                machine.kill()
            hint = "if it happens again, make the image anew: harness emulator build --refresh"
            raise TransientDeviceError(failure.what, where=f"image {image.key}", hint=hint) from error
        except BaseException:
            if machine:
                machine.kill()
            raise
