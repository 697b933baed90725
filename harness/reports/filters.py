"""Choosing cells by name: what `--workload`, `--recipe`, `--device` and `--backend` let through."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

from harness.core.errors import unknown_name
from harness.results.record import CellKey, CellRecord

Filters = Mapping[str, Sequence[str]]
"""Kind (workload, recipe, device, backend) -> names, or globs in which brackets are literal."""


def matching(keys: Iterable[CellKey], filters: Filters) -> list[CellKey]:
    """The cells of a plan that the filters let through."""
    return [key for key in keys if all(_matches(getattr(key, name), several) for name, several in filters.items())]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """As the store's own filters: names, or globs in which brackets are literal."""
    return any(
        name == p or ("*" in p or "?" in p) and fnmatch.fnmatchcase(name, p.replace("[", "[[]")) for p in patterns
    )


def check_names(filters: Filters, planned: Iterable[CellKey], records: Iterable[CellRecord]) -> None:
    """A filter that matches nothing is a mistake, and near names are suggested.

    Raises:
        UserInputError: naming the filter.
    """
    keys = [*planned, *(record.key for record in records)]
    for kind, patterns in filters.items():
        names = {getattr(key, kind) for key in keys}
        for pattern in patterns:
            if not any(_matches(name, (pattern,)) for name in names):
                raise unknown_name(f"{kind} in this run", pattern, names)
