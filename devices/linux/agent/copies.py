"""A model's file copied afresh for each worker that loads it.

The same bytes at another place in memory are 2 to 3 % faster or slower, for as long as they lie there: a worker that maps the
stored file again gets the same place again, and so do all starts of a session. A copy of its own gives each start a place
by chance, so that the spread between starts shows it.
"""

import contextlib
import fcntl
import glob
import os
import tempfile
import time

from agent.frames import PIECE_BYTES
from agent.store import FREE_MARGIN_BYTES

PREFIX = ".copy-"
#: a larger file is loaded where it lies: copying it takes long, and its weights pass every cache anyway
LIMIT_BYTES = 32 << 20
#: an unlocked copy of this age has lost its agent
STALE_S = 60


class Copies:
    """Copies by the worker that loads them; a lock on each says that its agent lives."""

    def __init__(self, store):
        self.store = store
        self.held = {}
        for path in glob.glob(os.path.join(store.folder, PREFIX + "*")):
            with contextlib.suppress(OSError):
                if time.time() - os.stat(path).st_mtime > STALE_S:
                    store.evict(path)

    def of(self, ident, sha256, tick):
        """The path of a fresh copy of a stored file for a worker; of the file itself where it is large or there is no room."""
        source = self.store.need(sha256)
        self.drop(ident)
        size = os.path.getsize(source)
        if size > LIMIT_BYTES or size + FREE_MARGIN_BYTES > self.store.free_bytes():
            return source
        handle, path = tempfile.mkstemp(dir=self.store.folder, prefix=PREFIX)
        fcntl.flock(handle, fcntl.LOCK_SH)
        self.held[ident] = (handle, path)
        try:
            with open(source, "rb") as file:
                for piece in iter(lambda: file.read(PIECE_BYTES), b""):
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(handle, view) :]
                    tick()
        except OSError:
            self.drop(ident)
            return source
        return path

    def drop(self, ident):
        """Removes a worker's copy; safe where there is none."""
        handle, path = self.held.pop(ident, (None, None))
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
            os.close(handle)

    def keep_only(self, idents):
        """Removes the copies of all other workers."""
        for ident in [ident for ident in self.held if ident not in idents]:
            self.drop(ident)
