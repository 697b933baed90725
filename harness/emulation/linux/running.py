"""The boards that run right now on this machine: a folder each, locked for as long as the board lives.

The lock is held by the board's guard and freed by the kernel, so a folder without it belongs to a board that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.core import paths
from harness.core.errors import TransientDeviceError, unknown_name
from harness.core.files import write_json_atomic

#: file in a board's folder that pins its host key at its port
KNOWN_HOSTS = "known_hosts"
_LOCK, _INFO, _NEW = "lock", "board.json", ".new-"


@dataclass(frozen=True, kw_only=True)
class RunDir:
    """The folder of one board that is about to run. `lock_fd` holds the lock; it is for the guard to inherit."""

    id: str
    path: Path
    lock_fd: int


@dataclass(frozen=True, kw_only=True)
class RunningInfo:
    """A running board, as `harness emulator list` shows it.

    Attributes:
        id: to be used with `harness emulator stop`.
        guard_pid: the process that keeps it; ended, the board ends.
        owner_pid: the process that started it; None for a board that was detached.
        login: a command line that logs in.
    """

    id: str
    title: str
    image: str
    port: int
    guard_pid: int
    owner_pid: int | None
    login: str


def new_run_dir() -> RunDir:
    """A locked folder for a board to run in. Removed by the board's guard."""
    base = _base()
    base.mkdir(parents=True, exist_ok=True)
    _sweep(base)
    name = secrets.token_hex(4)
    hidden = base / f"{_NEW}{name}"
    hidden.mkdir(mode=0o700)
    # Locked before it has its name: nobody can take it for a leftover in between.
    lock_fd = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    os.rename(hidden, base / name)
    return RunDir(id=name, path=base / name, lock_fd=lock_fd)


def announce(run: RunDir, info: RunningInfo, known_hosts_line: str) -> None:
    """Makes a board known to `list_running`, and writes the known_hosts file that pins it."""
    (run.path / KNOWN_HOSTS).write_text(known_hosts_line + "\n")
    write_json_atomic(run.path / _INFO, asdict(info))


def list_running() -> list[RunningInfo]:
    """Boards that run now and can be reached, also those of other processes of this user."""
    base = _base()
    if not base.is_dir():
        return []
    _sweep(base)
    found = []
    for path in sorted(base.iterdir()):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(RunningInfo(**json.loads((path / _INFO).read_text())))
    return found


def stop_running(board_id: str, timeout_s: float = 5.0) -> RunningInfo:
    """Ends a board by its id and waits until it is gone.

    Raises:
        UserInputError: no such board runs.
        TransientDeviceError: it did not end.
    """
    boards = {info.id: info for info in list_running()}
    if board_id not in boards:
        raise unknown_name("running board", board_id, boards)
    info = boards[board_id]
    try:
        guard = os.pidfd_open(info.guard_pid)
    except ProcessLookupError:
        return info
    try:
        # The lock still held means that its holder, the guard, lives; so the number is still the guard's.
        if not _is_locked(_base() / board_id):
            return info
        signal.pidfd_send_signal(guard, signal.SIGTERM)
        import select

        if not select.select([guard], [], [], timeout_s)[0]:
            raise TransientDeviceError(f"the board {board_id} did not end within {timeout_s:.0f} s")
    except ProcessLookupError:
        pass
    finally:
        os.close(guard)
    return info


def _base() -> Path:
    return paths.cache_dir() / "emulation" / "running"


def _sweep(base: Path) -> None:
    """Removes what boards left whose guard was killed."""
    for path in _folders(base):
        if not path.name.startswith(_NEW) and not _is_locked(path):
            shutil.rmtree(path, ignore_errors=True)


def _folders(base: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from (path for path in base.iterdir() if path.is_dir())


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
