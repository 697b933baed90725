"""Files that the harness made for itself and may make again: each has its hash beside it, and is proven whole before use.

A cache lies on a disk for months. A file that was damaged there must not become a wrong sample, a wrong reference or a board's
fault, so nothing is read back unchecked; what is not whole counts as not there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from harness.core.errors import HarnessError, UserInputError
from harness.core.faults import FULL
from harness.core.files import atomic_file, read_regular, sha256_file

#: ends the name of the file with the hash
HASH_SUFFIX = ".sha256"


def whole_sha256(path: Path) -> str | None:
    """The hash of a cached file that is there and whole, else None. It is read to the end for that."""
    with contextlib.suppress(OSError, UserInputError, ValueError):
        promised = read_regular(path.parent / f"{path.name}{HASH_SUFFIX}").decode("ascii").strip()
        if sha256_file(path) == promised:
            return promised
    return None


def cached_file(path: Path, write: Callable[[IO[Any]], None]) -> str:
    """A cached file's SHA-256; it is made first unless it is there and whole.

    Args:
        write: writes the content to an open file.

    Raises:
        HarnessError: the cache cannot be written, or is full.
    """
    sha256 = whole_sha256(path)
    if sha256 is not None:
        return sha256
    try:
        with atomic_file(path) as file:
            write(file)
        sha256 = sha256_file(path)
        # The hash last: a killed writer leaves nothing that looks whole.
        with atomic_file(path.parent / f"{path.name}{HASH_SUFFIX}", "w") as file:
            file.write(f"{sha256}\n")
    except OSError as error:
        raise cache_error(error, path) from error
    return sha256


def cache_error(error: OSError, path: Path) -> HarnessError:
    """The error for a cache file that cannot be written."""
    what = "no space left in the cache" if error.errno in FULL else "the cache cannot be written"
    return HarnessError(
        f"{what} ({error.strerror or error})",
        where=str(path.parent),
        hint="free space, or name another folder by HARNESS_CACHE_DIR",
    )
