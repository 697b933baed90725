"""What is to be explained: a stored cell or a finished model, with its samples, its device, and its float model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.boards.profile.model import Profile
from harness.boards.resolve import get_profile
from harness.core.errors import HarnessError, UserInputError
from harness.explaining.floatmodel import FloatModel, Note, exact_name, float_of, given_float, prepared_again
from harness.nightly.kept import kept_model, source_sha256
from harness.prepare.prepared import PreparedModel
from harness.results.cellname import cell_name, find_cell
from harness.results.history import History
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.run.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be explained.

    Attributes:
        name: of the cell, or of the file.
        asked: in words.
        model: with its file and its samples.
        record: None for a model that is no stored cell.
        plain: the float model; None where there is none, and `no_plain` says why.
        options: of the run, for commands.
        siblings: the other cells of its workload on the device in the run.
    """

    name: str
    asked: str
    model: PreparedModel
    profile: Profile
    backend: str
    record: CellRecord | None = None
    plain: FloatModel | None = None
    no_plain: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    siblings: tuple[CellRecord, ...] = ()


def cell_target(
    store: Store, text: str, folder: Path, *, run: str | None, devices_dir: str | None, plain: Path | None, note: Note
) -> Target:
    """A stored cell: of the newest run that has it, or of the one that is named.

    Args:
        folder: a temporary one of the caller's.
        plain: the float model, where the user gives it.

    Raises:
        UserInputError: no such cell, or it did not run, or what it needs is not kept any more.
    """
    history, record = History(store), _record(store, text, run)
    if not record.ran:
        raise UserInputError(
            f"its outcome is {record.outcome}, so nothing ran that could be explained: {record.reason or 'no reason is stored'}",
            where=f"{record.key.text_with_seed} in run {record.run}",
            hint="explain the same recipe on a device that runs it, such as host-litert, or name another run by --run",
        )
    options = store.run(record.run).environment.get("options") or {}
    model = _model(history, record, folder, options, note)
    name = cell_name(record.key)
    float_model: FloatModel | None
    if plain is not None:
        float_model, why = given_float(plain), ""
    else:
        float_model, why = float_of(history, record, folder, options, note)
    return Target(
        name=name,
        asked=f"{name} of run {record.run}",
        model=model,
        profile=get_profile(record.key.device, devices_dir or options.get("devices_dir")),
        backend=record.key.backend,
        record=record,
        plain=float_model,
        no_plain=why,
        options=options,
        siblings=tuple(_siblings(store, record)),
    )


def file_target(
    path: Path, *, options: RunOptions, backend: str | None, plain: Path | None, note: Note, samples: int
) -> Target:
    """A finished .tflite on a device.

    Args:
        options: with one device, and the data or None.
        backend: None: the one with an external delegate, else the last one with its default kernels.
        samples: random inputs that stand in for data.

    Raises:
        UserInputError: model, data, device or backend do not exist or do not fit.
    """
    from harness.run.matrix import choose_devices
    from harness.run.measured import measure_plan

    chosen = choose_devices(options)
    if len(chosen) != 1:
        raise UserInputError("one device is explained at a time", hint="name it by --device, once")
    profile, names = chosen[0].profile, chosen[0].backends
    picked = backend or _accelerated(profile, names)
    plan = measure_plan(replace(options, workloads=(str(path),)), samples)
    (model,) = plan.prepare(lambda what, done, total: None)
    return Target(
        name=path.name,
        asked=f"{path.name} on {profile.name}, backend {picked}"
        + (
            ""
            if len(names) == 1 or backend
            else f" (others by --backend: {', '.join(n for n in names if n != picked)})"
        ),
        model=model,
        profile=profile,
        backend=picked,
        options={"workloads": [str(path)], "data": options.data, "devices_dir": options.devices_dir},
        plain=None if plain is None else given_float(plain),
        no_plain="" if plain is not None else "no float model was given (--float FLOAT.tflite)",
    )


def _record(store: Store, text: str, run: str | None) -> CellRecord:
    key = find_cell(store, text)
    records = [
        r
        for r in store.cells(run=run, recipe=exact_name(key.recipe), device=exact_name(key.device), backend=key.backend)
        if r.key == key or (run is not None and cell_name(r.key) == cell_name(key))
    ]
    if not records:
        raise UserInputError(
            f"run {run} has no cell {cell_name(key)}" if run else f"{cell_name(key)} has no record",
            hint="`harness report --list` lists the runs, `harness history CELL` the nights of a cell",
        )
    return records[-1]


def _siblings(store: Store, record: CellRecord) -> list[CellRecord]:
    key = record.key
    found = store.cells(run=record.run, workload=exact_name(key.workload), device=exact_name(key.device))
    same = ((o.key.workload, o.key.device, o.key.dataset, o.key.seed) for o in found)
    mine = (key.workload, key.device, key.dataset, key.seed)
    return [o for o, its in zip(found, same, strict=True) if its == mine and o.key != key]


def _model(history: History, record: CellRecord, folder: Path, options: Mapping[str, Any], note: Note) -> PreparedModel:
    """The cell's model as it was judged, from the store; where that does not have it any more, prepared anew."""
    try:
        return kept_model(history, record, folder)
    except HarnessError as error:
        why = error.what
    note(f"{why}: the model is prepared again")
    made, _ = prepared_again(record.key.workload, record.key.recipe, record.key.seed, options)
    if made is None or made.artifact.sha256 != source_sha256(record):
        raise UserInputError(
            f"{why}, and cannot be made again as it was",
            where=record.key.text_with_seed,
            hint="run the cell again, then explain it",
        )
    return made


def _accelerated(profile: Profile, names: tuple[str, ...]) -> str:
    from harness.boards.connect import backend_spec

    specs = [backend_spec(profile, name) for name in names]
    for spec in specs:
        if spec.delegate_path or spec.compiler:
            return spec.name
    return next((spec.name for spec in reversed(specs) if spec.kernels == "default"), names[-1])
