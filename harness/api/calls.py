"""What every call of the API shares: errors as the commands have them, and arguments in the forms that notebooks use."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from harness.core.errors import UserInputError
from harness.core.faults import environment_error

if TYPE_CHECKING:
    import numpy as np

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

PathLike = str | os.PathLike[str]
Names = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One name, or several."""
Data = PathLike | Mapping[str, "np.ndarray"]
"""Samples: an .npz, or arrays by the names that its keys would have."""


def told(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A full disk or a file that may not be written is a `HarnessError` here too, as it is of every command."""

    @functools.wraps(function)
    def call(*args: Arguments.args, **settings: Arguments.kwargs) -> Result:
        try:
            return function(*args, **settings)
        except OSError as error:
            refused = environment_error(error)
            if refused is None:
                raise
            raise refused from error

    return call


def names(given: Names | None) -> tuple[str, ...]:
    """One name or several, as texts."""
    if given is None:
        return ()
    return (os.fspath(given),) if isinstance(given, str | os.PathLike) else tuple(os.fspath(name) for name in given)


def text(given: PathLike | None) -> str | None:
    """A path as the rooms below take it."""
    return None if given is None else os.fspath(given)


def samples(given: int | str | None) -> int | None:
    """`samples=` as run options have it: None as the profile says, 0 for `"all"`.

    Raises:
        UserInputError: for anything but a number of at least 1, or "all".
    """
    from harness.run.options import parse_samples

    if isinstance(given, bool):
        raise UserInputError(f"samples takes a number of at least 1 or 'all', not {given}")
    return parse_samples(None if given is None else str(given))


def seconds(given: float | str | None, what: str) -> float | None:
    """A duration: seconds, or a text such as `8m` or `1h30m`.

    Args:
        what: the argument's name.

    Raises:
        UserInputError: no duration.
    """
    from harness.run.budget import parse_duration

    if given is None:
        return None
    return parse_duration(given if isinstance(given, str) else f"{given:g}s", what)


def data_file(given: Data | None) -> str | None:
    """The file that samples are in: the one that was named, or one in the cache that the arrays are stored in.

    Raises:
        UserInputError: arrays of objects, or something that is no array.
    """
    if given is None or isinstance(given, str | os.PathLike):
        return text(given)
    if not isinstance(given, Mapping):
        raise UserInputError(
            f"data is a file of samples or arrays by their names, not {type(given).__name__}",
            hint="harness.dataset(...) makes such a file of a table or of an array",
        )
    from harness.workloads.arrays import stored_arrays

    return str(stored_arrays(given))
