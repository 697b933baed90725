"""What has to be done for one variant: the float training, the recipe's own training, the conversion, each a task of a worker."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict, dataclass
from typing import Any

import harness
from harness.core.errors import UserInputError
from harness.core.files import sha256_json
from harness.core.plain import to_plain
from harness.variants.build.cache import BuildCache
from harness.variants.build.keys import BuildKeys, representative_digest
from harness.variants.build.readers import loops, readers
from harness.variants.build.schedule import Task
from harness.variants.build.worker_jobs import source_reference, workload_reference
from harness.variants.recipe import Recipe, parse_recipe
from harness.variants.refusals import Subject
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

_REPRODUCIBLE = (
    "one thread, deterministic kernels, fixed seeds and sample order: building again gives the same bytes with these "
    "packages on this kind of CPU; another instruction set may round the training's sums differently"
)


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """One workload x recipe x seed to build from a data source."""

    workload: Workload
    recipe: Recipe
    source: DataSource
    seed: int = 0


def _definition(recipe: Recipe) -> Any:
    """A recipe that is not what the tables have under its name, such as one of an earlier night; None of every other."""
    return None if recipe == parse_recipe(recipe.name) else to_plain(recipe, {}, "recipe")


def check_findable(workload: Workload) -> None:
    """Workers find workloads by name; one that nobody registered would be another one there, or none."""
    if workload.model_path is None and get_workload(workload.name) != workload:
        raise UserInputError(
            f"workload '{workload.name}' is not the registered one of that name",
            hint="register it by the entry point group harness.workloads; see docs/guides/adding-a-workload.md",
        )


def tasks_of(cache: BuildCache, request: BuildRequest, keys: BuildKeys) -> list[Task]:
    """The float training, the recipe's own training where it is another, and the conversion."""
    workload, recipe = request.workload, request.recipe
    seed = f" seed {request.seed}" if request.seed else ""
    job = {
        "workload": workload_reference(workload),
        "source": source_reference(request.source),
        "seed": request.seed,
        "definition": _definition(recipe),
        "float_dir": str(cache.folder("training", keys.float_key)),
        "training_dir": str(cache.folder("training", keys.training_key)),
    }
    common = {
        "workload": workload.name,
        "seed": request.seed,
        "packages": keys.packages,
        "harness": harness.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "schedule": asdict(workload.schedule),
        "built_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reproducible": True,
        "reproducible_why": _REPRODUCIBLE,
    }
    ptq = f"ptq-{recipe.conversion.name}"
    subject = Subject(recipe=recipe.name, is_calibrated=recipe.conversion.representative, loops=loops(workload))
    tasks = [
        Task(
            key=keys.float_key,
            kind="training",
            label=f"{workload.name} float training{seed}",
            weight="float",
            job={**job, "kind": "train", "recipe": ptq},
            needs=(),
            manifest=lambda needs: {**common, "training": "float"},
            subject=subject,
            readers=(workload.keras_major,),
        )
    ]
    if keys.training_key != keys.float_key:
        tasks.append(
            Task(
                key=keys.training_key,
                kind="training",
                label=f"{workload.name} {recipe.training.name} training{seed}",
                weight="qat" if recipe.training.base == "qat" else "finetune",
                job={**job, "kind": "train", "recipe": recipe.name},
                needs=(keys.float_key,),
                manifest=lambda needs: {**common, "training": recipe.training.name},
                subject=subject,
                readers=readers(workload, recipe),
            )
        )

    def artifact_manifest(needs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        training = needs[keys.training_key]
        manifest: dict[str, Any] = {
            **common,
            "recipe": recipe.name,
            "request_key": keys.request_key,
            "float_key": keys.float_key,
            "training_key": keys.training_key,
            "conversion": recipe.conversion.to_json(),
            "weights_sha256": training.get("weights_sha256"),
            "dataset": needs[keys.float_key].get("dataset"),
            "training_summary": training.get("training_summary"),
            "representative": None,
        }
        if recipe.conversion.representative and manifest["dataset"]:
            manifest["representative"] = _representative(workload, recipe, manifest["dataset"]["digest"])
        return manifest

    tasks.append(
        Task(
            key=keys.artifact_key,
            kind="artifact",
            label=f"{workload.name} {recipe.name}{seed}",
            weight="convert",
            job={**job, "kind": "convert", "recipe": recipe.name},
            needs=tuple(dict.fromkeys((keys.float_key, keys.training_key))),
            manifest=artifact_manifest,
            subject=subject,
            readers=readers(workload, recipe),
            follows=keys.training_key if keys.training_key != keys.float_key else None,
        )
    )
    return tasks


def _representative(workload: Workload, recipe: Recipe, dataset_digest: str) -> dict[str, Any]:
    """What a manifest says of the calibration samples."""
    if recipe.calibration is not None:
        digest = sha256_json(["representative", dataset_digest, recipe.calibration.text])
        return {"digest": digest, "count": recipe.calibration.count, "choice": recipe.calibration.text}
    mix = recipe.conversion.mix
    count = (mix and mix.samples) or workload.schedule.representative_samples
    return {"digest": representative_digest(dataset_digest, count), "count": count}
