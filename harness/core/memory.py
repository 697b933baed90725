"""How much memory this process may still take, so that a file is refused before it fills the machine."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import UserInputError

#: what one file's content may take of the memory that is free: the rest is for the copies that work on it
_SHARE = 0.5
_CGROUP = Path("/sys/fs/cgroup")


def free_bytes() -> int | None:
    """Bytes of memory that are free for this process: the machine's, or what its control group leaves; None if unknown."""
    known = [n for n in (_machine_bytes(), _group_bytes()) if n is not None]
    return min(known) if known else None


def require_memory(size_bytes: int, what: str, *, where: str, hint: str) -> None:
    """Refuses what would not fit into memory, from its header alone.

    Args:
        size_bytes: what it would take.
        what: names it in the message, such as "array 'x_test'".

    Raises:
        UserInputError: it takes more than half of what is free.
    """
    free = free_bytes()
    if free is not None and size_bytes > _SHARE * free:
        raise UserInputError(
            f"{what} would take {size_text(size_bytes)} of memory, and {size_text(free)} are free",
            where=where,
            hint=hint,
        )


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """No search for cycles of objects meanwhile. Tables are made of millions of small objects without any, and searching them
    again and again takes a fifth of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def size_text(size_bytes: int) -> str:
    """A number of bytes for a reader, such as `11.9 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:,.1f} {unit}"
    return f"{size_bytes} bytes"


def _machine_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _group_bytes() -> int | None:
    """What the limit of a container leaves (control groups, versions 2 and 1); None without a limit."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            return max(0, int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text()))
    return None
