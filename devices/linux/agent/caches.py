"""Graph caches: folders in which delegates keep what they compiled."""

import contextlib
import fcntl
import os
import shutil
import tempfile

from agent.errors import Refused

#: stands in a backend's environment and delegate options where the folder's path goes
CACHE_DIR = "{cache_dir}"
#: how often a folder is measured while a delegate may be writing into it
MEASURE_S = 1.0


class GraphCaches:
    """Folders in which delegates keep compiled graphs: this session's own, mode 0700, gone when it ends.

    They lie in `graphs/SESSION/N` under the agent's folder. A session holds a lock on its folder, so that one left behind by
    an agent that was killed is recognised, and removed, by the next one. `graphs` itself is locked while that happens.
    """

    def __init__(self, root):
        self.base = os.path.join(root, "graphs")
        self.limit_bytes = 256 << 20
        self.session = self.session_lock = None
        self.count = 0
        #: the folder made last
        self.last = None
        if os.path.isdir(self.base):
            self.remove_abandoned()

    @contextlib.contextmanager
    def base_locked(self):
        fd = os.open(self.base, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def remove_abandoned(self):
        with self.base_locked():
            for name in os.listdir(self.base):
                path = os.path.join(self.base, name)
                with contextlib.suppress(OSError):
                    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(path, ignore_errors=True)
                    finally:
                        os.close(fd)

    def fresh(self, in_use):
        """A new, empty folder. Earlier ones go, but for those `in_use`."""
        if self.session is None:
            os.makedirs(self.base, mode=0o700, exist_ok=True)
            with self.base_locked():
                self.session = tempfile.mkdtemp(dir=self.base)
                self.session_lock = os.open(self.session, os.O_RDONLY | os.O_CLOEXEC)
                with contextlib.suppress(OSError):
                    fcntl.flock(self.session_lock, fcntl.LOCK_EX)
        for name in os.listdir(self.session):
            path = os.path.join(self.session, name)
            if path not in in_use:
                shutil.rmtree(path, ignore_errors=True)
        self.count += 1
        self.last = os.path.join(self.session, str(self.count))
        os.mkdir(self.last, 0o700)
        return self.last

    def kept(self):
        """The folder made last, with what a worker left in it."""
        if self.last is None:
            raise Refused("protocol", "there is no graph cache to keep: no worker has had one")
        return self.last

    @staticmethod
    def measure(path):
        """(files, bytes) in a folder, without following links."""
        files = size = 0
        for folder, _, names in os.walk(path):
            for name in names:
                with contextlib.suppress(OSError):  # renamed or removed meanwhile
                    size += os.lstat(os.path.join(folder, name)).st_size
                    files += 1
        return files, size

    @staticmethod
    def empty(path):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path, mode=0o700, exist_ok=True)

    def close(self):
        """Removes all that this session made."""
        if self.session is not None:
            shutil.rmtree(self.session, ignore_errors=True)
            os.close(self.session_lock)
            self.session = self.session_lock = self.last = None


def wants_cache(backend):
    """True when a backend names the folder anywhere."""
    return any(
        CACHE_DIR in value for value in list(backend["env"].values()) + list(backend["delegate_options"].values())
    )


def with_cache_text(text, folder):
    return text.replace(CACHE_DIR, folder) if CACHE_DIR in text else text


def with_cache(backend, folder):
    """The backend with the folder's path in place of `{cache_dir}`, and the names of the variables in which it stood."""
    filled = {
        name: {key: value.replace(CACHE_DIR, folder) for key, value in backend[name].items()}
        for name in ("env", "delegate_options")
    }
    of_cell = [name for name, value in backend["env"].items() if CACHE_DIR in value]
    return dict(backend, cache_variables=of_cell, **filled)
