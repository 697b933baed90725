"""Published figures that a night was begun with, kept with its run: workbook and page have them whenever they are made again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from harness.core.errors import HarnessError
from harness.core.printable import one_line
from harness.reports.published import QUANTITIES, PublishedFigure
from harness.results.objects import ObjectStore
from harness.results.record import RunInfo

#: with a run's environment: the SHA-256 of the stored figures
PUBLISHED_OBJECT = "published_object"
_TEXTS = ("workload", "recipe", "device", "backend", "quantity", "source")


def keep_published(figures: Sequence[PublishedFigure], objects: ObjectStore) -> dict[str, Any]:
    """Stores figures by their content; returns what is noted with the run.

    Raises:
        HarnessError: they cannot be written.
    """
    return {PUBLISHED_OBJECT: objects.put_json([asdict(figure) for figure in figures])}


def kept_published(info: RunInfo | None, objects: ObjectStore | None) -> tuple[tuple[PublishedFigure, ...], str | None]:
    """The figures that a run was begun with, and what is wrong with them, in words; none of both where there were none."""
    name = info.environment.get(PUBLISHED_OBJECT) if info is not None else None
    if objects is None or not isinstance(name, str):
        return (), None
    try:
        rows = objects.get_json(name)
        if not isinstance(rows, list):
            raise ValueError("they are no list")
        return tuple(map(_figure, rows)), None
    except (HarnessError, ValueError, TypeError) as error:
        said = error.what if isinstance(error, HarnessError) else str(error)
        return (
            (),
            f"the published figures that the night was begun with cannot be read any more ({one_line(said, 200)})",
        )


def _figure(row: Any) -> PublishedFigure:
    """A stored figure, checked as one of a file is.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(row, dict) or row.get("quantity") not in QUANTITIES:
        raise ValueError("one is no figure")
    known = {f.name: row[f.name] for f in fields(PublishedFigure) if f.name in row}
    value = known.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("one is no number")
    if not all(isinstance(known.get(name, ""), str) for name in _TEXTS) or not isinstance(known.get("row", 0), int):
        raise ValueError("one has a name that is no text")
    return PublishedFigure(**known)
