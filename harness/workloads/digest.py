"""Digests of datasets: exact, over every byte, and remembered per file so that asking again costs nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.core import paths
from harness.core.errors import UserInputError
from harness.core.files import read_regular, sha256_json, write_json_atomic


def arrays_digest(arrays: Mapping[str, np.ndarray], digest: Any = None) -> str:
    """Hex SHA-256 over names, dtypes, shapes and bytes of arrays, in the order of their names.

    Args:
        digest: one of hashlib's that has seen the arrays before these.
    """
    digest = digest or hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(array_title(name, array.dtype, array.shape))
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def array_title(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """What a digest sees of an array before its bytes."""
    return f"{name} {dtype.str} {list(shape)}\n".encode()


def cached_digest(path: Path, kind: str, compute: Callable[[], str]) -> str:
    """The digest of a file's content, computed once per (path, size, times of modification and change).

    Args:
        path: the data file.
        kind: names the computation, with its version; another kind has an entry of its own.
        compute: reads the file and returns the digest.

    Raises:
        UserInputError: when the file cannot be looked at, and whatever `compute` raises.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise UserInputError(f"not readable ({error.strerror})", where=str(path)) from error
    identity = {"kind": kind, "path": str(path.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    # Nobody can set the time of the last change back, so that a file rewritten to the same size and time is noticed too.
    identity["ctime_ns"] = stat.st_ctime_ns
    entry = paths.cache_dir() / "digests" / f"{sha256_json(identity)}.json"
    # Not there yet, or damaged: computed again below.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError, UserInputError):
        stored = json.loads(read_regular(entry))
        if stored["identity"] == identity and stored["check"] == sha256_json([identity, stored["digest"]]):
            return stored["digest"]
    digest = compute()
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns):
        # A read-only or full cache costs time, not correctness.
        with contextlib.suppress(OSError):
            check = sha256_json([identity, digest])
            write_json_atomic(entry, {"identity": identity, "digest": digest, "check": check})
    return digest
