"""`harness nightly`: a matrix of cells within a time budget, compared with its history."""

from __future__ import annotations

from dataclasses import replace

import click

from harness.cli.options import (
    data_options,
    deadline_option,
    matrix_options,
    metric_option,
    run_options,
    runtime_option,
)
from harness.cli.out import echo
from harness.cli.project import ProjectCommand

#: devices that exist on every machine; one whose runtime cannot be had here is left out, with the reason
HOST_DEVICES = ("host-tflite", "host-litert")
#: devices that `--emulated` adds
EMULATED_DEVICES = ("imx8mp@qemu", "cortex-m4@qemu")
#: those of them whose runtime this harness installs
_WITH_RUNTIME = ("imx8mp@qemu",)
_BUDGET, _EMULATED_BUDGET = "6m", "15m"


@click.command("nightly", cls=ProjectCommand)
@matrix_options
@run_options
@runtime_option
@data_options
@metric_option
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Repeat training this often; each seed is a cell with a history of its own.",
)
@click.option("--bundle", type=click.Path(), help="Run what `harness build --bundle` packed; needs no TensorFlow.")
@click.option("--jobs", type=click.IntRange(min=1), help="Build workers. Default: one per core.")
@deadline_option
@click.option("--series", metavar="NAME", help="The history that this night belongs to. Default: that of its plan.")
@click.option(
    "--new-only", is_flag=True, help="Exit code 3 only for regressions that began tonight, not for all open ones."
)
@click.option("--no-confirm", is_flag=True, help="Do not ask the boards again about suspects; they stay suspects.")
@click.option(
    "--confirm-budget",
    metavar="DURATION",
    help="Time for suspects, such as 5m. Default: a tenth of --budget, at least a minute.",
)
@click.option(
    "--no-controls", is_flag=True, help="Run no control cells: a board's change is then held against its cells."
)
@click.option(
    "--published",
    type=click.Path(),
    metavar="FILE",
    envvar="HARNESS_PUBLISHED",
    help="Published figures (CSV or YAML) that workbook and page set beside the night's, also when they are made again.",
)
def command(
    workloads,
    recipes,
    devices,
    backends,
    runtimes,
    samples,
    budget,
    emulated,
    devices_dir,
    results,
    json_file,
    data_dir,
    data,
    metric,
    seeds,
    bundle,
    jobs,
    deadline,
    series,
    new_only,
    no_confirm,
    confirm_budget,
    no_controls,
    published,
) -> int:
    """Run the matrix, compare it with the nights before, and say what got worse.

    Without --device: every core variant of the published networks on the devices that exist without hardware; with
    --emulated also on the emulated boards imx8mp@qemu and cortex-m4@qemu (QEMU and cross compilers are needed).

    The default budget is 6 minutes, 15 with --emulated, building included: it shrinks samples, never cells. Suspects are
    confirmed on their boards, old and new artifact side by side, on top of it.

    Exit code 3 as long as a regression is open (docs/guides/nightly.md), also where a board failed, too; 2 where only a device
    or link failed, or cells were not run.
    """
    from harness.boards.connect import availability
    from harness.boards.resolve import get_profile
    from harness.cli.night import run_and_judge
    from harness.core.errors import MissingPartError
    from harness.core.paths import results_dir
    from harness.nightly.night import NightOptions
    from harness.run.budget import parse_duration
    from harness.run.options import RunOptions, parse_samples

    asked = tuple(devices)
    if not devices:
        asked = _default_devices(emulated, runtimes)
        states = {name: availability(get_profile(name, devices_dir)) for name in asked}
        for name, state in states.items():
            if not state.ok:
                echo(f"left out: {name}: {state.reason}", err=True)
        devices = tuple(name for name, state in states.items() if state.ok)
        if not devices:
            raise MissingPartError("no device on this machine can run", hint="see `harness devices list`")
        runtimes, named_emulated = (), False  # their ids say both
    else:
        named_emulated = emulated
    options = RunOptions(
        workloads=workloads,
        recipes=recipes or (() if bundle else ("core",)),
        devices=devices,
        backends=backends,
        samples=parse_samples(samples),
        budget_s=parse_duration(budget or (_EMULATED_BUDGET if emulated else _BUDGET), "--budget"),
        data_dir=data_dir,
        data=data,
        metric=metric,
        seeds=seeds,
        bundle=bundle,
        devices_dir=devices_dir,
        jobs=jobs,
        deadline_s=parse_duration(deadline, "--deadline") if deadline else None,
        runtimes=runtimes,
        emulated=named_emulated,
    )
    night = NightOptions(
        series=series,
        confirm=not no_confirm,
        confirm_s=None if confirm_budget is None else parse_duration(confirm_budget, "--confirm-budget"),
        controls=not no_controls,
        new_only=new_only,
        published=published,
    )
    # A device that is left out tonight is missed by its series, and begins no other one.
    return run_and_judge(options, replace(options, devices=asked), night, results_dir(results), json_file=json_file)


def _default_devices(emulated: bool, runtimes: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of the devices without `--device`: with `--runtime`, one host device per release and the boards that take it."""
    from harness.boards.runtimes import runtime_id
    from harness.envs.hostenv import parse_package

    if not runtimes:
        return (*HOST_DEVICES, *(EMULATED_DEVICES if emulated else ()))
    hosts = {"tflite-runtime": "host-tflite", "ai-edge-litert": "host-litert"}
    own = [runtime_id(hosts[parse_package(package).name], package) for package in runtimes]
    boards = _WITH_RUNTIME if emulated else ()
    return (*own, *(runtime_id(board, package) for board in boards for package in runtimes))
