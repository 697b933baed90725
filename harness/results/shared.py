"""The store of a shared place: a PostgreSQL database, and a file in the results folder for when that is gone.

A process that is at a run keeps what it wrote for it. When the server does not answer any more, all of that is written once more,
to `unmerged.sqlite` in the results folder, and the run goes on there. One that is about to make a night goes on there from the
beginning (`expect_loss`). The next process that opens the store puts it where it belongs (`harness.results.merge`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.results.database import Database
from harness.results.faults import RunExistsError, StoreGoneError
from harness.results.layout import UNMERGED_NAME
from harness.results.place import Place
from harness.results.server import prepare_server, server_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")
Work = Callable[["Connection"], Any]

#: one for each place that this process has opened: what was lost stays lost until it ends
_OPEN: dict[tuple[str, Path], SharedDatabase] = {}


class SharedDatabase:
    """A server's database with a way on without it. Use `shared_database`."""

    def __init__(self, place: Place) -> None:
        assert place.url is not None
        self.results = place.results
        self.server = server_database(place.url)
        #: where what cannot be sent goes; None as long as the server answers
        self.local: Database | None = None
        #: why the server was given up, in words
        self.lost: str | None = None
        #: whether the user knows
        self.told = False
        #: whether a night is about to begin, which needs no server
        self._expected = False
        self._journal: list[Work] = []
        self._at_runs: set[str] = set()
        self._guard = threading.RLock()
        self._held = contextlib.ExitStack()

    @property
    def where(self) -> str:
        """The database in words, without a password."""
        return self._now.where

    @property
    def _now(self) -> Database:
        return self.local or self.server

    @property
    def _under_way(self) -> bool:
        return self._expected or self._at_a_run

    @property
    def _at_a_run(self) -> bool:
        """Whether what is written belongs to a run of this process, and has to be there without the server, too."""
        return bool(self._at_runs or self._journal)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the store; of the file where the server is gone in the middle of a run."""
        if self.local is None and self._under_way:
            why = self._silence()
            if why is not None:
                self._go_on_locally(why)
        with self._now.reading() as connection:
            yield connection

    def _silence(self) -> str | None:
        """Why the server does not answer; None where it does."""
        try:
            with self.server.reading():
                return None
        except StoreGoneError as error:
            return error.what

    def write(self, work: Callable[[Connection], T]) -> T:
        """Runs `work` in one transaction, at the server or, once it is gone in the middle of a run, in the file.

        Raises:
            StoreGoneError: the server does not answer, and no run of this process is under way.
        """
        with self._guard:
            if self.local is None:
                try:
                    done = self.server.write(work)
                except StoreGoneError as error:
                    if not self._under_way:
                        raise
                    self._go_on_locally(error.what)
                else:
                    if self._at_a_run:
                        self._journal.append(work)
                    return done
            assert self.local is not None
            return self.local.write(work)

    def expect_loss(self) -> None:
        """From here on this process goes on without the server, also before a run of its own has begun."""
        self._expected = True

    def give_up(self, why: str) -> bool:
        """Goes on in the file from here on; False where nothing of this process can.

        Args:
            why: the server was lost, in words.
        """
        if not self._under_way:
            return False
        self._go_on_locally(why)
        return True

    def begin(self, run: str, written: Work | None = None) -> None:
        """From here on, what is written is kept for a way on without the server.

        Args:
            run: that begins or goes on.
            written: writes all that the store has of a run that goes on.
        """
        with self._guard:
            if not self._at_runs:
                self._journal.clear()
            self._at_runs.add(run)
            if written is not None:
                self._journal.append(written)

    def end(self, run: str) -> None:
        """A run has ended; what is still said of it (verdicts, control cells) is kept until another one begins."""
        self._at_runs.discard(run)

    def _go_on_locally(self, why: str) -> None:
        from harness.results.engine import open_file
        from harness.results.merge import hold_unmerged

        with self._guard:
            if self.local is not None:
                return  # another thread was first
            self._held.enter_context(hold_unmerged(self.results))
            local = open_file(self.results / UNMERGED_NAME)
            for work in self._journal:
                # Another process of the same run may have written the run itself there.
                with contextlib.suppress(RunExistsError):
                    local.write(work)
            self.local = local
            self.lost = f"the results store {self.server.where} was lost: {why}"

    def close(self) -> None:
        """Lets go of idle connections. What was lost stays lost until the process ends."""
        self._now.close()


def shared_database(place: Place, *, create: bool) -> SharedDatabase:
    """The store of a shared place, with its schema up to date.

    Args:
        create: makes the tables in an empty database.

    Raises:
        StoreGoneError: the server does not answer. Others: as `prepare_server`.
    """
    found = known_database(place)
    if found.local is None:
        try:
            prepare_server(found.server, create=create)
        except StoreGoneError as error:
            if not found._under_way:
                raise
            found._go_on_locally(error.what)
    return found


def expect_loss(place: Place) -> None:
    """Lets this process go on in the results folder when the server is gone, from now on and not only within a run."""
    known_database(place).expect_loss()


def known_database(place: Place) -> SharedDatabase:
    """This process's one database of a shared place; nothing is asked of the server."""
    assert place.url is not None
    name = (place.url, place.results)
    if name not in _OPEN:
        _OPEN[name] = SharedDatabase(place)
    return _OPEN[name]


def lost_stores() -> list[str]:
    """What this process had to go on without, in words; each is told once."""
    untold = [one for one in _OPEN.values() if one.lost is not None and not one.told]
    for one in untold:
        one.told = True
    return [
        f"{one.lost}; what came after is in {one.results / UNMERGED_NAME}, and the next command that opens the store merges it"
        for one in untold
    ]
