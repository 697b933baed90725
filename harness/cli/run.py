"""`harness run`: variants on devices."""

from __future__ import annotations

import click

from harness.cli.options import data_options, matrix_options, parse_samples, run_options, tolerance_option


@click.command("run")
@matrix_options
@run_options
@data_options
@tolerance_option
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Repeat training this often, to show the spread.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Build workers. Default: one per core.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    default=None,
    metavar="[RUN]",
    help="Run the pending cells of an interrupted run (default: the latest).",
)
@click.option("--bundle", type=click.Path(), help="Run what `harness build --bundle` packed; needs no TensorFlow.")
def command(
    workloads,
    recipes,
    devices,
    backends,
    samples,
    budget,
    emulated,
    devices_dir,
    results,
    json_file,
    data_dir,
    data,
    seeds,
    jobs,
    resume,
    bundle,
    tolerances,
) -> int:
    """Run variants on devices and print the tables.

    \b
    harness run --device host-litert --workload mnist-cnn --recipe 'ptq-*'
    harness run --device imx8mp --backend npu --samples 1000
    harness run --resume
    """
    from harness.cli.running import run_and_report
    from harness.paths import results_dir
    from harness.run.budget import parse_duration
    from harness.run.session import RunOptions

    options = RunOptions(
        workloads=workloads,
        recipes=recipes or (() if bundle else ("core",)),
        devices=devices,
        backends=backends,
        seeds=seeds,
        samples=parse_samples(samples),
        budget_s=parse_duration(budget) if budget else None,
        emulated=emulated,
        data_dir=data_dir,
        data=data,
        devices_dir=devices_dir,
        bundle=bundle,
        jobs=jobs,
        tolerances=tolerances,
    )
    return run_and_report(options, results_dir(results), resume=resume, json_file=json_file).exit_code
