"""Which runs are being run right now: a lock per run in the results folder, freed by the kernel when its holder dies.

With a shared store there is another lock at the server, which other hosts see; the server frees it when the line ends.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.results.place import place_of
from harness.results.record import RunInfo
from harness.results.store import OPEN_STATES, Store

#: long enough for someone who only looks to be gone again
_WAIT_S = 0.5
#: how long a night waits for another one of its series, as for a board that somebody holds; and how often it looks, here
#: and at a server
NIGHT_WAIT_S, _LOOK_S, _ASK_S = 3600.0, 0.2, 5.0


def _lock_path(results: Path, run: str) -> Path:
    return results / f".{run}.lock"


@contextmanager
def only_one(results: Path, run: str) -> Iterator[None]:
    """Keeps two processes from running the same run.

    Raises:
        UserInputError: another process is at it.
    """
    from filelock import FileLock, Timeout

    path = _lock_path(results, run)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_WAIT_S)
    except Timeout:
        raise UserInputError(f"run {run} is being run by another process", hint="wait for its end") from None
    with ExitStack() as held:
        held.callback(lock.release)
        held.callback(path.unlink, missing_ok=True)
        if not _held_at_server(held, results, run):
            raise UserInputError(f"run {run} is being run by another host", hint="wait for its end")
        yield


def _held_at_server(held: ExitStack, results: Path, name: str) -> bool:
    """Whether a lock of this name is `held` at the server now; True where there is none, or it was given up.

    Raises:
        StoreGoneError: the server does not answer, and this process cannot go on without it.
    """
    place = place_of(results)
    if place.url is None:
        return True
    from harness.results.faults import StoreGoneError
    from harness.results.server import run_lock
    from harness.results.shared import known_database

    database = known_database(place)
    if database.local is not None:
        return True
    try:
        return held.enter_context(run_lock(place.url, name))
    except StoreGoneError as error:
        if not database.give_up(error.what):
            raise
        return True


@contextmanager
def one_night(
    results: Path, series: str, *, wait_s: float = NIGHT_WAIT_S, note: Callable[[str], None] = lambda text: None
) -> Iterator[None]:
    """Lets the nights of a series follow each other: each is judged by a history that has an end, and times of two at once
    would disturb each other. Hosts that share a store wait for each other, too.

    Args:
        wait_s: for another night of the series.
        note: told once that there is something to wait for.

    Raises:
        UserInputError: the other night is still going on.
        StoreGoneError: the server of a shared store does not answer, and this process did not expect that (`shared.expect_loss`).
    """
    ends_s = time.monotonic() + wait_s
    told = False
    while True:
        with ExitStack() as held:
            where = _taken_at(held, results, series)
            if where is None:
                yield
                return
        if time.monotonic() >= ends_s:
            raise UserInputError(
                f"another night of the series '{series}' is running{where}, still after {wait_s:g} s",
                where=str(results),
                hint="wait for its end, or give this night a series of its own with --series",
            )
        if not told:
            note(f"another night of the series '{series}' is running{where}; waiting for its end")
            told = True
        time.sleep(_ASK_S if where else _LOOK_S)


def _taken_at(held: ExitStack, results: Path, series: str) -> str | None:
    """None when the locks of a series are `held` now; else where another night has them."""
    from filelock import FileLock, Timeout

    # The file stays: taking it away would let two who wait hold two different ones.
    lock = FileLock(results / f".series-{sha256_json(series)[:12]}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return ""
    held.callback(lock.release)
    return None if _held_at_server(held, results, f"series {series}") else " on another host"


def is_running(results: Path, run: str) -> bool:
    """Whether a process is at the run, here or on a host that shares the store. Needs no right to write in the folder."""
    if _is_running_here(results, run):
        return True
    place = place_of(results)
    if place.url is None:
        return False
    from harness.results.server import is_locked
    from harness.results.shared import known_database

    return known_database(place).local is None and is_locked(place.url, run)


def _is_running_here(results: Path, run: str) -> bool:
    try:
        import fcntl
    except ImportError:  # reports are also read where no run can be made and no lock be seen
        return True
    try:
        fd = os.open(_lock_path(results, run), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True  # held; or a file system without locks, which cannot tell
    finally:
        os.close(fd)
    return False


def settled(store: Store, info: RunInfo) -> RunInfo:
    """The run as it ended, where its record says that it goes on but the process behind it is gone: `finished` when every
    planned cell has a record, else `interrupted`.
    """
    if info.state not in OPEN_STATES or is_running(store.results_dir, info.run):
        return info
    # Asked again: it may have ended well between its record's being read and the look at the lock.
    state = store.run(info.run).state
    if state in OPEN_STATES:
        state = "finished" if store.is_complete(info.run) else "interrupted"
    return dataclasses.replace(info, state=state)


def can_resume(info: RunInfo) -> bool:
    """Whether `harness run --resume` takes the run: it ended early, and says how it was started."""
    return (
        info.state == "interrupted"
        and info.environment.get("kind") != "suite"
        and bool(info.environment.get("options"))
    )
