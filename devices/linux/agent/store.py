"""Files on the board by their SHA-256: models and samples travel once."""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import tempfile
import time

from agent.errors import Refused
from agent.frames import PIECE_BYTES

#: room that stays free for the board itself
FREE_MARGIN_BYTES = 1 << 20
#: an unfinished upload that has not grown for this long has lost its host
STALE_S = 600
SHA256 = re.compile(r"[0-9a-f]{64}")


class Store:
    """Files by their SHA-256. Files in use by any agent carry a shared lock and are not evicted."""

    def __init__(self, root):
        self.folder = os.path.join(root, "files")
        self.limit_bytes = 1 << 30
        self.pins = {}
        for path in glob.glob(os.path.join(self.folder, ".tmp-*")):
            with contextlib.suppress(OSError):
                if time.time() - os.stat(path).st_mtime > STALE_S:
                    os.unlink(path)

    def path(self, sha256):
        if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise Refused("protocol", "%r is no SHA-256" % (sha256,))
        return os.path.join(self.folder, sha256)

    def need(self, sha256):
        """The path of a file that must be there."""
        path = self.path(sha256)
        if not os.path.isfile(path):
            raise Refused("absent", "file %s is not on the board (any more)" % sha256[:12])
        return path

    def have(self, sha256, tick):
        """True when the file is there and whole; then it stays until the agent ends. A damaged one is removed."""
        path = self.path(sha256)
        if sha256 in self.pins:
            return True
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH)
        digest = hashlib.sha256()
        for piece in iter(lambda: os.read(fd, PIECE_BYTES), b""):
            digest.update(piece)
            tick()
        whole = digest.hexdigest() == sha256
        if not whole or os.fstat(fd).st_nlink == 0:
            if not whole:
                os.unlink(path)
            os.close(fd)
            return False
        os.utime(path)
        self.pins[sha256] = fd
        return True

    def make_room(self, size):
        """Evicts the files unused for longest until `size` more bytes fit under the limit and on the disk."""
        if size > self.limit_bytes:
            raise Refused("setting", "a file of %d bytes is over the cache limit of %d" % (size, self.limit_bytes))
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                files.append((facts.st_mtime, facts.st_size, entry.path))
        excess = sum(f[1] for f in files) + size - self.limit_bytes
        missing = size + FREE_MARGIN_BYTES - self.free_bytes()
        for _, file_bytes, path in sorted(files):
            if excess <= 0 and missing <= 0:
                break
            if not os.path.basename(path).startswith(".tmp-") and self.evict(path):
                excess -= file_bytes
                missing -= file_bytes
        free = self.free_bytes()
        if size + FREE_MARGIN_BYTES > free:
            raise Refused("no_space", "%s has %d bytes free, %d are needed" % (self.folder, free, size))

    def evict(self, path):
        """Removes a file unless an agent holds its lock."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
            return True
        except OSError:
            return False
        finally:
            os.close(fd)

    def free_bytes(self):
        space = os.statvfs(self.folder)
        return space.f_bavail * space.f_frsize

    def receive(self, sha256, pieces):
        """Stores what `pieces()` yields. After an error the rest is still read, because the host goes on sending."""
        path = self.path(sha256)
        digest, problem = hashlib.sha256(), None
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".tmp-")
        try:
            for piece in pieces():
                digest.update(piece)
                view = memoryview(piece)
                try:
                    while view and problem is None:
                        view = view[os.write(handle, view) :]
                except OSError as error:
                    problem = error
                    os.ftruncate(handle, 0)
            if problem is None:
                try:
                    os.fsync(handle)
                except OSError as error:
                    problem = error
            if problem is not None:
                raise Refused("no_space", "the file could not be written to %s: %s" % (self.folder, problem.strerror))
            if digest.hexdigest() != sha256:
                raise Refused("corrupt", "file %s arrived damaged" % sha256[:12])
            os.rename(temporary, path)
            temporary = None
        finally:
            os.close(handle)
            if temporary:
                os.unlink(temporary)
