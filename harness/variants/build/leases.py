"""Who uses what in the build cache right now, so that nothing is deleted under a running process.

Each process that reads or builds entries holds one lease: a locked file beside a list of keys. The kernel drops the
lock when the process ends, however it ends, so a lease can be stale but never immortal.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout


class Lease:
    """The keys that this process uses and its temporary folders. Lives until `release` or the end of the process.

    The caller holds the cache's lock while a lease grows and while others read it (`live_keys`): a key is then either
    known to the one who deletes, or looked up after the deletion.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._keys_path = folder / f"{self.name}.keys"
        # Held by the process, not by the thread that happened to be first.
        self._lock = FileLock(folder / f"{self.name}.lock", thread_local=False)
        self._lock.acquire(timeout=0)
        self._keys: set[str] = set()
        self._temporary = 0

    def add(self, keys: Iterable[str]) -> None:
        """Declares more keys as used by this process."""
        fresh = set(keys) - self._keys
        if fresh:
            with open(self._keys_path, "a") as file:
                file.writelines(f"{key}\n" for key in sorted(fresh))
            self._keys |= fresh

    def temporary_name(self) -> str:
        """A fresh name for a temporary folder that belongs to this lease."""
        self._temporary += 1
        return f"{self.name}.{self._temporary}"

    def release(self) -> None:
        """Ends the lease."""
        self._keys_path.unlink(missing_ok=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)


def live_keys(folder: Path) -> set[str]:
    """The keys of every lease whose process lives; what dead ones left behind is removed."""
    keys: set[str] = set()
    for path in folder.glob("*.lock") if folder.is_dir() else ():
        keys_path = path.with_suffix(".keys")
        if is_live(folder, path.stem):
            with contextlib.suppress(FileNotFoundError):
                keys.update(keys_path.read_text().split())
        else:
            keys_path.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
    return keys


def is_live(folder: Path, name: str) -> bool:
    """Whether the process that holds the lease of this name still runs."""
    path = folder / f"{name}.lock"
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def remove_leftovers(temporary: Path, leases: Path) -> int:
    """Removes temporary folders whose lease is dead (a killed build); returns the bytes freed."""
    freed = 0
    for folder in temporary.iterdir() if temporary.is_dir() else ():
        if not is_live(leases, folder.name.split(".")[0]):
            freed += folder_bytes(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; files that vanish meanwhile count as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
