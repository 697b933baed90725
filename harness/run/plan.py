"""From what a user asked for to prepared models: build, convert the samples, ask the references.

Everything here happens before a board is touched, and everything is cached by content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.measure.reference import LITERT_FLOAT, References
from harness.prepare.prepared import FLOAT_RECIPE, PreparedModel, Say, prepare_model, random_inputs, with_graph_facts
from harness.results.record import CellKey
from harness.run.question import Questions
from harness.variants.artifact import AS_IS, Artifact
from harness.variants.build.keys import model_digest
from harness.variants.recipe import Recipe, parse_recipe
from harness.workloads.base import Dataset, Workload
from harness.workloads.datasets import DataSource


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """One workload x recipe x seed that a run wants."""

    workload: Workload
    recipe: str
    seed: int


def expand(workloads: Sequence[Workload], recipes: Sequence[Recipe], seeds: Sequence[int]) -> list[ModelRequest]:
    """The matrix in table order: workloads, then recipes, then seeds. A finished .tflite has the one recipe `as-is`."""
    requests = []
    for workload in workloads:
        names = [r.name for r in recipes] if workload.build_model is not None else [AS_IS]
        requests += [
            ModelRequest(workload=workload, recipe=name, seed=seed)
            for name in names
            for seed in (seeds if workload.build_model is not None else [0])
        ]
    return requests


def cell_keys(
    requests: Sequence[ModelRequest], source: DataSource, devices: Sequence[tuple[str, Sequence[str]]]
) -> list[CellKey]:
    """The identity of every cell: requests x devices x backends, without building or connecting."""
    digests = {r.workload.name: r.workload.dataset_digest(source) for r in requests}
    return [
        CellKey(
            workload=r.workload.name,
            recipe=r.recipe,
            device=device,
            backend=backend,
            dataset=digests[r.workload.name],
            seed=r.seed,
        )
        for device, backends in devices
        for r in requests
        for backend in backends
    ]


def prepare_requests(
    requests: Sequence[ModelRequest],
    source: DataSource,
    *,
    jobs: int | None = None,
    say: Say | None = None,
    deadline_s: float | None = None,
    view: Callable[[Workload], Workload] = lambda workload: workload,
    defined: Mapping[str, Recipe] | None = None,
) -> list[PreparedModel]:
    """Builds what is not built yet and adds samples, references and the float model's answers. Order is kept.

    Args:
        defined: recipes that are others than the tables have under their names.
        deadline_s: how long a conversion, a training without progress, or one inference of a reference may take.
        view: the workload as it is evaluated, such as on a part of the test samples; what is built does not depend on it.

    Refused combinations come back as models whose artifact holds the refusal.
    """
    from harness.variants.build.build import BuildRequest, build_artifacts

    say = say or (lambda what, done, total: None)
    buildable = [r for r in requests if r.workload.build_model is not None]
    # The float model is every accuracy's baseline, also where the user did not ask for its row.
    floats = {(r.workload.name, r.seed): replace(r, recipe=FLOAT_RECIPE) for r in buildable}
    wanted = {(r.workload.name, r.recipe, r.seed): r for r in [*buildable, *floats.values()]}
    built = build_artifacts(
        [
            BuildRequest(
                workload=r.workload,
                recipe=(defined or {}).get(r.recipe) or parse_recipe(r.recipe),
                source=source,
                seed=r.seed,
            )
            for r in wanted.values()
        ],
        jobs=jobs,
        progress=lambda *a: say("building", *a[-2:]) if len(a) >= 2 else None,
        deadline_s=deadline_s,
    )
    artifacts = dict(zip(wanted, built, strict=True))
    viewed = {w.name: view(w) for w in {r.workload.name: r.workload for r in requests}.values()}
    evaluated = [replace(r, workload=viewed[r.workload.name]) for r in requests]
    return _prepare(evaluated, artifacts, source, say, deadline_s)


def _prepare(
    requests: Sequence[ModelRequest],
    artifacts: dict[tuple[str, str, int], Artifact],
    source: DataSource,
    say: Say,
    inference_s: float | None,
) -> list[PreparedModel]:
    datasets: dict[str, Dataset] = {}
    sources: dict[str, str] = {}
    baselines: dict[tuple[str, int], tuple[PreparedModel | None, dict[int, np.ndarray]]] = {}
    prepared = []
    with References(inference_s) as references:
        questions = Questions(references)
        for done, request in enumerate(requests):
            say("preparing samples and references", done, len(requests))
            workload = request.workload
            dataset = datasets.setdefault(workload.name, None) or workload.load_dataset(source)  # type: ignore[arg-type]
            datasets[workload.name] = dataset
            artifact = _artifact(request, artifacts)
            model = prepare_model(workload, request.recipe, artifact, dataset, source.samples)
            model = replace(model, model_sha256=_source_sha256(workload, artifact, sources))
            baseline = (workload.name, request.seed)
            if baseline not in baselines:
                baselines[baseline] = _float_model(
                    workload,
                    artifacts.get((workload.name, FLOAT_RECIPE, request.seed)),
                    dataset,
                    source.samples,
                    references,
                )
            float_model, float_answers = baselines[baseline]
            model = references.add_reference(model)
            if float_answers:
                model = _with_float_answers(model, float_answers)
            found = questions.findings(workload, dataset, model, float_model)
            prepared.append(replace(model, findings=(*model.findings, *found)))
        say("preparing samples and references", len(requests), len(requests))
    return prepared


def _source_sha256(workload: Workload, artifact: Artifact, known: dict[str, str]) -> str | None:
    """Which model a recipe started from: the user's file, or what a published workload's float training is made of.

    Args:
        known: hashes of model files that were read before, by workload.
    """
    if workload.model_path is None:
        return artifact.manifest.get("float_key")
    if workload.name not in known:
        known[workload.name] = model_digest(Path(workload.model_path))
    return known[workload.name]


def _artifact(request: ModelRequest, artifacts: dict[tuple[str, str, int], Artifact]) -> Artifact:
    if request.recipe == AS_IS and request.workload.model_path is not None:
        from harness.variants.build.build import artifact_from_file

        return artifact_from_file(Path(request.workload.model_path))
    return artifacts[(request.workload.name, request.recipe, request.seed)]


def _float_model(
    workload: Workload, artifact: Artifact | None, dataset: Dataset, samples: int | None, references: References
) -> tuple[PreparedModel | None, dict[int, np.ndarray]]:
    """The float model of a workload's recipes and its answers by output; None where there is none, or it was refused."""
    if artifact is None or artifact.path is None:
        return None, {}
    model = prepare_model(workload, FLOAT_RECIPE, artifact, dataset, samples)
    return model, references.float_answers(model)


def _with_float_answers(model: PreparedModel, answers: dict[int, np.ndarray]) -> PreparedModel:
    """The model with the float model's answers, by output, beside its own labels."""
    return replace(
        model,
        float_answers=answers.get(model.output),
        further=tuple(replace(one, float_answers=answers.get(one.output)) for one in model.further),
        float_identity=LITERT_FLOAT.identity,
    )


def prepare_without_data(
    path: Path, *, samples: int, seed: int, base: PreparedModel, say: Say, inference_s: float | None = None
) -> PreparedModel:
    """A finished .tflite without data: random inputs in its input types, agreement with the reference only."""
    from harness.variants.build.build import artifact_from_file

    artifact = artifact_from_file(path)
    inputs = random_inputs(artifact.inputs, samples, seed)
    return prepare_finished(
        replace(base, artifact=artifact, inputs=inputs, sample_ids=np.arange(samples, dtype=np.int64)), say, inference_s
    )


def prepare_finished(base: PreparedModel, say: Say, inference_s: float | None = None) -> PreparedModel:
    """A finished .tflite with its samples, and what its graph and the references say of it.

    Args:
        inference_s: how long one inference of a reference may take; None: the usual limit.
    """
    model = with_graph_facts(replace(base, model_sha256=base.model_sha256 or base.artifact.sha256))
    say("asking the references", 0, 1)
    with References(inference_s) as references:
        model = references.add_reference(model)
    say("asking the references", 1, 1)
    return model
