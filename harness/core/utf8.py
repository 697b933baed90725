"""Names of files that are no UTF-8: no record, table or project file could hold them, so they are told where they come in."""

from __future__ import annotations

import os

from harness.core.errors import UserInputError


def require_text_name(name: str | os.PathLike[str]) -> None:
    """Refuses a name with bytes that are no UTF-8, which Python carries as halves of surrogate pairs.

    Raises:
        UserInputError: it is one.
    """
    try:
        os.fspath(name).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        raise UserInputError(
            "the name has bytes that are no UTF-8, so no record could hold it",
            where=shown,
            hint="rename the file or folder",
        ) from None
