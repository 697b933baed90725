"""`harness explain`: which layer of a model loses what on a device, why, and what to try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import data_options, metric_option, results_options, runtime_option
from harness.cli.out import echo
from harness.cli.targets import Target

if TYPE_CHECKING:
    from harness.explain.document import Explanation
    from harness.explaining import ExplainOptions


@click.command("explain")
@click.argument("target", metavar="CELL|MODEL.tflite")
@click.option("--run", metavar="RUN", help="Explain the cell as it was in this run. Default: the newest that has it.")
@click.option("--device", metavar="DEVICE", help="Where to explain a model file.")
@click.option(
    "--backend", help="The device's backend for a model file. Default: the one with an external delegate, else cpu."
)
@click.option("--emulated", is_flag=True, help="Use the emulated twin of the device.")
@runtime_option
@click.option(
    "--float",
    "plain",
    type=click.Path(),
    metavar="FLOAT.tflite",
    help="The float model that it was made of. Default for a cell: that of its recipe, from its run or the build cache.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=100, show_default=True, help="Samples for the error of each layer."
)
@click.option(
    "--loss-samples",
    type=click.IntRange(min=1),
    help="Samples for the loss of each layer. Default: as many as are computed in about half a minute, at most 500.",
)
@click.option(
    "--no-device", is_flag=True, help="Only what this machine computes: no divergence, no cost. It is not kept."
)
@click.option(
    "--limit",
    metavar="DURATION",
    default="10m",
    show_default=True,
    help="Begin no further op on the device after this.",
)
@click.option(
    "--save",
    type=Target("folder"),
    metavar="DIR",
    help="Write the first op that is wrong alone to this folder: its .tflite, inputs, right values, what the device gave.",
)
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@data_options
@metric_option
@results_options
@click.option(
    "--json", "json_file", type=Target(), help="Also write the explanation as JSON to this file (- is stdout)."
)
def command(
    target,
    run,
    device,
    backend,
    emulated,
    runtimes,
    plain,
    samples,
    loss_samples,
    no_device,
    limit,
    save,
    devices_dir,
    data_dir,
    data,
    metric,
    results,
    json_file,
) -> None:
    """Say which layer of a model loses what on a device, why, and what to try.

    CELL is WORKLOAD/RECIPE/DEVICE/BACKEND[/seedN] of a stored run, as `harness history` names it; the explanation is kept with
    it, and the run's page and workbook show it. A MODEL.tflite needs --device, and nothing is kept.

    The device runs each op alone and all of them inside the model; this machine computes each layer's error against float,
    and the score with one layer at a time back in float.

    \b
    harness explain mnist-cnn/ptq-aeq-dyn8/host-tflite/cpu
    harness explain my_model.tflite --device imx8mp --data samples.npz --float my_float.tflite
    """
    from rich.text import Text

    from harness.cli.check import write_json_document
    from harness.core.printable import one_line
    from harness.explaining import ExplainOptions
    from harness.reports.console import make_console
    from harness.reports.explained_console import print_explanation
    from harness.run.budget import parse_duration
    from harness.workloads.finished import names_file

    with make_console(stderr=True).status("looking at it") as status:
        options = ExplainOptions(
            samples=samples,
            loss_samples=loss_samples,
            on_device=not no_device,
            limit_s=parse_duration(limit, "--limit"),
            save=None if save is None else Path(save),
            note=lambda text: status.update(Text(one_line(text, 100))),
        )
        if names_file(target):
            explanation = _of_file(
                target, run, device, backend, emulated, runtimes, plain, devices_dir, data_dir, data, metric, options
            )
        else:
            explanation = _of_cell(
                target, run, device, backend, emulated, runtimes, plain, data, metric, devices_dir, results, options
            )
    print_explanation(explanation, make_console(stderr=json_file == "-"))
    if json_file:
        write_json_document(explanation.to_json(), json_file)
    if explanation.run is not None and not no_device:
        echo(f"kept with run {explanation.run}: its page and workbook show it", err=json_file == "-")


def _of_cell(
    target, run, device, backend, emulated, runtimes, plain, data, metric, devices_dir, results, options: ExplainOptions
) -> Explanation:
    from harness.core.errors import UserInputError
    from harness.core.paths import results_dir
    from harness.explaining import explain_cell

    foreign = {
        "--device": device, "--backend": backend, "--emulated": emulated, "--runtime": runtimes, "--data": data,
        "--metric": metric,
    }  # fmt: skip
    given = [name for name, value in foreign.items() if value]
    if given and Path(target).is_dir():
        raise UserInputError("is a folder", where=target, hint="name a finished .tflite, or a cell of a run")
    if given:
        raise UserInputError(
            f"{' and '.join(given)} {'are' if len(given) > 1 else 'is'} for model files, and a cell has its own",
            where=target,
            hint="leave it out, or name a .tflite",
        )
    return explain_cell(
        results_dir(results), target, run=run, devices_dir=devices_dir, plain=_path(plain), options=options
    )


def _of_file(
    target,
    run,
    device,
    backend,
    emulated,
    runtimes,
    plain,
    devices_dir,
    data_dir,
    data,
    metric,
    options: ExplainOptions,
) -> Explanation:
    from harness.core.errors import UserInputError
    from harness.explaining import explain_model
    from harness.run.options import RunOptions

    if run:
        raise UserInputError("--run is for cells, and this is a model file", where=target, hint="leave it out")
    if not device:
        raise UserInputError(
            "a model file is explained on a device",
            where=target,
            hint="name it by --device, such as --device host-litert",
        )
    run_options = RunOptions(
        devices=(device,),
        recipes=(),
        runtimes=runtimes,
        emulated=emulated,
        devices_dir=devices_dir,
        data_dir=data_dir,
        data=data,
        metric=metric,
        backends=(backend,) if backend else (),
    )
    return explain_model(Path(target), run_options=run_options, backend=backend, plain=_path(plain), options=options)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text).expanduser()
