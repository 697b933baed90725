"""Brings a store to the newest schema, or says why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.results.faults import CorruptStoreError
from harness.results.schema import HEAD_REVISION

if TYPE_CHECKING:
    from sqlalchemy import Connection

MIGRATIONS_DIR = Path(__file__).resolve().parent / "migrations"


#: tables of every results store, whatever its schema
_OURS = {"run", "cell", "planned_cell"}


def revision_of(connection: Connection, where: str) -> str | None:
    """The store's revision; None for a database with no table yet.

    Raises:
        CorruptStoreError: the database holds something else than a results store.
    """
    tables = _tables(connection)
    if not tables:
        return None
    if "alembic_version" in tables and (connection.dialect.name == "sqlite" or tables >= _OURS):
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchone()
        if row:
            return str(row[0])
    if connection.dialect.name == "postgresql":
        raise CorruptStoreError(
            "this database holds something else than a results store",
            where=where,
            hint="make one of its own (`createdb harness`), or name a schema: ?options=-csearch_path%3Dharness",
        )
    raise CorruptStoreError(
        "this SQLite database is not a results store",
        where=where,
        hint="move it away, or give another folder with --results",
    )


def _tables(connection: Connection) -> set[str]:
    """The tables of the database; in PostgreSQL those of the schema that new tables go to."""
    if connection.dialect.name == "postgresql":
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    else:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    return {str(row[0]) for row in connection.exec_driver_sql(query)}


def script_directory():
    """Alembic's view of the migrations in the package."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None):
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def check_known(revision: str, where: str) -> None:
    """Refuses a store that a later harness made.

    Raises:
        UserInputError: the revision is none of this harness's.
    """
    known = {script.revision for script in script_directory().walk_revisions()}
    if revision not in known:
        raise UserInputError(
            f"this results store was made by a newer harness (schema {revision}, this one knows up to {HEAD_REVISION})",
            where=where,
            hint="upgrade the harness, or give another folder with --results",
        )


def upgrade(connection: Connection) -> None:
    """Runs the missing migrations in the connection's open transaction: all of them, or none."""
    from alembic import command

    command.upgrade(_config(connection), "head")
