"""Objects in a shared database.

They are kept in the results folder too, as copies: what this host made or has read once is at hand, also when the
server is gone. Every copy is checked against its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from harness.core.errors import HarnessError, UserInputError
from harness.core.files import write_bytes_atomic
from harness.results.dialect import new_row
from harness.results.faults import CorruptStoreError, StoreGoneError
from harness.results.layout import utc_now
from harness.results.objects import ObjectStore
from harness.results.place import Place

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from harness.results.shared import SharedDatabase


class SharedObjects(ObjectStore):
    """Content-addressed arrays in a PostgreSQL database, with copies in the results folder."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.results)
        self._place = place
        #: objects that the server is known to have
        self._sent: set[str] = set()

    def put_arrays(self, arrays: Mapping[str, np.ndarray]) -> str:
        """Stores named arrays as one object; see `ObjectStore.put_arrays`. Without the server the copy waits to be merged."""
        sha256 = super().put_arrays(arrays)
        self.send(sha256)
        return sha256

    def get_arrays(self, sha256: str) -> dict[str, np.ndarray]:
        """The arrays of an object; see `ObjectStore.get_arrays`. A copy that is damaged is fetched again."""
        try:
            return super().get_arrays(sha256)
        except CorruptStoreError:
            if not self._fetch(sha256):
                raise
        except UserInputError:
            if self.path(sha256).exists() or not self._fetch(sha256):
                raise
        return super().get_arrays(sha256)

    def send(self, sha256: str) -> None:
        """Puts the copy into the database, where it is not there yet.

        Raises:
            UserInputError: there is neither. CorruptStoreError: the copy is damaged, and nobody has another.
        """
        database = self._database()
        if sha256 in self._sent or database is None:
            return
        try:
            if not self._touched(database, sha256):
                super().get_arrays(sha256)  # never sends what is damaged
                database.server.write(_adding(sha256, self.path(sha256).read_bytes()))
        except StoreGoneError:
            return  # the record that names it finds that out, too, and goes on locally
        self._sent.add(sha256)

    def has(self, sha256: str) -> bool:
        """Whether the object is there, here or in the database."""
        from sqlalchemy import select

        from harness.results.history_schema import stored_object

        database = self._database()
        if super().has(sha256) or database is None:
            return super().has(sha256)
        with database.server.reading() as connection:
            named = select(stored_object.c.sha256).where(stored_object.c.sha256 == sha256)
            return connection.execute(named).first() is not None

    def _database(self) -> SharedDatabase | None:
        """The server's database; None while it is given up."""
        from harness.results.shared import known_database

        database = known_database(self._place)
        return database if database.local is None else None

    def _touched(self, database: SharedDatabase, sha256: str) -> bool:
        """Whether the database has the object; it is as young as a new one then, so that nobody prunes it now."""
        from sqlalchemy import update

        from harness.results.history_schema import stored_object

        renew = update(stored_object).where(stored_object.c.sha256 == sha256).values(stored_utc=utc_now())
        return bool(database.server.write(lambda connection: connection.execute(renew).rowcount))

    def _data(self, database: SharedDatabase, sha256: str) -> bytes | None:
        from sqlalchemy import select

        from harness.results.history_schema import stored_object

        with database.server.reading() as connection:
            return connection.scalar(select(stored_object.c.data).where(stored_object.c.sha256 == sha256))

    def _fetch(self, sha256: str) -> bool:
        """Makes a copy of the database's object; False where it has none.

        Raises:
            StoreGoneError: the server does not answer.
        """
        database = self._database()
        data = None if database is None else self._data(database, sha256)
        if data is None:
            return False
        try:
            write_bytes_atomic(self.path(sha256), bytes(data))
        except OSError as error:
            raise HarnessError(
                f"an object of the shared store cannot be copied here ({error.strerror})",
                where=str(self.path(sha256)),
                hint="give a writable folder with --results",
            ) from error
        self._sent.add(sha256)
        return True


def _adding(sha256: str, data: bytes):
    from harness.results.history_schema import stored_object

    row = {"sha256": sha256, "size_bytes": len(data), "stored_utc": utc_now(), "data": data}

    def work(connection: Connection) -> None:
        connection.execute(new_row(connection, stored_object).values(row).on_conflict_do_nothing())

    return work
