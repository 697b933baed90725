"""Files that are either whole or not there: atomic writes, content hashes, content-addressed storage."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.core.errors import UserInputError

if TYPE_CHECKING:
    import numpy as np

CHUNK_BYTES = 1 << 20
#: names of files that this process has open
_OPEN_FILES = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a file that somebody named, for reading.

    A pipe would keep the harness waiting for ever and a device may never end, so only a regular file is opened.

    Raises:
        OSError: there is no such file, or it may not be read.
        UserInputError: it is a folder, a pipe, a socket or a device.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
            hint = None if stat.S_ISDIR(mode) else "write the content to a file and name that"
            raise UserInputError(f"is {kind}, expected a file", where=str(path), hint=hint)
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path) -> bytes:
    """The whole content of a file that somebody named; raises as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def exists(path: Path) -> bool:
    """Whether something is there; a name that no file can have (too long, a NUL inside) is not."""
    try:
        return os.path.lexists(path) and path.exists()
    except (OSError, ValueError):
        return False


def short_name(text: str, limit: int = 80) -> str:
    """A name cut to `limit` characters, with a piece of its hash so that two long names stay two."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - 9].rstrip('-.')}-{sha256_bytes(text.encode(errors='surrogatepass'))[:8]}"


def sha256_bytes(data: bytes | memoryview) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in chunks."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of a JSON value in canonical form (sorted keys, no spaces), for use as a cache key."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def _is_no_file(path: Path) -> bool:
    """Whether a pipe, a device or the like is there. An open file's number is one too, also where it leads to a file."""
    if os.path.abspath(path).startswith(_OPEN_FILES):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def atomic_file(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Opens a temporary file beside `path` that takes its name only if the block ends well.

    A reader never sees half a file, also when the process is killed: the rename is atomic, and the bytes are on disk
    before it. Temporary names start with `.tmp-`, so that a later clean-up can tell them. Whatever has the name already is
    replaced; of a place that somebody named, `write_named` is more careful.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=path.suffix)
    try:
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Writes `data` to `path` atomically."""
    with atomic_file(path) as file:
        file.write(data)


def write_named(path: Path, data: bytes) -> None:
    """Writes to a place that somebody named: a file atomically; a pipe or a device, such as `/dev/stdout`, is written to.

    A rename would put a file in its place, for root also in that of `/dev/null`.
    """
    if _is_no_file(path):
        with open(path, "wb") as stream:
            stream.write(data)
    else:
        write_bytes_atomic(path, data)


def write_named_json(path: Path, value: Any) -> None:
    """As `write_named`, in the form of `write_json_atomic`."""
    write_named(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def write_arrays_atomic(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    """Writes named arrays as one .npz to `path` atomically."""
    import numpy as np

    save = np.savez_compressed if compressed else np.savez
    with atomic_file(path) as file:
        # One of the names could be `allow_pickle`, as far as a type checker knows.
        save(file, **arrays)  # type: ignore[arg-type]


def write_json_atomic(path: Path, value: Any) -> None:
    """Writes `value` as readable JSON to `path` atomically. NaN is refused: it is not JSON."""
    with atomic_file(path, "w") as file:
        json.dump(value, file, indent=1, sort_keys=True, allow_nan=False)
        file.write("\n")
