"""The pipes of a process that was started with them, without asking at every use whether they are there."""

from __future__ import annotations

from typing import IO, AnyStr


def piped(stream: IO[AnyStr] | None) -> IO[AnyStr]:
    """A standard stream of a process that was started with `PIPE` for it.

    Args:
        stream: `stdin`, `stdout` or `stderr` of a `subprocess.Popen`.

    Raises:
        ValueError: the process was started without this pipe, which is a defect of the caller.
    """
    if stream is None:
        raise ValueError("the process was started without this pipe")
    return stream
