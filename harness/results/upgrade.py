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


def revision_of(connection: Connection, path: Path) -> str | None:
    """The store's revision; None for a database with no table yet.

    Raises:
        CorruptStoreError: the database holds something else than a results store.
    """
    tables = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    if "alembic_version" in tables:
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchone()
        if row:
            return str(row[0])
    raise CorruptStoreError(
        "this SQLite database is not a results store",
        where=str(path),
        hint="move it away, or give another folder with --results",
    )


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


def check_known(revision: str, path: Path) -> None:
    """Refuses a store that a later harness made.

    Raises:
        UserInputError: the revision is none of this harness's.
    """
    known = {script.revision for script in script_directory().walk_revisions()}
    if revision not in known:
        raise UserInputError(
            f"this results store was made by a newer harness (schema {revision}, this one knows up to {HEAD_REVISION})",
            where=str(path),
            hint="upgrade the harness, or give another folder with --results",
        )


def upgrade(connection: Connection) -> None:
    """Runs the missing migrations in the connection's open transaction: all of them, or none."""
    from alembic import command

    command.upgrade(_config(connection), "head")
