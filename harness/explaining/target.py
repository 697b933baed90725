"""What is to be explained: a stored cell or a finished model, with its samples, its device, and its float model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.boards.profile.model import Profile
from harness.boards.resolve import get_profile
from harness.core.errors import HarnessError, UserInputError
from harness.nightly.kept import kept_model
from harness.prepare.prepared import PreparedModel
from harness.results.cellname import cell_name, find_cell
from harness.results.history import History
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.run.options import RunOptions
from harness.variants.artifact import AS_IS

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FloatModel:
    """The float model of the same training.

    Attributes:
        data: the .tflite.
        inputs: its samples, one array per input, [N, ...], in its own order; None: the quantized model's are turned into floats.
        words: which it is, for a reader.
    """

    data: bytes
    inputs: tuple[np.ndarray, ...] | None
    words: str


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
        float_model, why = _float_of(history, record, folder, options, note)
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


def given_float(path: Path) -> FloatModel:
    """A float model that the user names.

    Raises:
        UserInputError: no .tflite, or one that is quantized itself.
    """
    from harness.tflite.graph import read_graph

    graph = read_graph(path)
    if any(tensor.is_quantized for tensor in graph.tensors):
        raise UserInputError(
            "is quantized itself, and cannot stand for the float model",
            where=str(path),
            hint="give the float32 .tflite",
        )
    return FloatModel(data=path.read_bytes(), inputs=None, words=path.name)


def _record(store: Store, text: str, run: str | None) -> CellRecord:
    key = find_cell(store, text)
    records = [
        r
        for r in store.cells(run=run, recipe=_exact(key.recipe), device=_exact(key.device), backend=key.backend)
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
    found = store.cells(run=record.run, workload=_exact(key.workload), device=_exact(key.device))
    same = ((o.key.workload, o.key.device, o.key.dataset, o.key.seed) for o in found)
    mine = (key.workload, key.device, key.dataset, key.seed)
    return [o for o, its in zip(found, same, strict=True) if its == mine and o.key != key]


def _exact(name: str) -> str | None:
    """A name as a filter of the store that means itself; None where it would be read as a pattern."""
    return None if any(sign in name for sign in "*?") else name


def _model(history: History, record: CellRecord, folder: Path, options: Mapping[str, Any], note: Note) -> PreparedModel:
    """The cell's model as it was judged, from the store; where that does not have it any more, prepared anew."""
    try:
        return kept_model(history, record, folder)
    except HarnessError as error:
        why = error.what
    note(f"{why}: the model is prepared again")
    made = _prepared(record.key.workload, record.key.recipe, record.key.seed, options)
    from harness.nightly.kept import source_sha256

    if made is None or made.artifact.sha256 != source_sha256(record):
        raise UserInputError(
            f"{why}, and cannot be made again as it was",
            where=record.key.text_with_seed,
            hint="run the cell again, then explain it",
        )
    return made


def _prepared(workload: str, recipe: str, seed: int, options: Mapping[str, Any]) -> PreparedModel | None:
    """A model by the options of the run that had it, from the build cache where it is there; None where it cannot be had."""
    from harness.run.plan import ModelRequest, prepare_requests
    from harness.workloads.datasets import DataSource
    from harness.workloads.registry import get_workload

    given = next((w for w in options.get("workloads") or () if Path(str(w)).stem == workload), workload)
    data = options.get("data")
    try:
        found = get_workload(str(given), data=Path(data) if data else None, metric=options.get("metric"))
        source = DataSource.default(options.get("data_dir"))
        (model,) = prepare_requests([ModelRequest(workload=found, recipe=recipe, seed=seed)], source)
    except (HarnessError, OSError, ValueError):
        return None
    return model if model.artifact.path is not None else None


def _float_of(
    history: History, record: CellRecord, folder: Path, options: Mapping[str, Any], note: Note
) -> tuple[FloatModel | None, str]:
    """The float model of the cell's own training, and why there is none."""
    if record.key.recipe == AS_IS:
        return None, "no float model was given (--float FLOAT.tflite)"
    recipe = float_recipe(record.key.recipe)
    if recipe is None:
        return None, f"{record.key.recipe} trains its own weights, which no float recipe has"
    if recipe == record.key.recipe:
        return None, "the model is the float model"
    wanted = replace(record.key, recipe=recipe)
    for other in history.store.cells(run=record.run, workload=_exact(wanted.workload), recipe=_exact(recipe)):
        if (other.key.workload, other.key.dataset, other.key.seed) != (wanted.workload, wanted.dataset, wanted.seed):
            continue
        if other.model_sha256 != record.model_sha256 or not other.ran:
            continue
        try:
            return _float_model(kept_model(history, other, folder), f"{recipe} of run {other.run}"), ""
        except HarnessError:
            continue
    note(f"the float model {recipe} is not in the run: it is taken from the build cache, or built")
    made = _prepared(wanted.workload, recipe, wanted.seed, options)
    if made is None or made.model_sha256 != record.model_sha256:
        return None, f"{recipe} is not kept in run {record.run}, and cannot be had as it was"
    return _float_model(made, recipe), ""


def float_recipe(name: str) -> str | None:
    """The recipe whose model has the weights of another before they were rounded; None for QAT and finished models."""
    from harness.variants.recipe import parse_recipe

    try:
        training = parse_recipe(name).training
    except UserInputError:
        return None
    return None if training.base == "qat" else f"{training.name}-float32"


def _float_model(model: PreparedModel, words: str) -> FloatModel:
    inputs = tuple(np.load(file.path, mmap_mode="r", allow_pickle=False) for file in model.inputs)
    return FloatModel(data=model.artifact.file.read_bytes(), inputs=inputs, words=words)


def _accelerated(profile: Profile, names: tuple[str, ...]) -> str:
    from harness.boards.connect import backend_spec

    specs = [backend_spec(profile, name) for name in names]
    for spec in specs:
        if spec.delegate_path or spec.compiler:
            return spec.name
    return next((spec.name for spec in reversed(specs) if spec.kernels == "default"), names[-1])
