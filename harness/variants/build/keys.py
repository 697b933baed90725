"""Cache keys: what a training and an artifact depend on, hashed. Computed without TensorFlow, in milliseconds.

A key covers everything that the bytes depend on and nothing else: an entry is right as long as its key is asked for.
"""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.core.files import sha256_file, sha256_json
from harness.variants.audit.report import AUDIT_VERSION
from harness.variants.build.readers import READER_VERSION, readers
from harness.variants.recipe import Recipe
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource
from harness.workloads.keras.signature import split_signature

#: raise one when the code behind it changes what comes out
TRAINING_VERSION = 1
CONVERSION_VERSION = 1
MIXED_VERSION = 1
STRIP_VERSION = 2

#: one of these brings the module `tensorflow`
_TENSORFLOW = ("tensorflow-cpu", "tensorflow")
_TASKS = {"SparseCategoricalCrossentropy": "multiclass", "BinaryCrossentropy": "binary"}
_TRAINING_PACKAGES = ("tf-keras", "numpy")
#: what reads the user's own files of Keras 3
_KERAS3_PACKAGES = ("keras",)
_QAT_PACKAGES = ("tensorflow-model-optimization",)
_AEQ_PACKAGES = ("ai-edge-quantizer", "ai-edge-litert")


@dataclass(frozen=True, kw_only=True)
class BuildKeys:
    """The keys of one workload x recipe x seed.

    Attributes:
        float_key: the float training, which every other training starts from and which keeps the calibration samples.
        training_key: the training that the recipe converts; `float_key` for `ptq` recipes.
        artifact_key: the converted model.
        request_key: the same without package versions, for lookups where those packages are not installed.
        packages: the versions that went into `artifact_key`.
    """

    float_key: str
    training_key: str
    artifact_key: str
    request_key: str
    packages: dict[str, str | None]


@functools.cache
def package_version(name: str) -> str | None:
    """The installed version of a distribution, from its metadata: nothing is imported. None when not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def package_versions(workload: Workload, recipe: Recipe) -> dict[str, str | None]:
    """The versions of the packages that a workload's artifact by this recipe depends on."""
    names = list(_training_packages(workload))
    if recipe.training.base == "qat":
        names += _QAT_PACKAGES
    if recipe.conversion.converter != "tflite":
        names += _AEQ_PACKAGES
    versions = {name: package_version(name) for name in names}
    tensorflow = next((version for name in _TENSORFLOW if (version := package_version(name))), None)
    return {"tensorflow": tensorflow, **versions}


def _training_packages(workload: Workload) -> tuple[str, ...]:
    return (*_TRAINING_PACKAGES, *_KERAS3_PACKAGES) if workload.keras_major == 3 else _TRAINING_PACKAGES


class KeyMaker:
    """Computes keys for many recipes; digests of data and of model files are taken once each."""

    def __init__(self) -> None:
        self._datasets: dict[tuple[str, DataSource], str] = {}
        self._models: dict[str, str] = {}

    def keys(self, workload: Workload, recipe: Recipe, source: DataSource, seed: int) -> BuildKeys:
        """The keys of one combination.

        Raises:
            UserInputError: data or model file cannot be read.
        """
        fields = self._fields(workload, recipe, source, seed)
        packages = package_versions(workload, recipe)
        training = {name: packages[name] for name in ("tensorflow", *_training_packages(workload))}
        float_key = sha256_json(["float", fields["float"], training])
        training_key = float_key
        if recipe.training.base != "float":
            qat = {name: packages[name] for name in _QAT_PACKAGES} if recipe.training.base == "qat" else {}
            training_key = sha256_json(["training", float_key, fields["training"], qat])
        return BuildKeys(
            float_key=float_key,
            training_key=training_key,
            artifact_key=sha256_json(["artifact", training_key, fields["artifact"], packages]),
            request_key=sha256_json(["request", fields]),
            packages=packages,
        )

    def _fields(self, workload: Workload, recipe: Recipe, source: DataSource, seed: int) -> dict[str, Any]:
        """Everything but package versions, by the stage it enters."""
        schedule = asdict(workload.schedule)
        finetune = {name: value for name, value in schedule.items() if name.startswith("finetune")}
        training = {name: value for name, value in schedule.items() if name not in finetune}
        own_model = workload.model_path is not None
        # Which Keras reads a file of Keras 3 for what; files of Keras 2 have one reader, and keys without a word about it.
        float_reader: dict[str, Any] = {}
        reader: dict[str, Any] = {}
        if workload.keras_major == 3:
            float_reader = {"readers": [3], "reader_version": READER_VERSION}
            reader = {"readers": list(readers(workload, recipe)), "reader_version": READER_VERSION}
        return {
            "float": {
                **float_reader,
                "version": TRAINING_VERSION,
                "model": workload.name if workload.model_path is None else self._model_digest(workload.model_path),
                "architecture_version": workload.architecture_version,
                "task": _training_task(workload),
                "from_logits": workload.from_logits,
                "dataset": self._dataset_digest(workload, source),
                "schedule": training,
                # A finished model is not trained: every seed has the same weights.
                "seed": None if own_model else seed,
            },
            "training": {
                **reader,
                "schedule": finetune,
                "optimizer": schedule["optimizer"],
                "base": recipe.training.base,
                "scope": recipe.training.scope,
                "seed": seed,
                "quantizer": asdict(recipe.training.quantizer) if recipe.training.quantizer else None,
                **({"layers": list(recipe.training.layers)} if recipe.training.layers else {}),
                **_said("simulated", recipe.training.simulated),
            }
            if recipe.training.base != "float"
            else None,
            "artifact": {
                **reader,
                "version": CONVERSION_VERSION,
                "audit_version": AUDIT_VERSION,
                "recipe": recipe.name,
                "conversion": recipe.conversion.to_json(),
                **({"mixed_version": MIXED_VERSION} if recipe.conversion.mix is not None else {}),
                **({"strip_version": STRIP_VERSION} if _is_stripped(recipe) else {}),
                "dynamic_batch": recipe.dynamic_batch,
                **_said("calibration", recipe.calibration),
            },
        }

    def _dataset_digest(self, workload: Workload, source: DataSource) -> str:
        place = (f"{workload.name} {workload.data_path}", source)
        if place not in self._datasets:
            self._datasets[place] = workload.dataset_digest(source)
        return self._datasets[place]

    def _model_digest(self, path: str) -> str:
        if path not in self._models:
            self._models[path] = model_digest(Path(path))
        return self._models[path]


def _is_stripped(recipe: Recipe) -> bool:
    """Whether trained weights are put back into the float model before they are converted."""
    return recipe.conversion.mix is not None and recipe.training.base == "qat" and recipe.training.simulated is None


def _said(name: str, value: Any) -> dict[str, Any]:
    """A setting that only some recipes have, so that the keys of the others say nothing of it."""
    return {} if value is None else {name: asdict(value)}


def _training_task(workload: Workload) -> str:
    """The loss that training minimises, by which two metrics may have one model; the usual losses have the names of tasks."""
    if workload.metric is None:
        return "none"
    loss = workload.metric.loss.name
    words = _TASKS.get(loss, loss)
    # Keys of models of one output stay as they always were.
    others = [f"{one.output}:{one.metric.loss.name}" for one in workload.further if one.metric is not None]
    return "; ".join([words if not workload.output else f"{workload.output}:{words}", *others])


def artifact_key(workload: Workload, recipe: Recipe, source: DataSource, seed: int) -> str:
    """The key under which the cache keeps this combination, built with the packages installed here."""
    return KeyMaker().keys(workload, recipe, source, seed).artifact_key


def representative_digest(dataset_digest: str, count: int) -> str:
    """Identity of the calibration samples: the first `count` of the training set in its fixed stratified order."""
    return sha256_json(["representative", dataset_digest, count])


def model_digest(path: Path) -> str:
    """SHA-256 of a model file, or over names and contents of a SavedModel folder, and the signature that is named behind it.

    Raises:
        UserInputError: it cannot be read.
    """
    path, signature = split_signature(path)
    if signature is not None:
        return sha256_json([model_digest(path), signature])
    try:
        if not path.is_dir():
            return sha256_file(path)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return sha256_json([[str(p.relative_to(path)), sha256_file(p)] for p in files])
    except OSError as error:
        raise UserInputError(f"not readable ({error.strerror})", where=str(path)) from error
