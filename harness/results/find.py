"""Which record is meant: of a cell by its name, or of a model's file on a device."""

from __future__ import annotations

from harness.core.errors import UserInputError, unknown_name
from harness.results.cellname import cell_name, find_cell
from harness.results.record import CellRecord
from harness.results.store import Store


def find_record(store: Store, text: str, *, run: str | None = None) -> CellRecord:
    """The newest record of a cell, or the one of a run.

    Args:
        text: WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN], as `harness history` takes it.
        run: an id, the unique beginning of one, or `latest`.

    Raises:
        UserInputError: no such cell, or none in that run; near names are suggested.
    """
    if run is None:
        key = find_cell(store, text)
        found = _cells(store, key.workload, key.recipe, key.device, key.backend)
        return [record for record in found if record.key == key][-1]
    info = store.run(run)
    records = {cell_name(record.key): record for record in store.cells(run=info.run)}
    name = text.strip().strip("/")
    if name in records:
        return records[name]
    if len(name.split("/")) not in (4, 5):
        find_cell(store, text)  # says how a cell is written
    if name in {cell_name(key) for key in info.planned}:
        raise UserInputError(f"run {info.run} has no record of it: it did not come to that", where=name)
    raise unknown_name(f"cell of run {info.run}", name, records)


def find_measured(store: Store, sha256: str, device: str, backend: str | None) -> CellRecord | None:
    """The newest record of a file that ran on a device; None where there is none.

    Args:
        sha256: of the .tflite, before any offline compiler.
        backend: None: any.
    """
    found = [
        record
        for record in store.cells(device=device, backend=backend)
        if record.ran and sha256 in (record.artifact_sha256, (record.compiled or {}).get("source_sha256"))
    ]
    return found[-1] if found else None


def _cells(store: Store, workload: str, recipe: str, device: str, backend: str) -> list[CellRecord]:
    return store.cells(workload=workload, recipe=recipe, device=device, backend=backend)
