"""Reads all of a store once, record by record, and says what is damaged."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.core.errors import HarnessError
from harness.results.merge import object_names
from harness.results.store import Store
from harness.results.transfer import read_run, rows_of


@dataclass(kw_only=True)
class Checked:
    """What was read.

    Attributes:
        records, objects: that are whole.
        damaged: each record and object that is not, in words.
    """

    records: int = 0
    objects: int = 0
    damaged: list[str] = field(default_factory=list)


def check_store(store: Store, *, with_objects: bool = True) -> Checked:
    """Compares every record with its checksum, and every object that one names, or that is kept of models and programs, with its
    name.
    """
    found, names = Checked(), set()
    for run in store.run_ids():
        with store._reading() as connection:
            rows = read_run(connection, run)
        found.records += len(rows.tables["cell"]) + len(rows.tables["superseded"])
        found.damaged += [f"run {run}: {text}" for text in rows.damaged]
        names |= object_names(rows)
    with store._reading() as connection:
        names |= {row["object"] for row in rows_of(connection, "kept_artifact")}
    for name in sorted(names) if with_objects else ():
        try:
            store.objects.get_arrays(name)
            found.objects += 1
        except HarnessError as error:
            found.damaged.append(str(error))
    return found
