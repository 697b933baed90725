"""The float model that a quantized one is held against: its own weights before anything was rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import HarnessError, UserInputError
from harness.nightly.kept import kept_model, source_sha256
from harness.prepare.prepared import PreparedModel
from harness.results.history import History
from harness.results.record import CellKey, CellRecord
from harness.variants.artifact import AS_IS
from harness.variants.audit.mixed import layer_names_of
from harness.variants.recipe import Recipe, plain_recipe
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource

Note = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FloatModel:
    """The float model of the same training.

    Attributes:
        data: the .tflite.
        inputs: its samples, one array per input, [N, ...], in its own order; None: the quantized model's are turned into floats.
        words: which it is, for a reader.
        layers: the names of the Keras model's layers, as far as they are known; None: no recipe here made it.
    """

    data: bytes
    inputs: tuple[np.ndarray, ...] | None
    words: str
    layers: tuple[str, ...] | None = None


def given_float(path: Path) -> FloatModel:
    """A float model that the user names.

    Raises:
        UserInputError: no .tflite, or one that is quantized itself.
    """
    from harness.tflite.graph import read_graph, read_tflite
    from harness.workloads.finished import finished_model

    model = finished_model(path).path
    graph = read_graph(model)
    if any(tensor.is_quantized for tensor in graph.tensors):
        raise UserInputError(
            "is quantized itself, and cannot stand for the float model",
            where=str(path),
            hint="give the float32 .tflite",
        )
    return FloatModel(data=read_tflite(model), inputs=None, words=path.name)


def float_of(
    history: History, record: CellRecord, folder: Path, options: Mapping[str, Any], note: Note
) -> tuple[FloatModel | None, str]:
    """The float model of the cell's own training, and why there is none."""
    if record.key.recipe == AS_IS:
        return None, "no float model was given (--float FLOAT.tflite)"
    try:
        plain = plain_recipe(record.key.recipe)
    except UserInputError:
        return None, f"{record.key.recipe} is no recipe here, so nobody knows its float model"
    recipe, words = plain.name, plain.name
    if recipe == record.key.recipe:
        return None, "the model is the float model"
    if plain.training.base == "qat":
        words = f"{recipe}: the weights that the training of {record.key.recipe} gave, in float32 and without fake quantizers"
    wanted = replace(record.key, recipe=recipe)
    for other in history.store.cells(run=record.run, workload=exact_name(wanted.workload), recipe=exact_name(recipe)):
        if (other.key.workload, other.key.dataset, other.key.seed) != (wanted.workload, wanted.dataset, wanted.seed):
            continue
        if other.model_sha256 != record.model_sha256 or not other.ran:
            continue
        try:
            kept = kept_model(history, other, folder)
            return _float_model(kept, f"{words}, of run {other.run}", _layer_names(wanted, plain, options)), ""
        except HarnessError:
            continue
    note(f"the float model {recipe} is not in the run: it is taken from the build cache, or built")
    made, why = prepared_again(wanted.workload, recipe, wanted.seed, options)
    if made is None:
        return None, f"{recipe} is not kept in run {record.run}, and cannot be had: {why}"
    if made.model_sha256 != record.model_sha256 or not _is_of_its_training(record, plain, options):
        return None, f"{recipe} is not kept in run {record.run}, and what is built here is of another training"
    return _float_model(made, words, _layer_names(wanted, plain, options)), ""


def _is_of_its_training(record: CellRecord, plain: Recipe, options: Mapping[str, Any]) -> bool:
    """Whether trained weights here are those of a record: its own recipe gives the same file from them."""
    if plain.training.base == "float":
        return True
    own, _ = prepared_again(record.key.workload, record.key.recipe, record.key.seed, options)
    return own is not None and own.artifact.sha256 == source_sha256(record)


def _float_model(model: PreparedModel, words: str, layers: tuple[str, ...]) -> FloatModel:
    inputs = tuple(np.load(file.path, mmap_mode="r", allow_pickle=False) for file in model.inputs)
    return FloatModel(data=model.artifact.file.read_bytes(), inputs=inputs, words=words, layers=layers)


def _layer_names(key: CellKey, plain: Recipe, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a model's layers, from the build cache; none where that does not have it, and ops go by their numbers then."""
    from harness.variants.build.build import BuildRequest, cached_outcomes

    try:
        workload, source = _sources(key.workload, options)
        request = BuildRequest(workload=workload, recipe=plain, source=source, seed=key.seed)
        (outcome,) = cached_outcomes([request])
    except (HarnessError, OSError, ValueError):
        return ()
    return () if outcome is None else tuple(layer_names_of(outcome.artifact.manifest.get("training_summary")))


def prepared_again(
    workload: str, recipe: str, seed: int, options: Mapping[str, Any]
) -> tuple[PreparedModel | None, str]:
    """A model by the options of the run that had it, from the build cache where it is there; None and why it cannot be had."""
    from harness.run.plan import ModelRequest, prepare_requests

    try:
        found, source = _sources(workload, options)
        (model,) = prepare_requests([ModelRequest(workload=found, recipe=recipe, seed=seed)], source)
    except HarnessError as error:
        return None, error.what
    except (OSError, ValueError) as error:
        return None, str(error)
    return (model, "") if model.artifact.path is not None else (None, model.artifact.refused or "it is refused")


def _sources(workload: str, options: Mapping[str, Any]) -> tuple[Workload, DataSource]:
    """The workload of a run, and where its published data are.

    Raises:
        HarnessError: it cannot be had any more.
    """
    from harness.workloads.given import given_workload
    from harness.workloads.registry import get_workload

    given = given_workload(workload, options.get("workloads") or ())
    data = options.get("data")
    found = get_workload(given, data=Path(data) if data else None, metric=options.get("metric"))
    return found, DataSource.default(options.get("data_dir"))


def exact_name(name: str) -> str | None:
    """A name as a filter of the store that means itself; None where it would be read as a pattern."""
    return None if any(sign in name for sign in "*?") else name
