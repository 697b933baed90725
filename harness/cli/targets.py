"""Where commands write what a user named: `--output`, `--json` and the like, looked at before anything is worked out.

A file, or a new folder, is made where its parent is. A parent that is missing is a slip of the pen more often than a wish, so
nothing is made there: the same rule for every command, and told before minutes of work rather than after them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Literal

import click

STDOUT = "-"


class Target(click.ParamType):
    """A place to write to.

    Args:
        kind: `file`, `folder` (made where it is missing), or `either` where a further option decides.
    """

    name = "path"

    def __init__(self, kind: Literal["file", "folder", "either"] = "file") -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The place as the user wrote it, `~` filled in.

        Raises:
            UserInputError: nothing can be written there; names the option.
        """
        text = str(value)
        option = param.opts[0] if param is not None else "--output"
        if text != STDOUT:
            text = os.path.expanduser(text)
            with contextlib.suppress(
                OSError, ValueError
            ):  # a name that no file can have: writing says so, as of every path
                refuse_unwritable(Path(text), option, self.kind)
        return text


def refuse_unwritable(path: Path, option: str, kind: Literal["file", "folder", "either"]) -> None:
    """Refuses a place that cannot be written.

    Args:
        option: where it was given, such as `--output`.

    Raises:
        UserInputError: its folder is missing or closed, or something else is there.
    """
    from harness.core.errors import UserInputError

    where, other = f"{option} {path}", f"give another {'place' if kind == 'either' else kind} with {option}"
    if kind == "file" and path.is_dir():
        raise UserInputError(
            "is a folder, expected a file to write", where=where, hint=f"name a file in it with {option}"
        )
    if kind == "folder" and path.exists() and not path.is_dir():
        raise UserInputError("is a file, expected a folder to write into", where=where, hint=other)
    if path.exists() and not path.is_dir() and not path.is_file():
        return  # a pipe or a device is written to, and its folder is left alone
    holder = path if path.is_dir() else path.parent
    if not holder.exists():
        raise UserInputError(f"there is no folder {holder}", where=where, hint=f"make it: mkdir -p {holder}")
    if not holder.is_dir():
        raise UserInputError(f"{holder} is no folder", where=where, hint=other)
    if not os.access(holder, os.W_OK | os.X_OK):
        raise UserInputError(f"the folder {holder} cannot be written", where=where, hint=other)
