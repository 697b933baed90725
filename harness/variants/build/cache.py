"""The build cache: artifacts and trainings, content-addressed, whole or not there.

    CACHE/artifacts/<key[:2]>/<key>/   model.tflite (absent when refused), manifest.json
    CACHE/trainings/<key>/             weights.npz, representative.npy, manifest.json (absent files: refused)
    CACHE/build/                       index/ (request without package versions -> key), locks/, leases/, tmp/

A folder takes its name by one rename when everything in it is on disk, so a killed build leaves only a temporary
folder, which the next build removes. No TensorFlow here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from harness.core import paths
from harness.core.errors import HarnessError, UserInputError
from harness.core.files import sha256_file, write_json_atomic
from harness.variants.build import leases
from harness.variants.refusals import REFUSAL_VERSION

MANIFEST_SCHEMA = 1
DEFAULT_QUOTA_BYTES = 4 << 30

Kind = Literal["artifact", "training"]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, kw_only=True)
class CleanReport:
    """What a clean-up removed, and what it left because it was in use or within the quota."""

    removed_artifacts: int
    removed_trainings: int
    removed_bytes: int
    leftover_bytes: int
    kept_in_use: int
    kept_bytes: int


@dataclass(frozen=True, kw_only=True)
class _Entry:
    kind: Kind
    key: str
    path: Path
    size_bytes: int
    last_used_ns: int


def parse_size(text: str) -> int:
    """Bytes of a size such as `500M`, `2G` or `1048576` (powers of 1024).

    Raises:
        UserInputError: when it is no size.
    """
    word = text.strip().lower().removesuffix("ib").removesuffix("b")
    number, unit = (word[:-1], word[-1]) if word and word[-1] in "kmgt" else (word, "")
    try:
        value = float(number) * _UNITS[unit]
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UserInputError(f"'{text}' is not a size", hint="write bytes or a number with K, M, G or T, such as 2G")
    return int(value)


def quota_bytes(option: str | None = None) -> int:
    """The cache's quota: the option, else `$HARNESS_CACHE_QUOTA`, else 4 GiB."""
    text = option or os.environ.get("HARNESS_CACHE_QUOTA")
    return parse_size(text) if text else DEFAULT_QUOTA_BYTES


class BuildCache:
    """One process' view of the cache; see the module. Use as a context manager, or `close` it, to end its lease."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or paths.cache_dir()
        self._control = self.root / "build"
        self._lease: leases.Lease | None = None
        self._cache_lock: FileLock | None = None

    def __enter__(self) -> BuildCache:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up what this process declared as used."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def folder(self, kind: Kind, key: str) -> Path:
        """Where an entry lies, whether it exists or not."""
        return self.root / "artifacts" / key[:2] / key if kind == "artifact" else self.root / "trainings" / key

    def use(self, keys: Iterable[str]) -> None:
        """Declares keys as used by this process, before looking them up: nobody deletes them while it lives.

        A cache that cannot be written to can be read all the same.
        """
        with contextlib.suppress(OSError):
            self._declare(keys)

    def _declare(self, keys: Iterable[str]) -> leases.Lease:
        with self._locked():
            if self._lease is None:
                self._lease = leases.Lease(self._control / "leases")
            self._lease.add(keys)
            return self._lease

    def find(self, kind: Kind, key: str) -> dict[str, Any] | None:
        """The manifest of a whole entry, or None. A damaged entry counts as absent and is replaced by the next build, and
        so does a refusal in words that are not today's."""
        folder = self.folder(kind, key)
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
            whole = (
                manifest["schema"] == MANIFEST_SCHEMA
                and manifest["key"] == key
                and all(_is_file_whole(folder / name, facts) for name, facts in manifest["files"].items())
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not whole or _is_stale_refusal(manifest):
            return None
        with contextlib.suppress(OSError):
            os.utime(folder / "manifest.json")
        return manifest

    def lock(self, key: str) -> FileLock | None:
        """The entry's lock, taken, or None while another process builds it."""
        # Under the cache's lock, so that nobody removes the lock's file between its opening and its taking.
        with self._writing(), self._locked():
            folder = self._control / "locks"
            folder.mkdir(exist_ok=True)
            lock = FileLock(folder / f"{key}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return None
            return lock

    def temporary_folder(self) -> Path:
        """A fresh folder on the cache's file system that belongs to this process."""
        with self._writing():
            folder = self._control / "tmp" / self._declare(()).temporary_name()
            folder.mkdir(parents=True)
            return folder

    def publish(self, kind: Kind, key: str, temporary: Path, manifest: dict[str, Any]) -> dict[str, Any]:
        """Makes a finished temporary folder the entry of this key. The caller holds the entry's lock.

        Args:
            temporary: holds the entry's files; a manifest is added here.
            manifest: without `schema`, `key` and `files`, which are filled in.

        Returns:
            The manifest as stored.
        """
        final = self.folder(kind, key)
        with self._writing():
            names = sorted(path.name for path in temporary.iterdir())
            files = {
                name: {"size_bytes": (temporary / name).stat().st_size, "sha256": sha256_file(temporary / name)}
                for name in names
            }
            manifest = {**manifest, "schema": MANIFEST_SCHEMA, "key": key, "files": files}
            write_json_atomic(temporary / "manifest.json", manifest)
            for name in names:
                _sync(temporary / name)
            with self._locked():
                final.parent.mkdir(parents=True, exist_ok=True)
                if final.exists():
                    # Damaged, or `find` would have served it. Moved away first: a rename onto a full folder fails.
                    damaged = self.temporary_folder()
                    os.rename(final, damaged / "damaged")
                    shutil.rmtree(damaged, ignore_errors=True)
                os.rename(temporary, final)
            _sync(final.parent)
        return manifest

    def index(self, request_key: str, key: str) -> None:
        """Remembers the newest artifact of a request, for lookups where the build packages are not installed."""
        with self._writing():
            write_json_atomic(self._control / "index" / request_key[:2] / f"{request_key}.json", {"key": key})

    def newest(self, request_key: str) -> str | None:
        """The key of the newest artifact of a request, whatever package versions built it."""
        try:
            return json.loads((self._control / "index" / request_key[:2] / f"{request_key}.json").read_bytes())["key"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remove_leftovers(self) -> int:
        """Removes what killed builds left behind; returns the bytes freed."""
        with self._writing(), self._locked():
            leases.live_keys(self._control / "leases")
            self._remove_free_locks()
            return leases.remove_leftovers(self._control / "tmp", self._control / "leases")

    def shrink(self, quota: int) -> CleanReport:
        """Removes the entries unused for longest until the rest fits the quota. Entries in use always stay.

        Args:
            quota: bytes; 0 removes everything that is not in use.
        """
        leftovers = self.remove_leftovers()
        removed: dict[Kind, int] = {"artifact": 0, "training": 0}
        removed_bytes = kept_in_use = 0
        with self._writing(), self._locked():
            in_use = leases.live_keys(self._control / "leases")
            entries = sorted(self._entries(), key=lambda entry: entry.last_used_ns)
            total = sum(entry.size_bytes for entry in entries)
            for entry in entries:
                if total <= quota:
                    break
                if entry.key in in_use:
                    kept_in_use += 1
                    continue
                self._remove(entry)
                removed[entry.kind] += 1
                removed_bytes += entry.size_bytes
                total -= entry.size_bytes
        return CleanReport(
            removed_artifacts=removed["artifact"],
            removed_trainings=removed["training"],
            removed_bytes=removed_bytes,
            leftover_bytes=leftovers,
            kept_in_use=kept_in_use,
            kept_bytes=total,
        )

    def _entries(self) -> Iterator[_Entry]:
        patterns: tuple[tuple[Kind, str], ...] = (("artifact", "artifacts/??/*"), ("training", "trainings/*"))
        for kind, pattern in patterns:
            for path in self.root.glob(pattern):
                try:
                    used = os.stat(path / "manifest.json").st_mtime_ns
                except OSError:
                    used = 0
                yield _Entry(
                    kind=kind, key=path.name, path=path, size_bytes=leases.folder_bytes(path), last_used_ns=used
                )

    def _remove(self, entry: _Entry) -> None:
        """Moves the entry out of sight by one rename, then deletes it, so that no reader sees half of it."""
        grave = self.temporary_folder()
        os.rename(entry.path, grave / "removed")
        shutil.rmtree(grave, ignore_errors=True)
        if entry.kind == "artifact":
            with contextlib.suppress(OSError):
                entry.path.parent.rmdir()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock of the whole cache, held for moments only. Reentrant."""
        if self._cache_lock is None:
            self._control.mkdir(parents=True, exist_ok=True)
            self._cache_lock = FileLock(self._control / "cache.lock")
        with self._cache_lock:
            yield

    def _remove_free_locks(self) -> None:
        """Removes lock files that nobody holds; the caller holds the cache's lock, under which they are taken."""
        for path in (self._control / "locks").glob("*.lock"):
            lock = FileLock(path)
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                path.unlink(missing_ok=True)
                lock.release()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns what a read-only or full file system says into an error that a user can act on."""
        try:
            yield
        except OSError as error:
            raise HarnessError(
                f"the build cache cannot be written ({error.strerror or error})",
                where=str(self.root),
                hint="free space, or name another folder by --cache-dir or $HARNESS_CACHE_DIR",
            ) from error


def _is_stale_refusal(manifest: dict[str, Any]) -> bool:
    return bool(manifest.get("refused")) and manifest.get("refusal_version") != REFUSAL_VERSION


def _is_file_whole(path: Path, facts: dict[str, Any]) -> bool:
    """Size first: it is free, and tells most damage."""
    return path.stat().st_size == facts["size_bytes"] and sha256_file(path) == facts["sha256"]


def _sync(path: Path) -> None:
    """Puts a file's or folder's content on disk before something points at it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
