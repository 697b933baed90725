"""One of two models: its file and graph, and, where it is a measured cell's, the record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.core.errors import UserInputError, unknown_name
from harness.core.files import sha256_bytes
from harness.reports.answer.models import model_bytes
from harness.results.cellname import cell_name
from harness.results.find import find_record
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.tflite.graph import Graph, read_graph, read_tflite
from harness.workloads.finished import finished_model


@dataclass(frozen=True, kw_only=True)
class Side:
    """A model to compare.

    Attributes:
        name: as tables call it.
        data: the file's bytes.
        path: where it lies; None for one that comes from the store.
        record: the cell it was measured in; None for a file.
    """

    name: str
    data: bytes
    path: Path | None = None
    record: CellRecord | None = None

    @cached_property
    def graph(self) -> Graph:
        """Its graph."""
        try:
            return read_graph(self.data)
        except UserInputError as error:
            raise UserInputError(error.what, where=self.name, hint=error.hint) from None

    @property
    def sha256(self) -> str:
        return sha256_bytes(self.data)


def file_side(path: Path) -> Side:
    """A .tflite, or one signature of it.

    Raises:
        UserInputError: it cannot be read, or is none.
    """
    model = finished_model(path)
    side = Side(name=str(path), data=read_tflite(model.path), path=model.path)
    side.graph  # noqa: B018 - read now, so that what is no model is said of its name
    return side


def stored_side(
    store: Store, objects: ObjectStore, text: str, *, run: str | None, workload: str | None, device: str | None
) -> Side:
    """A cell by its name, or a recipe of a run.

    Args:
        text: WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN], or the name of a recipe.
        run: of the recipe, default the newest; of the cell, default its newest.
        workload, device: which of the run's, where there are several.

    Raises:
        UserInputError: no such cell or recipe; several that are not the same file.
        HarnessError: its file was not kept.
    """
    if "/" in text:
        record = find_record(store, text, run=run)
        return Side(name=cell_name(record.key), data=model_bytes(record, objects), record=record)
    info = store.run(run or "latest")
    records = store.cells(run=info.run, workload=workload, device=device)
    named = [record for record in records if record.key.recipe == text]
    if not named:
        raise unknown_name(f"file, cell, or recipe of run {info.run}", text, {record.key.recipe for record in records})
    kept = [record for record in named if record.artifact_object is not None]
    if not kept:
        model_bytes(named[0], objects)  # says what is missing
    for field, option in (("workload", "--workload"), ("device", "--device-of")):
        values = sorted({str(getattr(record.key, field)) for record in kept})
        if len({record.artifact_sha256 for record in kept}) > 1 and len(values) > 1:
            raise UserInputError(
                f"run {info.run} has several {field}s with the recipe {text}",
                where=option,
                hint=f"name one: {', '.join(values)}",
            )
    record = kept[0]
    return Side(name=cell_name(record.key), data=model_bytes(record, objects), record=record)
