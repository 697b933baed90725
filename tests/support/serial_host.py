"""The board of tests/support/serial_board.c in this process, and the lines it hangs on: one that damages, a pty, a socket."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import random
import select
import socket
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.places import ROOT, SUPPORT

PROTOCOL = ROOT / "devices" / "cortex_m" / "protocol"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{PROTOCOL}", f"-I{SUPPORT}")
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compile_c(target: Path, sources: list[Path], *options: str) -> Path:
    """Raises RuntimeError with the compiler's messages; a warning is an error."""
    sources = [*sources, *sorted(PROTOCOL.glob("*.c"))]
    command = [os.environ.get("CC", "cc"), *FLAGS, *options, "-o", str(target), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return target


def load_library(folder: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(compile_c(folder / "board.so", [SUPPORT / "serial_board.c"], "-shared", "-fPIC")))
    library.board_new.restype = ctypes.c_void_p
    for name in ("free", "pending", "runs", "broken_rules", "answers"):
        getattr(library, f"board_{name}").argtypes = [ctypes.c_void_p]
    library.board_take_bytes.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    library.board_count_from.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.board_power_cycle.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.board_drain.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


class Board:
    """The compiled board: bytes in, bytes out."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._board = library.board_new()

    def feed(self, data: bytes) -> bytes:
        self._library.board_take_bytes(self._board, data, len(data))
        return self._drain()

    def power_cycle(self, *, announce: bool = True) -> bytes:
        self._library.board_power_cycle(self._board, announce)
        return self._drain()

    def _drain(self) -> bytes:
        room = ctypes.create_string_buffer(max(self._library.board_pending(self._board), 1))
        size = self._library.board_pending(self._board)
        self._library.board_drain(self._board, room)
        return room.raw[:size]

    def count_from(self, sequence: int) -> None:
        """Sets the sequence number that the board expects, as if all before it had been `READ`s."""
        self._library.board_count_from(self._board, sequence)

    @property
    def broken_rules(self) -> int:
        """How often the protocol code gave the board something that it promises not to."""
        return self._library.board_broken_rules(self._board)

    @property
    def runs(self) -> int:
        return self._library.board_runs(self._board)

    def close(self) -> None:
        self._library.board_free(self._board)


#: what happens to a byte: (byte, random number) -> what comes out
DAMAGE: dict[str, Callable[[int, int], bytes]] = {
    "flip": lambda byte, number: bytes([byte ^ (1 << number % 8)]),
    "drop": lambda byte, number: b"",
    "double": lambda byte, number: bytes([byte, byte]),
    "insert": lambda byte, number: bytes([byte, number % 256]),
    "zero": lambda byte, number: b"\0",
}


class DamagingPort:
    """A port whose line damages, and whose clock stands still but for waiting.

    Args:
        board: at the other end.
        damage: called for every byte, with "up" or "down": what arrives in its place.
        reboots: numbers of bytes sent after which the board loses its power.
        rng: decides how much of what is under way arrives at a time.
    """

    description = "test line"
    baud = 115_200

    def __init__(
        self,
        board: Board,
        rng: random.Random,
        damage: Callable[[str, int], bytes] | None = None,
        reboots: tuple[int, ...] = (),
    ) -> None:
        self.board = board
        self.damage = damage
        self._reboots = sorted(reboots)
        self._rng = rng
        self._time = 0.0
        self._up = bytearray()
        self._down = bytearray()
        self._carried = 0

    def now(self) -> float:
        return self._time

    def prepend(self, data: bytes) -> None:
        """Lays bytes on the line to the host, before all that is there."""
        self._down[:0] = data

    def write(self, data: bytes, deadline_s: float) -> None:
        self._time += len(data) * 10 / self.baud
        self._up += self._damaged("up", data)

    def read_some(self, deadline_s: float) -> bytes:
        # How far the board has got varies, so that windows fill and answers come late.
        if deadline_s > 0 or self._rng.random() < 0.3:
            self._work(len(self._up) if deadline_s > 0.05 else self._rng.randrange(len(self._up) + 1))
        if not self._down:
            self._time += max(deadline_s, 0.0005)
            return b""
        count = self._rng.randrange(1, len(self._down) + 1)
        data = bytes(self._down[:count])
        del self._down[:count]
        self._time += count * 10 / self.baud
        return data

    def _work(self, count: int) -> None:
        while count:
            part = count
            if self._reboots and self._carried + part > self._reboots[0]:
                part = max(self._reboots[0] - self._carried, 0)
            self._down += self._damaged("down", self.board.feed(bytes(self._up[:part])))
            del self._up[:part]
            self._carried += part
            count -= part
            if self._reboots and self._carried >= self._reboots[0]:
                self._reboots.pop(0)
                self._down += self._damaged("down", self.board.power_cycle(announce=self._rng.random() < 0.5))

    def _damaged(self, way: str, data: bytes) -> bytes:
        return data if self.damage is None else b"".join(self.damage(way, byte) for byte in data)


@contextlib.contextmanager
def serving(board: Board, descriptor: int) -> Iterator[None]:
    """The board at the other end of a descriptor, worked by a thread, until the block ends."""
    stop, stopper = os.pipe()

    def work() -> None:
        while True:
            ready, _, _ = select.select([descriptor, stop], [], [])
            if stop in ready:
                return
            try:
                data = os.read(descriptor, 4096)
            except OSError:
                return
            if not data:
                return
            answer = board.feed(data)
            while answer:
                answer = answer[os.write(descriptor, answer) :]

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.write(stopper, b"!")
        thread.join(10)
        os.close(stop)
        os.close(stopper)


@contextlib.contextmanager
def pty_board(board: Board, link: Path | None = None) -> Iterator[str]:
    """The path of a pty with the board at its other end; `link` (as in /dev/serial/by-id) points to it, if given."""
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    # Raw before anyone opens it: a board that speaks first must not hear its own echo.
    tty.setraw(slave)
    os.close(slave)
    if link is not None:
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    # Kept open by nobody, a pty is hung up until the host opens it; the board's end waits for that.
    keep = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        with serving(board, master):
            yield str(link or path)
    finally:
        os.close(keep)
        os.close(master)
        if link is not None:
            link.unlink(missing_ok=True)


@contextlib.contextmanager
def socket_board(board: Board) -> Iterator[str]:
    """A socket:// address with the board behind it, for one connection, as QEMU gives one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                connections.append(connection)
                with serving(board, connection.fileno()):
                    done.wait()

        done = threading.Event()
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            if not connections:
                server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in connections:
                connection.close()
