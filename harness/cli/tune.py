"""`harness tune`: a better variant by search, decided by the device, proven on samples that the search did not see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import data_options, deadline_option, limit_options, metric_option, results_options
from harness.cli.out import echo
from harness.cli.targets import Target
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.tune.options import TuneOptions
    from harness.tune.result import TuneResult


@click.command("tune")
@click.argument("workload", metavar="[MODEL|WORKLOAD]", required=False)
@click.option("--device", help="The device profile to tune for.")
@click.option("--backend", "backends", multiple=True, help="Only these backends of the device; repeatable.")
@limit_options
@click.option("--budget", default="10m", show_default=True, metavar="DURATION", help="Time for the whole search.")
@click.option(
    "--trials",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Searched variants on the device, at most.",
)
@click.option(
    "--samples",
    help="Samples per cell, of each half: a number (stratified) or `all`. Default: as the device's profile says.",
)
@click.option("--emulated", is_flag=True, help="Use the emulated twin of the device.")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@click.option("--jobs", type=click.IntRange(min=1), help="Build workers. Default: one per core.")
@deadline_option
@data_options
@metric_option
@click.option("--no-project", is_flag=True, help="Leave harness.toml aside.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    default=None,
    metavar="[RUN]",
    help="Go on with an interrupted search (default: the latest run), with the options that it was started with.",
)
@click.option("--json", "json_file", type=Target(), help="Also write the result as JSON to this file (`-`: stdout).")
@results_options
def command(workload: str | None, device: str | None, resume: str | None, json_file: str | None, **given: Any) -> int:
    """Search for a better variant of a model for one device.

    Each layer in float, 16 bits or int8, its weights and ranges in several ways (recipe `mixed[...]`). Cheap errors on
    calibration samples order the variants, the device decides, and samples that the search did not see prove the result.

    \b
    harness tune mnist-cnn --device host-litert
    harness tune my_model.keras --data samples.npz --device imx8mp --max-drop 0.01 --max-latency 5ms --max-size 200k
    harness tune --resume
    """
    from harness.cli.options import command_line
    from harness.cli.progress import RunProgress
    from harness.core.paths import results_dir
    from harness.results.place import command_options
    from harness.tune.tune import tune

    results = results_dir(given.pop("results"))
    options = _options(workload, device, resume, given)
    with RunProgress() as progress:
        try:
            result = tune(
                options,
                results,
                resume=resume,
                watcher=progress.watcher(),
                say=progress.say,
                command=command_line(),
            )
        except KeyboardInterrupt:
            echo(
                "interrupted; every finished trial is stored. Continue with:\n"
                f"  harness tune --resume {command_options(results)}".rstrip(),
                err=True,
            )
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    _print(result, json_file)
    return result.exit_code


def _options(workload: str | None, device: str | None, resume: str | None, given: dict[str, Any]) -> TuneOptions | None:
    """What was asked for; None to go on with what a stored search was asked for.

    Raises:
        UserInputError: something is missing, or is no drop, latency, size or duration.
    """
    from harness.core.errors import UserInputError
    from harness.reports.answer.limits import Limits, parse_drop, parse_latency_ns, parse_size_bytes
    from harness.run.budget import parse_duration
    from harness.run.options import parse_samples
    from harness.tune.options import TuneOptions

    if resume is not None:
        _refuse_with_resume(click.get_current_context())
        return None
    workload, device, drop = _of_project(workload, device, given.pop("max_drop"), given)
    if workload is None:
        raise UserInputError("no model named", hint="harness tune MODEL --device NAME, or a workload's name for MODEL")
    if device is None:
        raise UserInputError("no device named", hint="add --device host-litert, or see `harness devices list`")
    latency, size = (given.pop(name) for name in ("max_latency", "max_size"))
    budget, deadline = given.pop("budget"), given.pop("deadline")
    return TuneOptions(
        workload=workload,
        device=device,
        limits=Limits(
            max_drop=None if drop is None else parse_drop(drop),
            max_latency_ns=None if latency is None else parse_latency_ns(latency),
            max_size_bytes=None if size is None else parse_size_bytes(size),
            prefer=given.pop("prefer"),
        ),
        budget_s=parse_duration(budget, "--budget"),
        samples=parse_samples(given.pop("samples")),
        deadline_s=parse_duration(deadline, "--deadline") if deadline else None,
        **given,
    )


def _of_project(
    workload: str | None, device: str | None, drop: str | None, given: dict[str, Any]
) -> tuple[str | None, str | None, str | None]:
    """Model, device and allowed drop, from the nearest harness.toml where the command line names no model."""
    from harness.project.project import project_path
    from harness.session.from_project import TuneAsked, take_tune

    path = None if given.pop("no_project") or workload is not None else project_path()
    if path is None:
        return workload, device, drop
    asked = TuneAsked(workload=workload, device=device, max_drop=drop, emulated=given["emulated"])
    asked, taken = take_tune(path, asked)
    given["emulated"] = asked.emulated
    if taken is not None:
        echo(taken, err=True)
    return asked.workload, asked.device, asked.max_drop


#: what says where things are and land, rather than what is searched
_WITH_RESUME = {"resume", "results", "json_file"}


def _refuse_with_resume(context: click.Context) -> None:
    """A resumed search goes on with the options that it was started with.

    Raises:
        UserInputError: naming what was given on the command line.
    """
    from harness.core.errors import UserInputError

    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in _WITH_RESUME
        and context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
        and option.expose_value
    ]
    if given:
        raise UserInputError(
            f"{', '.join(given)} cannot be given with --resume, which goes on with the options that the search was started with",
            hint="leave them out, or start a new search without --resume",
        )


def _print(result: TuneResult, json_file: str | None) -> None:
    import json

    from harness.reports.console import make_console
    from harness.reports.jsonout import write_text
    from harness.tune.show import print_result, result_json

    to_stderr = json_file == "-"
    print_result(make_console(stderr=to_stderr), result)
    if result.export:
        echo(f"run {result.run}, tables: {result.export}", err=to_stderr)
    if json_file:
        write_text(json_file, json.dumps(result_json(result), indent=1, allow_nan=False) + "\n", option="--json")
        if not to_stderr:
            echo(f"JSON: {json_file}", err=True)
