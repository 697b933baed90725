"""A link to a board made of QEMU: it exists as long as the link is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import TransientDeviceError
from harness.emulation.linux.spec import BoardFile, EmulationSpec
from harness.links.base import Link, SshLink

if TYPE_CHECKING:
    from harness.emulation.linux.aarch64 import RunningBoard
    from harness.links.base import Channel

#: where the NPU stand-in's library stands on an emulated board, and what a profile's backend calls it
STANDIN_PATH = "/usr/lib/libnpu_standin.so"
STANDIN_NAME = "npu-standin"
#: an emulated processor computes a key exchange for a second, on a busy machine for several
_CONNECT_S = 30.0


def with_standin(spec: EmulationSpec) -> EmulationSpec:
    """The same machine with the NPU stand-in in its image; compiles it.

    Raises:
        MissingPartError: the cross compiler is missing; the hint names the package.
    """
    from harness.emulation.npu.build import build_standin

    library = BoardFile(source=Path(build_standin("aarch64")), path=STANDIN_PATH)
    return replace(spec, files=(*spec.files, library))


class EmulatedLink(Link):
    """`open` resumes a pristine machine, `close` ends it.

    Args:
        device: the emulated board's name.
        spec: the machine.
        standin: whether the NPU stand-in is to be in its image.
        progress: told of long waits, such as an image being made.
    """

    def __init__(
        self, device: str, spec: EmulationSpec, *, standin: bool = False, progress: Callable[[str], None] | None = None
    ) -> None:
        self.description = f"the emulated board {device}"
        self._device = device
        self._spec = spec
        self._standin = standin
        self._progress = progress
        self._machine: RunningBoard | None = None
        self._ssh: Link | None = None

    def open(self) -> None:
        """Starts the machine, after making its image where there is none, and connects to it.

        Raises:
            MissingPartError: QEMU, a cross compiler or another system package is missing; the hint names it.
            TransientDeviceError: the machine did not come up.
        """
        from harness.emulation.linux.aarch64 import EmulatedBoard

        self.close()
        spec = with_standin(self._spec) if self._standin else self._spec
        machine = self._machine = EmulatedBoard.start(spec, progress=self._progress)
        settings = SshLink(
            host=machine.host,
            port=machine.port,
            user=machine.user,
            key_files=(str(machine.key_file),),
            use_agent=False,
            device=self._device,
            known_hosts_file=str(machine.known_hosts_file),
            connect_timeout_s=_CONNECT_S,
        )
        self._ssh = settings.link()
        try:
            self._ssh.open()
        except BaseException:
            self.close()
            raise

    def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program on the board."""
        if self._ssh is None:
            raise TransientDeviceError("the emulated board is not running", where=self._device)
        return self._ssh.start(argv)

    def close(self) -> None:
        """Ends the connection and the machine with it. Safe to call twice."""
        ssh, self._ssh = self._ssh, None
        machine, self._machine = self._machine, None
        try:
            if ssh is not None:
                ssh.close()
        finally:
            if machine is not None:
                machine.stop()
