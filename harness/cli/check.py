"""`harness check`: what will happen to a model on a device, said before anything is pushed."""

from __future__ import annotations

from collections.abc import Sequence
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
    from harness.session.foretell import CheckedModel


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
    require(targets, "model", "such as `harness check my_model.tflite --device imx8mp`")
    require(devices, "device", "add --device imx8mp, or see `harness devices list`")
    from harness.cli.progress import RunProgress
    from harness.reports.console import make_console
    from harness.session.foretell import Given, foretell

    given = Given(data=Path(data) if data else None, metric=metric, data_dir=data_dir, seed=seed)
    with RunProgress() as progress:
        found = foretell(
            targets, devices, backends=backends, emulated=emulated, runtime=runtime, devices_dir=devices_dir, given=given,
            say=progress.say,
        )  # fmt: skip
    console = make_console(stderr=True) if json_file == "-" else make_console()
    for one in found:
        _print(console, one.model, one.device, one.predictions)
    if json_file:
        write_json_document({"schema": 1, "predictions": [one.to_json() for one in found]}, json_file)
    return ExitCode.WRONG_INPUT if strict and not all(one.is_good for one in found) else ExitCode.DONE


def _print(console: Console, model: CheckedModel, device: str, predictions: Sequence[Prediction]) -> None:
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


def write_json_document(value: Any, json_file: str) -> None:
    """Writes JSON to a file, or to stdout for `-`."""
    import json

    from harness.core.errors import UserInputError
    from harness.core.files import write_named_json

    if json_file == "-":
        echo(json.dumps(value, indent=1))
        return
    try:
        write_named_json(Path(json_file), value)
    except OSError as error:
        raise UserInputError(f"cannot be written: {error.strerror or error}", where=json_file) from None
