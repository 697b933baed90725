"""Leases: one user of a board at a time, on this machine and for this user's cache.

The lock is the kernel's (`flock`), so a holder that dies, also by SIGKILL, frees the board at once. A note beside the
lock says who holds it; it informs people and decides nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from harness.boards.profile.model import Profile
from harness.core import paths
from harness.core.errors import TransientDeviceError, UserInputError
from harness.core.files import write_json_atomic

_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lease: process id, device, what they run, and since when (local time, ISO 8601)."""

    pid: int
    device: str
    what: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.what}) on {self.device} since {self.since}"


@contextlib.contextmanager
def lease(
    profile: Profile,
    wait_s: float = 0.0,
    on_wait: Callable[[str], None] | None = None,
    *,
    run: str = "",
    stop: threading.Event | None = None,
) -> Iterator[None]:
    """Holds the device, or the machine that it shares with others (`exclusive` in the profile), for the block.

    Args:
        profile: the device.
        wait_s: how long to wait for another user; 0 fails at once.
        on_wait: told who holds the device, once per holder, when there is something to wait for.
        run: the id of the run, shown to whoever waits.
        stop: ends the wait early when set, such as by Ctrl-C in another thread.

    Raises:
        TransientDeviceError: somebody else holds it still; the message says who.
        UserInputError: the cache folder cannot be written.
    """
    import filelock

    folder = paths.cache_dir() / "leases"
    note = folder / f"{profile.lock_name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{profile.lock_name}.lock", timeout=0)
        _acquire(lock, note, profile, wait_s, on_wait or (lambda _text: None), stop)
    except OSError as error:
        raise UserInputError(
            f"no lease for {profile.name} can be taken: {error.strerror or error}",
            where=str(folder),
            hint="point HARNESS_CACHE_DIR at a folder that can be written",
        ) from error
    try:
        what = run or " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200] or "python"
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        with contextlib.suppress(OSError):  # a full disk must not keep a free board from its user
            write_json_atomic(note, asdict(Holder(pid=os.getpid(), device=profile.name, what=what, since=since)))
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink()
        lock.release()


def holder_of(profile: Profile) -> Holder | None:
    """Who says that they hold the device now; None when it is free. The lock itself is not touched: for display only."""
    holder = _read_note(paths.cache_dir() / "leases" / f"{profile.lock_name}.json")
    if holder is None:
        return None
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return None  # it died without taking its note away
    except PermissionError:
        pass  # alive, and another user's
    return holder


def _acquire(lock, note: Path, profile: Profile, wait_s: float, on_wait: Callable[[str], None], stop) -> None:
    import filelock

    deadline = time.monotonic() + wait_s
    told: str | None = None
    while True:
        try:
            lock.acquire(timeout=0)
            return
        except filelock.Timeout:
            pass
        holder = _read_note(note)
        text = f"{profile.lock_name} is in use by {holder or 'another process'}"
        if time.monotonic() >= deadline:
            waited = f" after waiting {wait_s:g} s" if wait_s else ""
            hint = "try again when it is done"
            raise TransientDeviceError(f"{text}{waited}", where=profile.name, hint=hint)
        if text != told:
            on_wait(f"{text}; waiting")
            told = text
        if stop is None:
            time.sleep(_POLL_S)
        elif stop.wait(_POLL_S):
            raise TransientDeviceError("interrupted while waiting for the device", where=profile.name)


def _read_note(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
