"""A database behind the store: read in one state, written by one at a time, errors in words."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from harness.results.faults import StoreBusyError, storage_faults

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")
#: how long a writer waits for another one
BUSY_TIMEOUT_S = 60.0
#: of the lock that writers take in PostgreSQL, where any number will do
_WRITE_LOCK = 0x68_61_72_6E


@dataclass(frozen=True, kw_only=True)
class Database:
    """An engine, and how errors name what it opens (a path, or a URL without its password)."""

    engine: Engine
    where: str

    @property
    def is_postgresql(self) -> bool:
        """Whether a server holds it."""
        return self.engine.dialect.name == "postgresql"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the store."""
        with storage_faults(self.where), self.engine.connect() as connection:
            if self.is_postgresql:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction that is on disk when this returns; on any error nothing of it stays.

        SQLite gives up at once, without waiting, in the moment in which another process closes or recovers the log; such
        refusals are tried again until the busy timeout is over. In PostgreSQL writers queue at a lock, as they do in SQLite:
        what one has read (the newest run's number, which parts there are) holds until it has written.

        Raises:
            StoreGoneError: the server does not answer. StoreBusyError, HarnessError: as `storage_faults` says.
        """
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        pause_s = 0.01
        while True:
            try:
                with storage_faults(self.where), self.engine.connect() as connection:
                    return self._transaction(connection, work)
            except StoreBusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.5)

    def _transaction(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        connection = connection.execution_options(**self._options)
        with connection.begin():
            if self.is_postgresql:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
            return work(connection)

    @property
    def _options(self) -> dict[str, Any]:
        return {} if self.is_postgresql else {"harness_begin": "IMMEDIATE"}

    def begin(self, run: str, written: Callable[[Connection], Any] | None = None) -> None:
        """A run begins or goes on: nothing to do here (`harness.results.shared` keeps what is written)."""

    def end(self, run: str) -> None:
        """A run has ended."""

    def close(self) -> None:
        """Lets go of all connections."""
        self.engine.dispose()
