"""The PostgreSQL server behind a shared store: its engine, its schema, and locks that all of its users see."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from harness.core.errors import MissingPartError, UserInputError
from harness.results.database import BUSY_TIMEOUT_S, Database
from harness.results.faults import storage_faults
from harness.results.place import driver_url, redacted
from harness.results.revision import HEAD_REVISION

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: how long a server may take to answer a login, and a dead line to be noticed
_CONNECT_S, _LINE_S = 10, 30
_SETTINGS = {
    "lock_timeout": f"{BUSY_TIMEOUT_S * 1000:.0f}",
    # A writer that was cut off must not keep the others' lock for good.
    "idle_in_transaction_session_timeout": "300000",
}


@cache
def server_database(url: str) -> Database:
    """The database of a URL, one for the whole process; nothing is connected yet.

    Args:
        url: as `harness.results.place` checked it.

    Raises:
        MissingPartError: psycopg is not installed. UserInputError: a setting in the URL that nobody knows.
    """
    return Database(engine=_engine(url), where=redacted(url))


def _engine(url: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    arguments = {
        "connect_timeout": _CONNECT_S,
        "application_name": "harness",
        "keepalives_idle": _LINE_S,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": _LINE_S * 1000,
    }
    try:
        engine = create_engine(
            driver_url(url),
            connect_args=arguments,
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise MissingPartError("a shared store needs psycopg", hint="pip install 'psycopg[binary]'") from error
    except (ArgumentError, ValueError) as error:
        raise UserInputError("this is no URL of a database", where=redacted(url)) from error
    _set_on_connect(engine)
    return engine


def _set_on_connect(engine: Engine) -> None:
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _connect(connection, record) -> None:
        # Not in the URL's `options`, which a user may need for a search path.
        before, connection.autocommit = connection.autocommit, True
        for name, value in _SETTINGS.items():
            connection.execute(f"SET {name} = {value}")
        connection.autocommit = before


def prepare_server(database: Database, *, create: bool) -> None:
    """Makes or upgrades the schema by the same migrations as a file's.

    Raises:
        UserInputError: made by a newer harness; or empty, and only to be read.
        CorruptStoreError: the database holds something else.
        StoreGoneError: the server does not answer.
    """
    from harness.results import upgrade

    with database.reading() as connection:
        revision = upgrade.revision_of(connection, database.where)
    if revision == HEAD_REVISION:
        return
    if revision is not None:
        upgrade.check_known(revision, database.where)
    elif not create:
        raise UserInputError("the results store is empty", where=database.where, hint="run `harness nightly` first")
    database.write(upgrade.upgrade)


def _lock_number(run: str) -> int:
    """A run's lock: 63 bits of its name's hash."""
    return int.from_bytes(hashlib.sha256(f"run {run}".encode()).digest()[:8], "big") >> 1


@contextlib.contextmanager
def run_lock(url: str, run: str) -> Iterator[bool]:
    """Holds a run's lock at the server as long as this process lives or the line holds; gives whether it was free.

    Raises:
        StoreGoneError: the server does not answer.
    """
    database = server_database(url)
    with contextlib.ExitStack() as held:
        with storage_faults(database.where):
            connection = held.enter_context(database.engine.connect())
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            free = _ask(connection, f"pg_try_advisory_lock({_lock_number(run)})")
        try:
            yield free
        finally:
            # Not returned to the pool: the server frees the lock with the connection, also of a line that broke.
            with contextlib.suppress(Exception):
                connection.invalidate()


def is_locked(url: str, run: str) -> bool:
    """Whether a process somewhere is at the run; False where the server does not tell."""
    database = server_database(url)
    number = _lock_number(run)
    with contextlib.suppress(Exception), database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        if not _ask(connection, f"pg_try_advisory_lock_shared({number})"):
            return True
        _ask(connection, f"pg_advisory_unlock_shared({number})")
    return False


def _ask(connection: Connection, question: str) -> bool:
    return bool(connection.exec_driver_sql(f"SELECT {question}").scalar())
