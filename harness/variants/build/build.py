"""Building variants: what is cached is looked up, the rest is built in worker processes. No TensorFlow in this process."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import importlib.util
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import harness
from harness.core.errors import MissingPartError, UserInputError
from harness.core.tensor import TensorIo
from harness.variants.artifact import AS_IS, Artifact
from harness.variants.build.cache import BuildCache, quota_bytes
from harness.variants.build.keys import BuildKeys, KeyMaker, representative_digest
from harness.variants.build.pool import WorkerPool
from harness.variants.build.readers import loops, readers
from harness.variants.build.schedule import BuildProgress, Scheduler, Task
from harness.variants.build.steps import DEADLINE_S
from harness.variants.build.worker_jobs import describe_file, source_reference, workload_reference
from harness.variants.recipe import Recipe
from harness.variants.refusals import Subject
from harness.workloads.base import Workload
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload

_BUILD_MODULES = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "ai_edge_quantizer", "ai_edge_litert")
#: what a worker with TensorFlow, TFMOT and a dataset needs at its peak; 0.6 to 0.9 GB measured on the published networks
_WORKER_BYTES = 1 << 30
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


@dataclass(frozen=True, kw_only=True)
class BuildOutcome:
    """An artifact, and whether it was there already. `seconds`: what its conversion took when it was built."""

    artifact: Artifact
    cached: bool
    seconds: float | None


def build_artifacts(
    requests: Sequence[BuildRequest],
    *,
    jobs: int | None = None,
    progress: BuildProgress | None = None,
    deadline_s: float | None = None,
) -> list[Artifact]:
    """Builds what is not built yet.

    Args:
        requests: any number of combinations, also repeated ones.
        jobs: worker processes, one thread each; None for `default_jobs`.
        progress: called with (what, tasks done, tasks in all), several times a second.
        deadline_s: how long a conversion, or a training without progress, may take; None for `DEADLINE_S`. What takes
            longer is ended and refused.

    Returns:
        One artifact per request, in their order. What converter or quantizer refuses has `refused` set and no path.

    Raises:
        MissingPartError: something has to be built, and the `build` extra is not installed.
        UserInputError: data or model file is missing or damaged.
        HarnessError: the cache cannot be written, or a worker was killed from outside.
    """
    outcomes = build_outcomes(requests, jobs=jobs, progress=progress, deadline_s=deadline_s)
    return [outcome.artifact for outcome in outcomes]


def build_outcomes(
    requests: Sequence[BuildRequest],
    *,
    jobs: int | None = None,
    progress: BuildProgress | None = None,
    quota: str | None = None,
    worker_command: Sequence[str] | None = None,
    deadline_s: float | None = None,
) -> list[BuildOutcome]:
    """As `build_artifacts`, telling for each artifact whether it came from the cache.

    Args:
        quota: size to keep the cache under once something was built, such as `2G`; None for the default.
        worker_command: starts a worker; None for this harness' own.
    """
    if jobs is not None and jobs < 1:
        raise UserInputError(f"--jobs takes a number of at least 1, not {jobs}")
    limit = quota_bytes(quota)
    cache = _process_cache()
    wanted, found = _look_up(cache, requests)
    built: dict[str, dict[str, Any]] = {}
    missing = {i: keys for i, keys in wanted.items() if keys.artifact_key not in found}
    if missing:
        if _missing_modules():
            found |= _newest_instead(cache, missing)
        else:
            built = _build(
                cache,
                {i: (requests[i], keys) for i, keys in missing.items()},
                jobs,
                progress,
                worker_command,
                deadline_s or DEADLINE_S,
            )
    if built or quota is not None:
        cache.shrink(limit)
    outcomes = []
    for i, request in enumerate(requests):
        if i not in wanted:
            outcomes.append(_as_is(request))
            continue
        key = wanted[i].artifact_key
        manifest = built.get(key) or found[key]
        artifact = _artifact(cache, manifest, request)
        outcomes.append(BuildOutcome(artifact=artifact, cached=key not in built, seconds=manifest.get("seconds")))
    return outcomes


def cached_outcomes(requests: Sequence[BuildRequest]) -> list[BuildOutcome | None]:
    """What is built already, in the order of the requests; None for the rest. Builds nothing."""
    cache = _process_cache()
    wanted, found = _look_up(cache, requests)
    outcomes: list[BuildOutcome | None] = []
    for i, request in enumerate(requests):
        manifest = found.get(wanted[i].artifact_key) if i in wanted else None
        if manifest is not None:
            artifact = _artifact(cache, manifest, request)
            outcomes.append(BuildOutcome(artifact=artifact, cached=True, seconds=manifest.get("seconds")))
        else:
            outcomes.append(None if i in wanted else _as_is(request))
    return outcomes


def _look_up(
    cache: BuildCache, requests: Sequence[BuildRequest]
) -> tuple[dict[int, BuildKeys], dict[str, dict[str, Any]]]:
    """The keys of the requests that can be built, by position, and the manifests of those that are."""
    maker = KeyMaker()
    wanted = {
        i: maker.keys(r.workload, r.recipe, r.source, r.seed)
        for i, r in enumerate(requests)
        if r.workload.build_model is not None
    }
    cache.use(key for keys in wanted.values() for key in (keys.float_key, keys.training_key, keys.artifact_key))
    found: dict[str, dict[str, Any]] = {}
    for keys in wanted.values():
        if keys.artifact_key not in found and (manifest := cache.find("artifact", keys.artifact_key)) is not None:
            found[keys.artifact_key] = manifest
    return wanted, found


def artifact_from_file(path: str | os.PathLike[str]) -> Artifact:
    """A finished .tflite as an artifact: the file itself, under the recipe name `as-is`. No TensorFlow.

    Raises:
        UserInputError: the file is missing, is no .tflite, or is truncated or corrupt.
    """
    from harness.variants.audit.audit import audit_tflite

    path = Path(path).expanduser().absolute()
    facts = describe_file(path)
    audit = audit_tflite(path).to_json()
    manifest = {**facts, "recipe": AS_IS, "audit": {"version": audit["version"], "findings": audit["findings"]}}
    return Artifact(
        key=facts["sha256"],
        workload=path.stem,
        recipe=AS_IS,
        seed=0,
        path=path,
        sha256=facts["sha256"],
        size_bytes=facts["size_bytes"],
        inputs=_ios(facts["inputs"]),
        outputs=_ios(facts["outputs"]),
        manifest=manifest,
    )


_caches: dict[str, BuildCache] = {}


def _process_cache() -> BuildCache:
    """This process' cache, kept open: what it was handed stays safe from deletion until the process ends."""
    cache = BuildCache()
    if str(cache.root) not in _caches:
        _caches[str(cache.root)] = cache
        atexit.register(cache.close)
    return _caches[str(cache.root)]


def _as_is(request: BuildRequest) -> BuildOutcome:
    from dataclasses import replace

    artifact = replace(artifact_from_file(request.workload.model_file), workload=request.workload.name)
    return BuildOutcome(artifact=artifact, cached=True, seconds=None)


def _missing_modules() -> list[str]:
    return [name for name in _BUILD_MODULES if importlib.util.find_spec(name) is None]


def _newest_instead(cache: BuildCache, missing: dict[int, BuildKeys]) -> dict[str, dict[str, Any]]:
    """Artifacts that were built here with other package versions, where nothing can be built.

    Raises:
        MissingPartError: one was never built here.
    """
    found: dict[str, dict[str, Any]] = {}
    absent = 0
    for keys in missing.values():
        key = cache.newest(keys.request_key)
        manifest = None
        if key is not None:
            cache.use([key])
            manifest = cache.find("artifact", key)
        if manifest is None:
            absent += 1
        else:
            found[keys.artifact_key] = manifest
    if absent:
        raise MissingPartError(
            f"{absent} of {len(missing)} models have to be built, which needs {', '.join(_missing_modules())}",
            hint="pip install 'tflite-hil-harness[build]'",
        )
    return found


def _build(
    cache: BuildCache,
    missing: dict[int, tuple[BuildRequest, BuildKeys]],
    jobs: int | None,
    progress: BuildProgress | None,
    worker_command: Sequence[str] | None,
    deadline_s: float,
) -> dict[str, dict[str, Any]]:
    cache.remove_leftovers()
    tasks: dict[str, Task] = {}
    for request, keys in missing.values():
        _check_findable(request.workload)
        for task in _tasks(cache, request, keys):
            if task.kind == "artifact" or cache.find("training", task.key) is None:
                tasks.setdefault(task.key, task)
    size = min(jobs or default_jobs(), len(tasks))
    with WorkerPool(size, worker_command) as pool:
        return Scheduler(cache, pool, tasks.values(), progress, deadline_s).run()


def default_jobs() -> int:
    """One worker per CPU that this process may use, as far as memory reaches."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
        cpus = min(cpus, int(line.split()[1]) * 1024 // _WORKER_BYTES)
    return max(1, cpus)


def _check_findable(workload: Workload) -> None:
    """Workers find workloads by name; one that nobody registered would be another one there, or none."""
    if workload.model_path is None and get_workload(workload.name) != workload:
        raise UserInputError(
            f"workload '{workload.name}' is not the registered one of that name",
            hint="register it by the entry point group harness.workloads; see docs/guides/adding-a-workload.md",
        )


def _tasks(cache: BuildCache, request: BuildRequest, keys: BuildKeys) -> list[Task]:
    """The float training, the recipe's own training where it is another, and the conversion."""
    workload, recipe = request.workload, request.recipe
    seed = f" seed {request.seed}" if request.seed else ""
    job = {
        "workload": workload_reference(workload),
        "source": source_reference(request.source),
        "seed": request.seed,
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
            "conversion": asdict(recipe.conversion),
            "weights_sha256": training.get("weights_sha256"),
            "dataset": needs[keys.float_key].get("dataset"),
            "training_summary": training.get("training_summary"),
            "representative": None,
        }
        if recipe.conversion.representative and manifest["dataset"]:
            count = workload.schedule.representative_samples
            digest = representative_digest(manifest["dataset"]["digest"], count)
            manifest["representative"] = {"digest": digest, "count": count}
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


def _artifact(cache: BuildCache, manifest: dict[str, Any], request: BuildRequest) -> Artifact:
    refused = manifest.get("refused")
    return Artifact(
        key=manifest["key"],
        workload=request.workload.name,
        recipe=request.recipe.name,
        seed=request.seed,
        path=None if refused else cache.folder("artifact", manifest["key"]) / "model.tflite",
        refused=refused,
        sha256=manifest.get("sha256"),
        size_bytes=manifest.get("size_bytes"),
        inputs=_ios(manifest.get("inputs", [])),
        outputs=_ios(manifest.get("outputs", [])),
        manifest=manifest,
    )


def _ios(stored: Sequence[dict[str, Any]]) -> tuple[TensorIo, ...]:
    return tuple(TensorIo(**{**io, "shape": tuple(io["shape"])}) for io in stored)


__all__ = [
    "AS_IS",
    "BuildOutcome",
    "BuildProgress",
    "BuildRequest",
    "artifact_from_file",
    "build_artifacts",
    "build_outcomes",
    "cached_outcomes",
]
