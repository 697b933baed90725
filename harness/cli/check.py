"""`harness check`: what will happen to a model on a device, said before anything is pushed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import data_options, metric_option
from harness.cli.out import echo
from harness.cli.project import ProjectCommand, require
from harness.cli.targets import Target
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from harness.predict.prediction import Prediction
    from harness.tflite.graph import Graph


@dataclass(frozen=True, kw_only=True)
class _Model:
    """One model to check, or why the converter refused to make it."""

    name: str
    graph: Graph | None = None
    size_bytes: int = 0
    refused: str | None = None


@click.command("check", cls=ProjectCommand)
@click.argument("targets", nargs=-1, metavar="MODEL...")
@click.option("--device", "devices", multiple=True, help="A device profile; repeatable.")
@click.option("--backend", "backends", multiple=True, help="Only these backends of the devices; repeatable.")
@click.option("--emulated", is_flag=True, help="Use the emulated twins of the devices.")
@click.option("--runtime", metavar="NAME==VERSION", help="The board's runtime, where its profile names no version.")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@data_options
@metric_option
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the training.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a model is not expected to load, to be right or to fit.")
@click.option(
    "--json", "json_file", type=Target(), help="Also write the predictions as JSON to this file (- is stdout)."
)
def command(
    targets, devices, backends, emulated, runtime, devices_dir, data_dir, data, metric, seed, strict, json_file
) -> int:
    """Say what will happen to a model on a device, without the device.

    A MODEL is a .tflite file or WORKLOAD:RECIPE, built first if it is not there yet (the recipe may be a glob, `core` or
    `all`; the workload may be a .keras or .h5 file or a SavedModel of your own, with --data).

    Tells for each backend whether the runtime will load it and compute it rightly, which nodes the delegate will
    take and why not the others, how much memory it needs at least, and which recipe or setting helps.

    \b
    harness check my_model.tflite --device imx8mp
    harness check my_model.keras:ptq-int8-io --data samples.npz --device imx8mp
    harness check mnist-cnn:core --device imx8mp --backend npu --runtime tflite-runtime==2.14.0
    """
    from harness.boards.resolve import get_profiles
    from harness.core.errors import UserInputError
    from harness.reports.console import make_console

    require(targets, "model", "such as `harness check my_model.tflite --device imx8mp`")
    require(devices, "device", "add --device imx8mp, or see `harness devices list`")
    profiles = get_profiles(devices, devices_dir, emulated=emulated)
    chosen = [(profile, _backends(profile, backends)) for profile in profiles]
    given = _Given(data=Path(data) if data else None, metric=metric, data_dir=data_dir, seed=seed)
    if (data or metric) and all(_is_finished(target) for target in targets):
        raise UserInputError(
            "--data and --metric are for what is built, and a .tflite is checked as it is",
            where=targets[0],
            hint="leave them out",
        )
    models = [model for target in targets for model in _models(target, given)]
    console = make_console(stderr=True) if json_file == "-" else make_console()
    documents, good = [], True
    for model in models:
        for profile, names in chosen:
            predictions = _predict(model, profile, names, runtime, devices_dir)
            _print(console, model, profile.name, predictions)
            documents.append(_document(model, profile.name, predictions))
            good = good and model.refused is None and all(_is_good(p) for p in predictions)
    if json_file:
        write_json_document({"schema": 1, "predictions": documents}, json_file)
    return ExitCode.WRONG_INPUT if strict and not good else ExitCode.DONE


def _backends(profile: Any, wanted: tuple[str, ...]) -> list[str]:
    from harness.core.errors import unknown_name

    for name in wanted:
        if name not in profile.backends:
            raise unknown_name(f"backend of {profile.name}", name, profile.backends)
    return [name for name in profile.backends if not wanted or name in wanted]


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What models are built with."""

    data: Path | None
    metric: str | None
    data_dir: str | None
    seed: int


def _is_finished(target: str) -> bool:
    """Whether an argument names a .tflite, and not what is to be built."""
    return (
        Path(target).is_file()
        and Path(target).suffix not in (".keras", ".h5", ".hdf5")
        or Path(target).suffix == ".tflite"
    )


def _models(target: str, given: _Given) -> list[_Model]:
    """The models of one argument."""
    from harness.core.errors import UserInputError
    from harness.tflite.graph import read_graph

    workload, colon, recipes = target.rpartition(":")
    if _is_finished(target):
        graph = read_graph(Path(target))
        return [_Model(name=target, graph=graph, size_bytes=graph.size_bytes)]
    if not colon or Path(target).exists():
        hint = "a finished .tflite, or WORKLOAD:RECIPE such as mnist-cnn:ptq-int8-io"
        if Path(target).exists():
            hint = f"name what to build of it, such as {target}:ptq-int8-io"
        raise UserInputError("is neither a .tflite file nor WORKLOAD:RECIPE", where=target, hint=hint)
    return _built(workload, recipes, given)


def _built(name: str, recipes: str, given: _Given) -> list[_Model]:
    from harness.cli.progress import RunProgress
    from harness.core.errors import UserInputError
    from harness.tflite.graph import read_graph
    from harness.variants.build.build import BuildRequest, build_artifacts
    from harness.variants.recipe import select_recipes
    from harness.workloads.datasets import DataSource
    from harness.workloads.registry import get_workload

    workload, chosen = get_workload(name, data=given.data, metric=given.metric), select_recipes([recipes])
    if workload.build_model is None:
        raise UserInputError(
            "is a finished .tflite, which no recipe applies to", where=name, hint="check the file itself"
        )
    source = DataSource.default(given.data_dir)
    with RunProgress() as progress:
        artifacts = build_artifacts(
            [BuildRequest(workload=workload, recipe=recipe, source=source, seed=given.seed) for recipe in chosen],
            progress=lambda *a: progress.say("building", *a[-2:]),
        )
    models = []
    for artifact in artifacts:
        graph = read_graph(artifact.path) if artifact.path else None
        models.append(
            _Model(
                name=f"{artifact.workload}:{artifact.recipe}",
                graph=graph,
                size_bytes=graph.size_bytes if graph else 0,
                refused=artifact.refused,
            )
        )
    return models


def _predict(
    model: _Model, profile: Any, names: list[str], runtime: str | None, devices_dir: str | None
) -> list[Prediction]:
    from harness.boards.connect import backend_spec
    from harness.boards.predict import predict

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


def _is_good(prediction: Prediction) -> bool:
    return False not in (prediction.loads, prediction.right, prediction.fits, prediction.finishes)


def _print(console: Console, model: _Model, device: str, predictions: list[Prediction]) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(f"\n{model.name} on {device}", style="bold"))
    if model.refused:
        console.print(Text(f"  the converter refuses: {model.refused}"))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("backend", "runtime", "loads", "right", "delegated", "partitions", "fits", "memory from"):
        table.add_column(title, overflow="fold")
    for p in predictions:
        unknown = "nothing runs" if p.runtime == "none" else "unknown"
        delegated = (
            "-" if p.delegate is None else "unknown" if p.nodes is None else f"{p.delegate} {p.taken}/{p.total_nodes}"
        )
        table.add_row(
            p.backend,
            p.runtime + (" (assumed)" if p.runtime_assumed else ""),
            _word(p.loads, unknown=unknown),
            _word(p.right, unknown=unknown),
            delegated,
            "-" if p.partitions is None else str(p.partitions),
            _word(p.fits, unknown="no limit known"),
            f"{p.memory.total_bytes:,} B",
        )
    console.print(table)
    for p in predictions:
        for node in p.fallback:
            console.print(Text(f"  {p.backend}: node {node.node} {node.op} stays on the CPU: {node.reason}"))
    for room in dict.fromkeys(p.room for p in predictions if p.room):
        console.print(Text(f"  room: {room}"))
    against: dict[str, list[str]] = {}
    for p in predictions:
        for reason in dict.fromkeys(p.reasons):
            against.setdefault(reason, []).append(p.backend)
    for reason, backends in against.items():
        where = "" if len(backends) == len(predictions) else f" on {', '.join(backends)}"
        console.print(Text(f"  against it{where}: {reason}"))
    for line in dict.fromkeys(advice for p in predictions for advice in p.advice):
        console.print(Text(f"  what helps: {line}"))


def _word(value: bool | None, *, unknown: str = "unknown") -> str:
    return unknown if value is None else "yes" if value else "NO"


def _document(model: _Model, device: str, predictions: list[Prediction]) -> dict[str, Any]:
    from dataclasses import asdict

    backends = []
    for p in predictions:
        values = asdict(p)
        backends.append(
            {**values, "taken": p.taken, "memory": {**values["memory"], "total_bytes": p.memory.total_bytes}}
        )
    return {"model": model.name, "device": device, "refused": model.refused, "backends": backends}


def write_json_document(value: Any, json_file: str) -> None:
    """Writes JSON to a file, or to stdout for `-`."""
    import json

    from harness.core.errors import UserInputError
    from harness.core.files import write_json_atomic

    if json_file == "-":
        echo(json.dumps(value, indent=1))
        return
    try:
        write_json_atomic(Path(json_file), value)
    except OSError as error:
        raise UserInputError(f"cannot be written: {error.strerror or error}", where=json_file) from None
