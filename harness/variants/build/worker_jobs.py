"""What a build worker does with one job: train, or convert. TensorFlow is imported here, in the worker, and only there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.files import sha256_file, write_arrays_atomic, write_json_atomic
from harness.variants.recipe import Recipe, parse_recipe
from harness.workloads.base import Dataset, Workload, stratified_order
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

OnProgress = Callable[[float], None]


def workload_reference(workload: Workload) -> dict[str, Any]:
    """How a worker finds a workload again: by its registered name, or by the user's own files and the metric's name."""
    if workload.model_path is None:
        return {"name": workload.name, "data": None, "metric": None}
    metric = workload.metric and workload.metric.name
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


class JobRunner:
    """Runs jobs one after another; a dataset is read once per worker."""

    def __init__(self) -> None:
        self._dataset: tuple[Any, Dataset] | None = None

    def run(self, job: dict[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Runs one job.

        Args:
            job: `kind` ("train" | "convert"), `workload`, `source`, `seed`, `recipe`, `out` (a folder to fill),
                `float_dir` and `training_dir` (finished trainings it needs).
            on_progress: called with the share done, 0..1.

        Returns:
            JSON for the entry's manifest.

        Raises:
            UnsupportedError: the combination is refused.
            HarnessError: data or model is broken.
        """
        reference = job["workload"]
        data = reference["data"] and Path(reference["data"])
        workload = get_workload(reference["name"], data=data, metric=reference["metric"])
        recipe, out = parse_recipe(job["recipe"]), Path(job["out"])
        started = time.monotonic()
        if job["kind"] == "train":
            result = self._train(job, workload, recipe, out, on_progress)
        else:
            result = _convert(job, workload, recipe, out)
        return {**result, "seconds": round(time.monotonic() - started, 3)}

    def _train(
        self, job: dict[str, Any], workload: Workload, recipe: Recipe, out: Path, on_progress: OnProgress
    ) -> dict[str, Any]:
        from harness.variants.qat import training as qat
        from harness.variants.qat.summary import describe

        dataset = self._load(workload, job)
        if recipe.training.base == "float":
            model = qat.train_float(workload, dataset, job["seed"], on_progress)
            _store_representative(workload, dataset, out)
        else:
            model = _rebuild(workload, recipe, job["seed"], Path(job["float_dir"]))
            qat.fine_tune(workload, dataset, model, job["seed"], on_progress)
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


def _store_representative(workload: Workload, dataset: Dataset, out: Path) -> None:
    """Keeps the calibration samples beside the weights: conversions need nothing else of the dataset."""
    if dataset.x_train is None:
        return
    order = stratified_order(workload.strata(dataset.y_train), len(dataset.x_train))[
        : workload.schedule.representative_samples
    ]
    np.save(out / "representative.npy", np.ascontiguousarray(dataset.x_train[order]), allow_pickle=False)


def _rebuild(workload: Workload, recipe: Recipe, seed: int, float_dir: Path) -> Any:
    """The model as it stands before fine-tuning: the float model's weights, wrapped where the recipe's training is QAT."""
    from harness.variants.qat import training as qat

    qat.seed_everything(seed)
    model = qat.build_model(workload)
    qat.set_weight_arrays(model, _arrays(float_dir / "weights.npz"))
    return qat.quantize(model, recipe.training) if recipe.training.base == "qat" else model


def _convert(job: dict[str, Any], workload: Workload, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Writes model.tflite and audit.json; returns what the manifest says of them."""
    from harness.variants.audit.audit import audit_artifact
    from harness.variants.convert import ptq
    from harness.variants.qat import training as qat

    float_dir, training_dir = Path(job["float_dir"]), Path(job["training_dir"])
    representative = None
    if recipe.conversion.representative and (float_dir / "representative.npy").exists():
        representative = np.load(float_dir / "representative.npy", allow_pickle=False)
    model = _rebuild(workload, recipe, job["seed"], float_dir)
    if recipe.training.base != "float":
        qat.set_weight_arrays(model, _arrays(training_dir / "weights.npz"))
    data = ptq.convert(model, recipe.conversion, dynamic_batch=recipe.dynamic_batch, representative=representative)
    path = out / "model.tflite"
    path.write_bytes(data)
    summary = json.loads((training_dir / "manifest.json").read_bytes())["training_summary"]
    audit = audit_artifact(path, recipe, summary)
    write_json_atomic(out / "audit.json", audit)
    return {**describe_file(path), "audit": {"version": audit["version"], "findings": audit["findings"]}}


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
