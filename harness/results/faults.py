"""Turns what SQLite, PostgreSQL and the file system say into errors that name the place and what to do."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError, UserInputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST}


class StoreBusyError(HarnessError):
    """Another process held the store's write lock for longer than the busy timeout."""


class CorruptStoreError(HarnessError):
    """The store or an object is damaged; what can be done is in the hint."""


class RunExistsError(HarnessError):
    """A run of this id was begun before."""


class StoreGoneError(HarnessError):
    """The database server does not answer, or no more: it may later."""


#: PostgreSQL's classes of errors: https://www.postgresql.org/docs/current/errcodes-appendix.html
_GONE_CODES = ("08", "57P")
_BUSY_CODES = ("55P03", "40001", "40P01")
_FULL_CODES = ("53100",)
_DENIED_CODES = ("42501", "25006")
_CORRUPT_CODES = ("XX001", "XX002")
#: what a server says to a login that it refuses; such errors of connecting have no code
_REFUSED = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
)


@contextlib.contextmanager
def storage_faults(path: Path | str, *, option: str = "--results") -> Iterator[None]:
    """Translates failures of reading and writing below `path`, or in the database that a text names.

    Args:
        option: what on the command line says where `path` is, for the hints.

    Raises:
        UserInputError: the place cannot be written or is no folder; a database that refuses the login.
        CorruptStoreError: SQLite finds no database there, or a damaged one.
        StoreBusyError: the write lock was not to be had in time.
        StoreGoneError: the database server does not answer.
        HarnessError: the disk is full, or the disk itself fails.
    """
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path, option) from error
    except UnicodeDecodeError as error:  # of SQLite's own message about a damaged schema
        raise from_sqlite_error(sqlite3.DatabaseError(f"malformed: {error.reason}"), path) from error
    except Exception as error:
        cause = getattr(error, "orig", None) or error  # SQLAlchemy keeps the database's own error in `orig`
        if type(cause).__module__.partition(".")[0] == "psycopg":
            raise from_postgresql_error(cause, str(path)) from error
        if not isinstance(cause, sqlite3.Error):
            raise
        raise from_sqlite_error(cause, path) from error


def from_os_error(error: OSError, path: Path | str, option: str = "--results") -> HarnessError:
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


def from_sqlite_error(error: sqlite3.Error, path: Path | str) -> HarnessError:
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


def from_postgresql_error(error: Any, where: str) -> HarnessError:
    """The error for what psycopg reported.

    Args:
        error: a `psycopg.Error`; one of connecting has no `sqlstate`.
        where: the database, without a password.
    """
    code = getattr(error, "sqlstate", None) or ""
    text = " ".join(str(error).split())
    lost = type(error).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError") and not code
    if lost and any(words in text for words in _REFUSED) or code.startswith(("28", "3D")):
        return UserInputError(
            f"the database refuses the login: {text}",
            where=where,
            hint="check user, database and password (PGPASSFILE, or the URL in HARNESS_STORE)",
        )
    if lost or code.startswith(_GONE_CODES):
        return StoreGoneError(
            f"the database does not answer: {text}",
            where=where,
            hint="start it, or leave --store and HARNESS_STORE out to keep results in the folder",
        )
    if code in _FULL_CODES:
        return HarnessError("no space left on the database server", where=where, hint="free some there, then resume")
    if code in _BUSY_CODES:
        return StoreBusyError(
            "another process kept the results store locked", where=where, hint="wait for it to end, then try again"
        )
    if code in _DENIED_CODES:
        return UserInputError(
            f"the database does not let this user write: {text}",
            where=where,
            hint="grant it CREATE on the schema, or give another user",
        )
    if code in _CORRUPT_CODES:
        return CorruptStoreError(f"the database is damaged: {text}", where=where, hint="restore it from a backup")
    return HarnessError(f"the results store failed: {text}", where=where)
