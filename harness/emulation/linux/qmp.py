"""QEMU's machine protocol (QMP) over a socket that only this process and QEMU hold: no path, no port, nobody else."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from harness.core.errors import TransientDeviceError


class QmpError(TransientDeviceError):
    """QEMU refused a command, or has ended."""


class QmpClient:
    """Commands to one QEMU. Not for use by two threads at once.

    Args:
        connection: this process's end of a Unix socket pair.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray()

    def greet(self, timeout_s: float) -> None:
        """Waits for QEMU's greeting and enters command mode."""
        deadline = time.monotonic() + timeout_s
        if "QMP" not in self._receive(deadline):
            raise QmpError("QEMU did not greet")
        self.command("qmp_capabilities", timeout_s=timeout_s)

    def command(
        self, name: str, arguments: dict[str, Any] | None = None, *, timeout_s: float = 10.0, fd: int | None = None
    ) -> Any:
        """Runs a command and returns its result.

        Args:
            fd: a descriptor to hand over with the command (`getfd`).

        Raises:
            QmpError: QEMU refused it, ended, or did not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        message = {"execute": name, **({"arguments": arguments} if arguments else {})}
        data = json.dumps(message).encode()
        try:
            self._socket.settimeout(timeout_s)
            if fd is None:
                self._socket.sendall(data)
            else:
                socket.send_fds(self._socket, [data], [fd])
        except OSError as error:
            raise QmpError(f"QEMU is gone: {error}") from error
        while True:
            answer = self._receive(deadline)
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise QmpError(f"QEMU refused {name}: {answer['error'].get('desc', answer['error'])}")

    def close(self) -> None:
        """Closes the connection; QEMU runs on."""
        self._socket.close()

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message, events included."""
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self._socket.recv(65536)
            except TimeoutError:
                raise QmpError("QEMU did not answer in time") from None
            except OSError as error:
                raise QmpError(f"QEMU is gone: {error}") from error
            if not piece:
                raise QmpError("QEMU has ended")
            self._buffer += piece
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return json.loads(line)
