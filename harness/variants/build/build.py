"""Building variants: what is cached is looked up, the rest is built in worker processes. No TensorFlow in this process."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import MissingPartError, UserInputError
from harness.core.tensor import TensorIo
from harness.variants.artifact import AS_IS, Artifact
from harness.variants.build.cache import BuildCache, quota_bytes
from harness.variants.build.keys import BuildKeys, KeyMaker
from harness.variants.build.pool import WorkerPool
from harness.variants.build.schedule import BuildProgress, Scheduler, Task
from harness.variants.build.steps import DEADLINE_S
from harness.variants.build.tasks import BuildRequest, check_findable, tasks_of
from harness.variants.build.worker_jobs import describe_file

_BUILD_MODULES = ("tensorflow", "tf_keras", "tensorflow_model_optimization", "ai_edge_quantizer", "ai_edge_litert")
#: what a worker with TensorFlow, TFMOT and a dataset needs at its peak; 0.6 to 0.9 GB measured on the published networks
_WORKER_BYTES = 1 << 30


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
    """A finished .tflite as an artifact: the file, or that of the signature named behind it, under the recipe name `as-is`. No
    TensorFlow.

    Raises:
        UserInputError: the file is missing, is no .tflite, or is truncated or corrupt, or has no such signature.
    """
    from harness.variants.audit.audit import audit_tflite
    from harness.workloads.finished import finished_model

    model = finished_model(Path(path))
    path = model.path
    facts = describe_file(path)
    audit = audit_tflite(path).to_json()
    manifest = {**facts, "recipe": AS_IS, "audit": {"version": audit["version"], "findings": audit["findings"]}}
    if model.source_sha256 is not None:
        manifest["cut_out"] = [asdict(finding) for finding in model.findings(facts["sha256"])]
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
        check_findable(request.workload)
        for task in tasks_of(cache, request, keys):
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
