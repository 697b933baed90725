"""A row that came from a file is a record before a store takes it."""

from __future__ import annotations

import json
from typing import Any

from harness.core.errors import UserInputError
from harness.results import codec
from harness.results.record import CellKey
from harness.results.schema import KEY_FIELDS


def check_record(row: dict[str, Any], *, where: str) -> None:
    """Proves that a row's record can be read, and is that of the row's cell and run.

    Args:
        row: of the table `cell` or `superseded`, its record whole.
        where: the file.

    Raises:
        UserInputError: it is none; says of which cell.
    """
    name = "/".join(str(row.get(part)) for part in KEY_FIELDS[:4])
    try:
        record = codec.record_from_json(json.loads(row["record"]))
        key = CellKey(**{part: row[part] for part in KEY_FIELDS})
        right = (record.run, record.key) == (row["run"], key) and record.outcome == row["outcome"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserInputError(
            f"the record of {name} in run {row.get('run')} cannot be read ({type(error).__name__}: {error})",
            where=where,
            hint="export again",
        ) from error
    if not right:
        raise UserInputError(
            f"the record of {name} in run {row['run']} is that of another cell, run or outcome",
            where=where,
            hint="export again; records are not edited by hand",
        )
