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
    from harness.cli.night import run_and_judge
    from harness.core.paths import results_dir
    from harness.nightly.defaults import BUDGET, EMULATED_BUDGET, devices_of_tonight
    from harness.nightly.night import NightOptions
    from harness.run.budget import parse_duration
    from harness.run.options import RunOptions, parse_samples

    asked, named_emulated = tuple(devices), emulated
    if not devices:
        tonight = devices_of_tonight(emulated, runtimes, devices_dir)
        for name, reason in tonight.left_out.items():
            echo(f"left out: {name}: {reason}", err=True)
        asked, devices = tonight.asked, tonight.present
        runtimes, named_emulated = (), False  # their ids say both
    options = RunOptions(
        workloads=workloads,
        recipes=recipes or (() if bundle else ("core",)),
        devices=devices,
        backends=backends,
        samples=parse_samples(samples),
        budget_s=parse_duration(budget or (EMULATED_BUDGET if emulated else BUDGET), "--budget"),
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
