"""What will happen to models on devices, before anything is pushed: what `harness check` and the Python API ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.boards.connect import backend_spec
from harness.boards.predict import predict
from harness.boards.profile.model import Profile
from harness.boards.resolve import get_profiles
from harness.core.errors import UserInputError, unknown_name
from harness.predict.prediction import Prediction
from harness.prepare.prepared import Say
from harness.tflite.graph import Graph, read_graph
from harness.variants.build.build import BuildRequest, build_artifacts
from harness.variants.recipe import select_recipes
from harness.workloads.checks.inputs import refuse_types
from harness.workloads.datasets import DataSource
from harness.workloads.finished import finished_model, names_file
from harness.workloads.registry import get_workload


@dataclass(frozen=True, kw_only=True)
class CheckedModel:
    """One model to check, or why the converter refused to make it."""

    name: str
    graph: Graph | None = None
    size_bytes: int = 0
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """What is expected of a model on a device: a prediction per backend; none for a model that the converter refuses."""

    model: CheckedModel
    device: str
    predictions: tuple[Prediction, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing speaks against the model on any of these backends."""
        return self.model.refused is None and all(
            False not in (p.loads, p.right, p.fits, p.finishes) for p in self.predictions
        )

    def to_json(self) -> dict[str, Any]:
        """One entry of the document of `harness check --json`."""
        backends = []
        for p in self.predictions:
            values = asdict(p)
            memory = {**values["memory"], "total_bytes": p.memory.total_bytes}
            backends.append({**values, "taken": p.taken, "memory": memory})
        return {"model": self.model.name, "device": self.device, "refused": self.model.refused, "backends": backends}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What models are built with."""

    data: Path | None = None
    metric: str | None = None
    data_dir: str | None = None
    seed: int = 0


def foretell(
    targets: Sequence[str],
    devices: Sequence[str],
    *,
    backends: Sequence[str] = (),
    emulated: bool = False,
    runtime: str | None = None,
    devices_dir: str | None = None,
    given: Given | None = None,
    say: Say = lambda what, done, total: None,
) -> list[Foretold]:
    """What will happen to each model on each device, in their order.

    Args:
        targets: .tflite files, or `WORKLOAD:RECIPE`, built first where they are not there yet.
        backends: only these.
        runtime: the boards' runtime as `NAME==VERSION`, where their profiles name no version.
        say: told how a build goes.

    Raises:
        UserInputError: an unknown name, or a damaged file.
    """
    given = given or Given()
    profiles = get_profiles(devices, devices_dir, emulated=emulated)
    chosen = [(profile, _backends(profile, backends)) for profile in profiles]
    if (given.data or given.metric) and all(_is_finished(target) for target in targets):
        raise UserInputError(
            "--data and --metric are for what is built, and a .tflite is checked as it is",
            where=targets[0],
            hint="leave them out",
        )
    models = [model for target in targets for model in _models(target, given, say)]
    return [
        Foretold(
            model=model,
            device=profile.name,
            predictions=tuple(_predict(model, profile, names, runtime, devices_dir)),
        )
        for model in models
        for profile, names in chosen
    ]


def _backends(profile: Profile, wanted: Sequence[str]) -> list[str]:
    for name in wanted:
        if name not in profile.backends:
            raise unknown_name(f"backend of {profile.name}", name, profile.backends)
    return [name for name in profile.backends if not wanted or name in wanted]


def _is_finished(target: str) -> bool:
    """Whether an argument names a .tflite, and not what is to be built."""
    return names_file(target) and Path(target).suffix not in (".keras", ".h5", ".hdf5")


def _models(target: str, given: Given, say: Say) -> list[CheckedModel]:
    """The models of one argument."""
    workload, colon, recipes = target.rpartition(":")
    if _is_finished(target):
        graph = read_graph(finished_model(Path(target)).path)
        refuse_types(graph)
        return [CheckedModel(name=target, graph=graph, size_bytes=graph.size_bytes)]
    if not colon or Path(target).exists():
        hint = "a finished .tflite, or WORKLOAD:RECIPE such as mnist-cnn:ptq-int8-io"
        if Path(target).exists():
            hint = f"name what to build of it, such as {target}:ptq-int8-io"
        raise UserInputError("is neither a .tflite file nor WORKLOAD:RECIPE", where=target, hint=hint)
    return _built(workload, recipes, given, say)


def _built(name: str, recipes: str, given: Given, say: Say) -> list[CheckedModel]:
    workload, chosen = get_workload(name, data=given.data, metric=given.metric), select_recipes([recipes])
    if workload.build_model is None:
        raise UserInputError(
            "is a finished .tflite, which no recipe applies to", where=name, hint="check the file itself"
        )
    source = DataSource.default(given.data_dir)
    artifacts = build_artifacts(
        [BuildRequest(workload=workload, recipe=recipe, source=source, seed=given.seed) for recipe in chosen],
        progress=lambda *a: say("building", *a[-2:]),
    )
    models = []
    for artifact in artifacts:
        graph = read_graph(artifact.path) if artifact.path else None
        models.append(
            CheckedModel(
                name=f"{artifact.workload}:{artifact.recipe}",
                graph=graph,
                size_bytes=graph.size_bytes if graph else 0,
                refused=artifact.refused,
            )
        )
    return models


def _predict(
    model: CheckedModel, profile: Profile, names: Sequence[str], runtime: str | None, devices_dir: str | None
) -> list[Prediction]:
    if model.graph is None:
        return []
    return [
        predict(
            model.graph,
            model.size_bytes,
            profile,
            backend_spec(profile, name),
            devices_option=devices_dir,
            runtime=runtime,
        )
        for name in names
    ]
