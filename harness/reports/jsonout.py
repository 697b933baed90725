"""The published JSON: `{"schema": 2, "run": ..., "cells": [...]}`, described by schema.json and docs/reference/json-schema.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.files import write_named
from harness.reports.fields import FIELDS
from harness.results.codec import plain_json, record_to_json
from harness.results.faults import storage_faults
from harness.results.record import SCHEMA_VERSION, CellRecord

if TYPE_CHECKING:
    from harness.reports.answer.answer import Answer

_LISTS = {"fallback", "ops", "findings"}


def cell_json(record: CellRecord) -> dict[str, Any]:
    """A record as a flat JSON object with every field, null where a value does not apply; never NaN."""
    nested = record_to_json(record)
    flat = {**nested.pop("key"), **nested}
    return {field.name: flat[field.name] for field in FIELDS}


def partial_cell(values: Mapping[str, Any]) -> dict[str, Any]:
    """A cell of which only some fields are known (`harness build`, `harness audit`): the others are null or empty.

    Args:
        values: known fields by their published names; further names are kept behind them.
    """
    known = plain_json(dict(values))
    empty: dict[str, Any] = {f.name: [] if f.name in _LISTS else None for f in FIELDS}
    return {**empty, "outcome": "ok", "attempts": 1, "revision": 0, **known}


def document(
    run: str | None, cells: Iterable[CellRecord | Mapping[str, Any]], answers: Sequence[Answer] | None = None
) -> dict[str, Any]:
    """The whole document. Cells are records, or objects made by `partial_cell`.

    Args:
        answers: what to ship; None where that is not asked (audits, builds): the document then has no such part.
    """
    said: dict[str, Any] = {}
    if answers is not None:
        from harness.reports.answer.plain import answers_json

        said["answers"] = answers_json(answers)
    return {
        "schema": SCHEMA_VERSION,
        "run": run,
        **said,
        "cells": [cell_json(c) if isinstance(c, CellRecord) else dict(c) for c in cells],
    }


def dumps(
    run: str | None, cells: Iterable[CellRecord | Mapping[str, Any]], answers: Sequence[Answer] | None = None
) -> str:
    """The document as text: ASCII, one indent, final newline."""
    return json.dumps(document(run, cells, answers), indent=1, allow_nan=False) + "\n"


def write_json(
    path: Path | str,
    run: str | None,
    cells: Iterable[CellRecord | Mapping[str, Any]],
    answers: Sequence[Answer] | None = None,
) -> None:
    """Writes the document of `--json` atomically; `-` means stdout.

    Raises:
        UserInputError: the place cannot be written.
        HarnessError: the disk is full.
    """
    write_text(path, dumps(run, cells, answers), option="--json")


def write_text(path: Path | str, text: str, *, option: str = "--output") -> None:
    """Writes a report to a file, atomically, or to stdout for `-`; a pipe or device is written to, never replaced.

    Args:
        option: which one names the file, for an error's hint.
    """
    path = Path(path)
    if str(path) == "-":
        sys.stdout.write(text)
        return
    with storage_faults(path, option=option):
        write_named(path, text.encode("utf-8", errors="backslashreplace"))


def schema() -> dict[str, Any]:
    """The JSON Schema of the document, as shipped in the package."""
    return json.loads(resources.files("harness.reports").joinpath("schema.json").read_text(encoding="utf-8"))
