"""What a build worker does with one job: train, or convert. TensorFlow is imported here, in the worker, and only there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.core.errors import UserInputError
from harness.core.files import sha256_file, write_arrays_atomic, write_json_atomic
from harness.core.plain import from_plain
from harness.variants.build.keys import model_digest
from harness.variants.build.steps import Step
from harness.variants.calibration import Calibration, calibration_part
from harness.variants.recipe import Recipe, parse_recipe
from harness.variants.scheme import Scheme
from harness.workloads.base import Dataset, Workload, stratified_order
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload
from harness.workloads.rows import Arrays, find_samples, read_samples, write_samples


class Report(Protocol):
    """Hears how a job goes."""

    def __call__(self, share: float) -> None:
        """The share of a training that is done, 0..1."""

    def step(self, step: Step) -> None:
        """A step has begun."""


def workload_reference(workload: Workload) -> dict[str, Any]:
    """How a worker finds a workload again: by its registered name, or by the user's own files and the metric's name."""
    if workload.model_path is None:
        return {"name": workload.name, "data": None, "metric": None}
    metric = workload.metric_text or (workload.metric and workload.metric.name)
    return {"name": workload.model_path, "data": workload.data_path, "metric": metric}


def source_reference(source: DataSource) -> dict[str, Any]:
    """A data source as JSON."""
    return {
        "data_dir": source.data_dir and str(source.data_dir),
        "keras_dir": source.keras_dir and str(source.keras_dir),
        "fetched_dir": source.fetched_dir and str(source.fetched_dir),
    }


def _source(reference: dict[str, str | None]) -> DataSource:
    """The data source that `source_reference` described."""
    folders = {name: Path(path) if path else None for name, path in reference.items()}
    return DataSource(data_dir=folders["data_dir"], keras_dir=folders["keras_dir"], fetched_dir=folders["fetched_dir"])


def _recipe(job: dict[str, Any]) -> Recipe:
    """The recipe of a job: by its name, or as it was defined where that is another one. A float training needs the name alone."""
    defined = job.get("definition")
    named = parse_recipe(job["recipe"])
    return (
        named
        if defined is None or named.training.base == "float" and job["kind"] == "train"
        else from_plain(Recipe, defined, {})
    )


class JobRunner:
    """Runs jobs one after another; a dataset is read once per worker."""

    def __init__(self) -> None:
        self._dataset: tuple[Any, Dataset] | None = None

    def run(self, job: dict[str, Any], report: Report) -> dict[str, Any]:
        """Runs one job.

        Args:
            job: `kind` ("train" | "convert"), `workload`, `source`, `seed`, `recipe`, `out` (a folder to fill),
                `float_dir` and `training_dir` (finished trainings it needs), `keras` (2 or 3, what this process has).
            report: is told about every step.

        Returns:
            JSON for the entry's manifest.

        Raises:
            UnsupportedError: the combination is refused.
            HarnessError: data or model is broken.
        """
        reference = job["workload"]
        data = reference["data"] and Path(reference["data"])
        workload = get_workload(reference["name"], data=data, metric=reference["metric"])
        recipe, out = _recipe(job), Path(job["out"])
        started = time.monotonic()
        if job["kind"] == "train":
            result = self._train(job, workload, recipe, out, report)
        else:
            result = _convert(job, workload, recipe, out, report, lambda: self._load(workload, job))
        return {**result, "seconds": round(time.monotonic() - started, 3)}

    def _train(
        self, job: dict[str, Any], workload: Workload, recipe: Recipe, out: Path, report: Report
    ) -> dict[str, Any]:
        from harness.variants.qat import training as qat
        from harness.variants.qat.summary import describe

        dataset = self._load(workload, job)
        if recipe.training.base == "float":
            model = _float_model(job, workload, dataset, out, report)
        else:
            model = _rebuild(job, workload, recipe, report)
            report.step("training")
            if recipe.training.simulated is None:
                qat.fine_tune(workload, dataset, model, job["seed"], report)
            else:
                model = _train_simulated(workload, dataset, model, recipe.training.simulated, job["seed"], report)
            write_arrays_atomic(out / "weights.npz", qat.weight_arrays(model))
        return {
            "training_summary": describe(model),
            "weights_sha256": sha256_file(out / "weights.npz"),
            "dataset": {"name": dataset.name, "note": dataset.note, "digest": dataset.digest},
        }

    def _load(self, workload: Workload, job: dict[str, Any]) -> Dataset:
        place = (job["workload"], job["source"])
        if self._dataset is None or self._dataset[0] != place:
            self._dataset = None  # the old one may go before the new one comes: memory
            self._dataset = (place, workload.load_dataset(_source(job["source"])))
        return self._dataset[1]


def _float_model(job: dict[str, Any], workload: Workload, dataset: Dataset, out: Path, report: Report) -> Any:
    """The float model: trained here, or the user's own. Leaves its weights and the calibration samples in `out`."""
    from harness.variants.qat import training as qat

    _store_representative(workload, dataset, out)
    if workload.keras_major == 3:
        model = _own_keras3_model(job, workload, report)
        report.step("asking")
        if model.layers:
            _leave(model, workload, dataset, out)
        else:  # of a graph without layers there is no copy, and its weights are known by its files
            digest = np.frombuffer(bytes.fromhex(model_digest(Path(workload.model_file))), np.uint8)
            write_arrays_atomic(out / "weights.npz", {"model_sha256": digest})
        return model
    report.step("loading" if workload.model_path else "training")
    model = qat.train_float(workload, dataset, job["seed"], report)
    write_arrays_atomic(out / "weights.npz", qat.weight_arrays(model))
    return model


def _own_keras3_model(job: dict[str, Any], workload: Workload, report: Report) -> Any:
    from harness.variants.qat import training as qat

    report.step("loading")
    qat.seed_everything(job["seed"])
    return qat.build_model(workload)


def _leave(model: Any, workload: Workload, dataset: Dataset, out: Path) -> None:
    """Keeps what a copy in Keras 2 is made of, and what it has to answer."""
    from harness.workloads.keras.keras2_copy import PROBE_SAMPLES, leave
    from harness.workloads.keras.messages import explain

    samples = dataset.x_test if dataset.x_train is None else dataset.x_train
    labels = dataset.y_test if dataset.x_train is None else dataset.y_train
    order = stratified_order(workload.strata(labels), len(samples))[:PROBE_SAMPLES]
    try:
        leave(model, samples[order], out)
    # Keras and TensorFlow throw what they like over values that a layer does not take.
    except Exception as error:
        hint = "check that the samples are what the model was trained on: shape, values, scaling"
        what = f"the model cannot answer the samples: {explain(error)}"
        raise UserInputError(what, where=workload.model_file, hint=hint) from error


def _store_representative(workload: Workload, dataset: Dataset, out: Path) -> None:
    """Keeps the calibration samples beside the weights: conversions need nothing else of the dataset."""
    samples = _calibration_samples(workload, dataset, workload.schedule.representative_samples)
    if samples is not None:
        write_samples(samples, out, "representative")


def _calibration_samples(workload: Workload, dataset: Dataset, count: int) -> Arrays | None:
    """The first of those kept for it, else of the training set, in their fixed stratified order: more are more of the same."""
    x, y = calibration_part(dataset)
    if x is None:
        return None
    return x[stratified_order(workload.strata(y), len(x))[:count]]


def _rebuild(job: dict[str, Any], workload: Workload, recipe: Recipe, report: Report) -> Any:
    """The model as it stands before fine-tuning: the float model's weights, wrapped where the recipe's training is QAT."""
    from harness.variants.qat import training as qat
    from harness.variants.qat.wrapping import quantize

    if workload.keras_major == 3 and job["keras"] == 3:
        return _own_keras3_model(job, workload, report)
    report.step("loading")
    qat.seed_everything(job["seed"])
    model = _plain_model(job, workload)
    if recipe.training.simulated is not None:
        from harness.variants.qat.simulated import folded

        return folded(model)
    return quantize(model, recipe.training) if recipe.training.base == "qat" else model


def _plain_model(job: dict[str, Any], workload: Workload) -> Any:
    """The float model in Keras 2, trained: built, the user's own, or the copy of one of Keras 3."""
    from harness.variants.qat import training as qat

    float_dir = Path(job["float_dir"])
    if workload.keras_major == 3:
        from harness.workloads.keras.keras2_copy import make_copy

        return make_copy(Path(workload.model_file), float_dir)
    model = qat.build_model(workload)
    qat.set_weight_arrays(model, _arrays(float_dir / "weights.npz"))
    return model


def _train_simulated(
    workload: Workload, dataset: Dataset, model: Any, scheme: Scheme, seed: int, report: Report
) -> Any:
    from harness.variants.qat import training as qat
    from harness.variants.qat.simulated import straight_through

    training = straight_through(model, scheme)
    qat.fine_tune(workload, dataset, training.model, seed, report)
    training.finish()
    return training.model


def _convert(
    job: dict[str, Any], workload: Workload, recipe: Recipe, out: Path, report: Report, load: Callable[[], Dataset]
) -> dict[str, Any]:
    """Writes model.tflite and audit.json; returns what the manifest says of them."""
    from harness.variants.audit.audit import audit_artifact
    from harness.variants.convert import ptq
    from harness.variants.qat import training as qat

    float_dir, training_dir = Path(job["float_dir"]), Path(job["training_dir"])
    model = _rebuild(job, workload, recipe, report)
    if recipe.training.base != "float":
        qat.set_weight_arrays(model, _arrays(training_dir / "weights.npz"))
    representative = _representative(recipe, float_dir, workload, load, model)
    notes: dict[str, Any] | None = None
    if recipe.conversion.mix is not None:
        if recipe.training.base == "qat" and recipe.training.simulated is None:
            model = _stripped(job, workload, model)
        report.step("converting")
        mixed = ptq.convert_mixed(
            model, recipe.conversion.mix, dynamic_batch=recipe.dynamic_batch, representative=representative
        )
        data, notes = mixed.model, mixed.notes
    else:
        report.step("converting")
        data = ptq.convert(model, recipe.conversion, dynamic_batch=recipe.dynamic_batch, representative=representative)
    path = out / "model.tflite"
    path.write_bytes(data)
    summary = json.loads((training_dir / "manifest.json").read_bytes())["training_summary"]
    audit = audit_artifact(path, recipe, summary, notes)
    write_json_atomic(out / "audit.json", audit)
    described = {**describe_file(path), "audit": {"version": audit["version"], "findings": audit["findings"]}}
    return described if notes is None else {**described, "mixed": notes}


def _representative(
    recipe: Recipe, float_dir: Path, workload: Workload, load: Callable[[], Dataset], model: Any
) -> Arrays | None:
    """The calibration samples of a recipe: those that it names, or the first of the fixed order, as many as it asks for."""
    if recipe.calibration is not None:
        return _chosen(load(), workload, recipe.calibration, model)
    path = find_samples(float_dir, "representative")
    if not recipe.conversion.representative or path is None:
        return None
    kept = read_samples(path)
    mix = recipe.conversion.mix
    wanted = None if mix is None else mix.samples
    if wanted is None or wanted <= len(kept):
        return kept[:wanted]
    dataset = load()
    found = _calibration_samples(workload, dataset, wanted)
    return kept if found is None else found


def _chosen(dataset: Dataset, workload: Workload, calibration: Calibration, model: Any) -> Arrays | None:
    """The calibration samples that a recipe names; None where there are none to choose from."""
    from harness.variants.convert.reach import activation_reach

    samples, labels = calibration_part(dataset)
    if samples is None:
        return None
    chosen = calibration.indices(len(samples), workload.strata(labels), lambda: activation_reach(model, samples))
    return samples[chosen]


def _stripped(job: dict[str, Any], workload: Workload, trained: Any) -> Any:
    """The float model with the weights of a wrapped one."""
    from harness.variants.qat import training as qat
    from harness.variants.qat.flat import flattened
    from harness.variants.qat.strip import strip

    qat.seed_everything(job["seed"])  # layers get their names by counting from the start again
    return strip(trained, flattened(_plain_model(job, workload)))


def describe_file(path: Path) -> dict[str, Any]:
    """What a manifest says of a .tflite: hash, size, inputs and outputs with their quantization, ops with versions.

    Raises:
        UserInputError: the file cannot be read, is no .tflite, or is damaged.
    """
    from dataclasses import asdict

    from harness.tflite.graph import model_io, read_graph

    graph = read_graph(path)
    inputs, outputs = model_io(graph)
    ops: dict[tuple[str, int], int] = {}
    for node in graph.nodes:
        name = (node.custom_name or node.op, node.version)
        ops[name] = ops.get(name, 0) + 1
    return {
        "sha256": sha256_file(path),
        "size_bytes": graph.size_bytes,
        "inputs": [asdict(io) for io in inputs],
        "outputs": [asdict(io) for io in outputs],
        "ops": [{"op": op, "version": version, "count": count} for (op, version), count in ops.items()],
        "node_count": len(graph.nodes),
    }


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
