"""`harness run`: variants on devices."""

from __future__ import annotations

import click

from harness.cli.options import (
    data_options,
    deadline_option,
    matrix_options,
    metric_option,
    run_options,
    runtime_option,
    tolerance_option,
)
from harness.cli.project import ProjectCommand


@click.command("run", cls=ProjectCommand)
@matrix_options
@run_options
@runtime_option
@data_options
@metric_option
@tolerance_option
@click.option(
    "--seeds",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Repeat training this often, to show the spread.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Build workers. Default: one per core.")
@deadline_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    default=None,
    metavar="[RUN]",
    help="Run the pending cells of an interrupted run (default: the latest), with the options that it was started with.",
)
@click.option(
    "--flash", is_flag=True, help="Bring their firmware onto microcontrollers first, where they do not run it yet."
)
@click.option("--bundle", type=click.Path(), help="Run what `harness build --bundle` packed; needs no TensorFlow.")
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
    jobs,
    deadline,
    resume,
    bundle,
    flash,
    tolerances,
) -> int:
    """Run variants on devices and print the tables.

    \b
    harness run --device host-litert --workload mnist-cnn --recipe 'ptq-*'
    harness run --device imx8mp --backend npu --samples 1000
    harness run --resume

    A night that is resumed is compared with its history as one night, and ends with the exit codes of `harness nightly`.
    """
    from harness.cli.night import resume_night
    from harness.cli.running import run_and_report
    from harness.core.paths import results_dir
    from harness.run.budget import parse_duration
    from harness.run.options import RunOptions, parse_samples

    if resume is not None:
        _refuse_with_resume(click.get_current_context())
        code = resume_night(resume, results_dir(results), json_file=json_file)
        if code is not None:
            return code
    options = RunOptions(
        workloads=workloads,
        recipes=recipes or (() if bundle else ("core",)),
        devices=devices,
        backends=backends,
        runtimes=runtimes,
        seeds=seeds,
        samples=parse_samples(samples),
        budget_s=parse_duration(budget, "--budget") if budget else None,
        emulated=emulated,
        data_dir=data_dir,
        data=data,
        metric=metric,
        devices_dir=devices_dir,
        bundle=bundle,
        jobs=jobs,
        deadline_s=parse_duration(deadline, "--deadline") if deadline else None,
        tolerances=tolerances,
        flash=flash,
    )
    return run_and_report(options, results_dir(results), resume=resume, json_file=json_file).exit_code


#: what says where things are and land, rather than what is run
_WITH_RESUME = {"resume", "results", "json_file"}


def _refuse_with_resume(context: click.Context) -> None:
    """A resumed run goes on with the options it was started with; another one's would be mixed into its tables.

    Raises:
        UserInputError: naming the options that were given on the command line.
    """
    from harness.core.errors import UserInputError

    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in _WITH_RESUME
        and context.get_parameter_source(option.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise UserInputError(
            f"{', '.join(given)} cannot be given with --resume, which goes on with the options that the run was started with",
            hint="leave them out, or start a new run without --resume",
        )
