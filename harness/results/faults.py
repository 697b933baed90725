"""Turns what SQLite and the file system say into errors that name the folder and what to do."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import HarnessError, UserInputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}


class StoreBusyError(HarnessError):
    """Another process held the store's write lock for longer than the busy timeout."""


class CorruptStoreError(HarnessError):
    """The store or an object is damaged; what can be done is in the hint."""


@contextlib.contextmanager
def storage_faults(path: Path, *, option: str = "--results") -> Iterator[None]:
    """Translates failures of reading and writing below `path`.

    Args:
        option: what on the command line says where `path` is, for the hints.

    Raises:
        UserInputError: the place cannot be written or is no folder.
        CorruptStoreError: SQLite finds no database there, or a damaged one.
        StoreBusyError: the write lock was not to be had in time.
        HarnessError: the disk is full, or the disk itself fails.
    """
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path, option) from error
    except UnicodeDecodeError as error:  # of SQLite's own message about a damaged schema
        raise from_sqlite_error(sqlite3.DatabaseError(f"malformed: {error.reason}"), path) from error
    except Exception as error:
        cause = getattr(error, "orig", None) or error  # SQLAlchemy keeps SQLite's own error in `orig`
        if not isinstance(cause, sqlite3.Error):
            raise
        raise from_sqlite_error(cause, path) from error


def from_os_error(error: OSError, path: Path, option: str = "--results") -> HarnessError:
    """The error for a failed file operation below `path`, which `option` names."""
    where = str(error.filename or path)
    if error.errno in _FULL:
        return HarnessError(
            f"no space left to write results ({error.strerror})",
            where=where,
            hint=f"free some space or give another place with {option}; cells stored so far are safe",
        )
    if error.errno in _DENIED:
        return UserInputError(
            f"cannot write here ({error.strerror})",
            where=where,
            hint=f"give a place that can be written with {option}",
        )
    if error.errno in _NOT_A_FOLDER:
        return UserInputError(
            f"is not a folder ({error.strerror})", where=where, hint=f"give another place with {option}"
        )
    return HarnessError(f"the file system failed: {error.strerror or error}", where=where)


def from_sqlite_error(error: sqlite3.Error, path: Path) -> HarnessError:
    """The error for what SQLite reported about the database at `path`."""
    text, where = str(error), str(path)
    lower = text.lower()
    if "full" in lower:
        return HarnessError(
            "no space left to write the results store",
            where=where,
            hint="free some space, then resume with `harness run --resume`; cells stored so far are safe",
        )
    if "readonly" in lower or "read-only" in lower:
        return UserInputError(
            "the results store cannot be written", where=where, hint="give a writable folder with --results"
        )
    if "locked" in lower or "busy" in lower:
        return StoreBusyError(
            "another process kept the results store locked",
            where=where,
            hint="wait for it to end, or use another folder with --results",
        )
    if "not a database" in lower or "malformed" in lower or "corrupt" in lower:
        return CorruptStoreError(
            f"this is not a readable results store ({text})",
            where=where,
            hint="move it away to start a new one, or try `sqlite3 store.sqlite .recover`",
        )
    if "unable to open" in lower:
        return UserInputError(
            f"the results store cannot be opened ({text})",
            where=where,
            hint="check the folder's permissions, or give another one with --results",
        )
    return HarnessError(f"the results store failed: {text}", where=where)
