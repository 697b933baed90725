"""The SQLite engine behind the store: a write-ahead log where the file system allows it, one writer at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.core.errors import HarnessError, UserInputError
from harness.results.database import BUSY_TIMEOUT_S, Database
from harness.results.revision import HEAD_REVISION

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def database_uri(path: Path, *, read_only: bool) -> str:
    """The file as SQLite takes it."""
    if not read_only:
        return f"file:{quote(os.fsencode(path))}?mode=rwc"
    # SQLite cannot make its shared-memory file in a read-only folder; `immutable` does without when nobody writes.
    wal = path.with_name(path.name + "-wal")
    still = not _writable(path) and not (wal.exists() and wal.stat().st_size)
    return f"file:{quote(os.fsencode(path))}?mode=ro{'&immutable=1' if still else ''}"


def make_engine(path: Path, *, read_only: bool) -> Engine:
    """An engine over the database file; nothing is opened yet."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import QueuePool

    uri = database_uri(path, read_only=read_only)

    def connect() -> sqlite3.Connection:
        # isolation_level None: SQLAlchemy's begin event below opens transactions, not the driver behind our back.
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        # A damaged byte may make a text that is no UTF-8: that costs its record, and not the query with all others in it.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        connection.execute("PRAGMA foreign_keys = ON")
        if not read_only:
            with contextlib.suppress(sqlite3.OperationalError):  # some network file systems have no shared memory
                connection.execute("PRAGMA journal_mode = WAL")
            # A cell is on disk when add_cell returns, also after a power cut.
            connection.execute("PRAGMA synchronous = FULL")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=8)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("harness_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def open_file(path: Path, *, read_only: bool = False) -> Database:
    """Opens the database file and brings its schema up to date.

    Raises:
        UserInputError, CorruptStoreError, HarnessError: as `prepare`.
    """
    database = Database(engine=make_engine(path, read_only=read_only), where=str(path))
    try:
        prepare(database, path, read_only=read_only)
    except BaseException:
        database.close()
        raise
    return database


def prepare(database: Database, path: Path, *, read_only: bool) -> None:
    """Makes or upgrades the schema of a store. One that is opened for reading is upgraded too, where it can be written.

    Raises:
        UserInputError: made by a newer harness; or opened for reading, and empty.
        HarnessError: of an older schema, where nothing can be written.
    """
    from harness.results import upgrade

    with database.reading() as connection:
        revision = upgrade.revision_of(connection, database.where)
    if revision == HEAD_REVISION:
        return
    if revision is not None:
        upgrade.check_known(revision, database.where)
    if not read_only:
        # Whoever gets the write lock first does the work; for the others it is a no-op.
        database.write(upgrade.upgrade)
        return
    if revision is None:
        raise UserInputError("the results store is empty", where=str(path), hint="run `harness nightly` first")
    if not _writable(path):
        raise HarnessError(
            f"this results store is of an older schema ({revision}) and cannot be upgraded here: it is read-only",
            where=str(path),
            hint="copy the results folder to a writable place",
        )
    database.close()
    writer = Database(engine=make_engine(path, read_only=False), where=str(path))
    try:
        writer.write(upgrade.upgrade)
    finally:
        writer.close()


def _writable(path: Path) -> bool:
    """Whether the file can be written, and the folder, where SQLite keeps its log, too."""
    if os.access in os.supports_effective_ids:
        return all(os.access(place, os.W_OK, effective_ids=True) for place in (path.parent, path))
    return os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)
