"""A cell by the name that people write: WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN], of its newest dataset."""

from __future__ import annotations

import re

from harness.core.errors import UserInputError, unknown_name
from harness.results.record import CellKey
from harness.results.store import Store

_SEED = re.compile(r"seed(\d+)")


def cell_name(key: CellKey) -> str:
    """The name of a cell; `find_cell` takes it."""
    return f"{key.text}/seed{key.seed}" if key.seed else key.text


def find_cell(store: Store, text: str, *, series: str | None = None) -> CellKey:
    """The cell of a name, of the dataset with which it ran last.

    Args:
        series: only cells that have run in it.

    Raises:
        UserInputError: not of this form, or no such cell; near names are suggested.
    """
    parts = text.strip().strip("/").split("/")
    seed = 0
    if len(parts) == 5 and (match := _SEED.fullmatch(parts[-1])):
        seed = int(match[1])
        parts = parts[:-1]
    if len(parts) != 4 or not all(parts):
        raise UserInputError(
            f"'{text}' names no cell",
            hint="write WORKLOAD/RECIPE/DEVICE/BACKEND, and /seedN behind it for another seed",
        )
    known = _newest(store, series)
    name = "/".join([*parts, f"seed{seed}"] if seed else parts)
    if name not in known:
        raise unknown_name("cell", name, known)
    return known[name]


def _newest(store: Store, series: str | None) -> dict[str, CellKey]:
    """Every cell by its name, with the dataset of its newest record."""
    from sqlalchemy import func, select

    from harness.results.schema import KEY_FIELDS, cell, run

    columns = [cell.c[name] for name in KEY_FIELDS]
    statement = select(*columns).join(run, run.c.run == cell.c.run).group_by(*columns).order_by(func.max(run.c.number))
    if series is not None:
        statement = statement.where(run.c.series == series)
    with store._reading() as connection:
        keys = [CellKey(**{n: getattr(row, n) for n in KEY_FIELDS}) for row in connection.execute(statement)]
    return {cell_name(key): key for key in keys}


def newest_records(store: Store, series: str) -> dict[CellKey, str]:
    """Every cell that ever ran in a series -> the run of its newest record that is no failure, else of its newest."""
    from sqlalchemy import case, func, select

    from harness.results.schema import KEY_FIELDS, cell, run

    columns = [cell.c[name] for name in KEY_FIELDS]
    told = func.max(case((cell.c.outcome != "failed", run.c.number)))
    numbers = select(*columns, func.coalesce(told, func.max(run.c.number)).label("number"))
    statement = numbers.join(run, run.c.run == cell.c.run).where(run.c.series == series).group_by(*columns)
    with store._reading() as connection:
        names = {row.number: row.run for row in connection.execute(select(run.c.number, run.c.run))}
        return {
            CellKey(**{n: getattr(row, n) for n in KEY_FIELDS}): names[row.number]
            for row in connection.execute(statement)
        }
