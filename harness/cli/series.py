"""Which series of nights a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.results.history import History
    from harness.results.record import CellKey


def choose_series(history: History, named: str | None, key: CellKey) -> str:
    """The named series, or the newest one in which a cell has run.

    Raises:
        UserInputError: there is none, or none of that name; near names are suggested.
    """
    from harness.core.errors import UserInputError, unknown_name

    known = history.all_series()
    if named is not None:
        if named not in known:
            raise unknown_name("series", named, known)
        return named
    for series in reversed(known):
        if history.has_cell(series, key):
            return series
    raise UserInputError(
        f"{key.text_with_seed} has run in no night", hint="a history is made of `harness nightly`, not of runs by day"
    )
