"""`harness study`: one question to many recipes of a model, run as a run and read together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import data_options, metric_option, run_options, runtime_option
from harness.cli.out import echo
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from harness.reports.studies.schemes import Effect, SchemeTable
    from harness.run.options import RunOptions
    from harness.session.session import RunResult
    from harness.verdict.enough import CalibrationFound


@click.group("study")
def command() -> None:
    """One question to many recipes of a model: calibration, schemes."""


def _study_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What both studies take, and where they land."""
    for decorator in reversed(
        (
            click.argument("workload", metavar="WORKLOAD|MODEL"),
            click.option("--device", "devices", multiple=True, required=True, help="A device profile; repeatable."),
            click.option(
                "--backend",
                "backends",
                multiple=True,
                help="Only these backends; repeatable. Default: each device's first, reference kernels apart.",
            ),
            run_options,
            runtime_option,
            data_options,
            metric_option,
            click.option("--jobs", type=click.IntRange(min=1), help="Build workers. Default: one per core."),
        )
    ):
        function = decorator(function)
    return function


@command.command("calibration")
@_study_options
@click.option("--recipe", default="ptq-int8-io", show_default=True, help="What is calibrated.")
@click.option(
    "--counts",
    default="1,3,10,30,100,300,1000",
    show_default=True,
    help="Numbers of samples to try, below all of them.",
)
@click.option(
    "--draws", default=5, show_default=True, type=click.IntRange(min=1), help="Draws of each number of random samples."
)
@click.option(
    "--choice",
    "choices",
    multiple=True,
    type=click.Choice(["random", "stratified", "first", "worst"]),
    help="Only this choice of samples; repeatable. Default: all four.",
)
def calibration_command(recipe: str, counts: str, draws: int, choices: tuple[str, ...], **given: Any) -> int:
    """How many calibration samples are enough, and which?

    Calibrates one model with more and more training samples, chosen in four ways, and compares each score with that of all of
    them on the same test samples. Says from which number on nothing tells them apart, draws it into the run's folder, and
    keeps it for `harness audit` of the same model.

    \b
    harness study calibration mnist-cnn --device host-litert
    harness study calibration my_model.h5 --data samples.npz --device imx8mp --counts 10,100 --choice random
    """
    from harness.core.paths import results_dir
    from harness.studies.calibration import study_calibration

    study = _run(
        given,
        lambda options, results, **told: study_calibration(
            options,
            results,
            recipe=recipe,
            counts=_numbers(counts),
            draws=draws,
            choices=choices,  # type: ignore[arg-type]
            **told,
        ),
    )
    console = _console(given)
    for found in study.found:
        _print_calibration(console, found)
    _write_json(given, study.result)
    _end(study.result, given)
    echo(f"drawn: {study.page.relative_to(results_dir(given['results']).parent)}", err=given["json_file"] == "-")
    return study.result.exit_code


@command.command("schemes")
@_study_options
@click.option("--bits", default="8,4", show_default=True, help="Bits of the weights.")
@click.option(
    "--training",
    "trainings",
    multiple=True,
    type=click.Choice(["ptq", "ft", "qat"]),
    help="Only this training; repeatable. Default: post-training, its control, quantization-aware.",
)
def schemes_command(bits: str, trainings: tuple[str, ...], **given: Any) -> int:
    """What do bits, ranges per layer or channel, symmetry and training do to the score?

    The tables of arXiv 1806.08342 for a model of yours: weights alone, and weights with 8-bit activations, post-training and
    quantization-aware. Rounded by the harness and computed in float (`sim[...]`), because most of it has no kernel anywhere.

    \b
    harness study schemes cifar-separable --device host-litert
    harness study schemes my_model.h5 --data samples.npz --device host-litert --bits 8
    """
    from harness.studies.schemes import study_schemes

    study = _run(
        given,
        lambda options, results, **told: study_schemes(
            options, results, weight_bits=_numbers(bits), trainings=trainings, **told
        ),
    )
    console = _console(given)
    for table in study.tables:
        _print_table(console, table)
    _print_effects(console, study.effects)
    _write_json(given, study.result)
    _end(study.result, given)
    return study.result.exit_code


def _numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1, separated by commas.

    Raises:
        UserInputError: anything else.
    """
    from harness.core.errors import UserInputError

    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isdigit() and int(word) > 0 for word in words):
        raise UserInputError(f"'{text}' is no list of numbers", hint="such as 10,100,1000")
    return tuple(dict.fromkeys(int(word) for word in words))


def _run(given: dict[str, Any], study: Callable[..., Any]) -> Any:
    """Runs a study under a progress display; an interrupted one can be gone on with as any run."""
    from harness.cli.options import command_line
    from harness.cli.progress import RunProgress
    from harness.core.paths import results_dir
    from harness.results.place import command_options

    results = results_dir(given["results"])
    with RunProgress() as progress:
        try:
            return study(
                _options(given),
                results,
                watcher=progress.watcher(),
                say=progress.say,
                command=command_line(),
                planned=lambda count: setattr(progress, "total_cells", count),
            )
        except KeyboardInterrupt:
            echo(
                "interrupted; every finished cell is stored. Run its other cells, or the command again (what is built stays):\n"
                f"  harness run --resume {command_options(results)}",
                err=True,
            )
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def _options(given: dict[str, Any]) -> RunOptions:
    from harness.run.budget import parse_duration
    from harness.run.options import RunOptions, parse_samples

    return RunOptions(
        workloads=(given["workload"],),
        devices=given["devices"],
        backends=given["backends"],
        runtimes=given["runtimes"],
        samples=parse_samples(given["samples"]),
        budget_s=parse_duration(given["budget"], "--budget") if given["budget"] else None,
        emulated=given["emulated"],
        data_dir=given["data_dir"],
        data=given["data"],
        metric=given["metric"],
        devices_dir=given["devices_dir"],
        jobs=given["jobs"],
    )


def _console(given: dict[str, Any]) -> Console:
    from harness.reports.console import make_console

    return make_console(stderr=given["json_file"] == "-")  # a pipe gets JSON and nothing else


def _print_calibration(console: Console, found: CalibrationFound) -> None:
    from rich.text import Text

    from harness.reports.studies.calibration import enough_lines, matrix_rows

    head = (
        f"\n{found.workload}: {found.recipe} on {found.device}, {found.backend}: {found.metric} of {found.samples:,} test "
        f"samples, by how many of {found.total:,} training samples calibrate"
    )
    console.print(Text(head, style="bold"))
    heads, lines = matrix_rows(found)
    _print_rows(console, heads, lines)
    console.print(Text("* told from all samples by the paired test, corrected for the number of tests", style="dim"))
    for line in enough_lines(found):
        console.print(Text(f"  {line}"))


def _print_table(console: Console, table: SchemeTable) -> None:
    from rich.text import Text

    console.print(Text(f"\n{table.title}", style="bold"))
    frame = table.to_frame()
    lines = [
        [str(name), *("-" if _is_missing(v) else f"{v:.4f}" for v in row)]
        for name, row in zip(frame.index, frame.to_numpy(), strict=True)
    ]
    _print_rows(console, ["training", *map(str, frame.columns)], lines)


def _is_missing(value: Any) -> bool:
    from harness.reports.values import is_missing

    return is_missing(value)


def _print_effects(console: Console, effects: tuple[Effect, ...]) -> None:
    from rich.text import Text

    console.print(Text("\nWhat is known of depthwise-separable networks, and whether it shows here", style="bold"))
    for effect in effects:
        word = "cannot show" if effect.appears is None else "shows" if effect.appears else "does NOT show"
        console.print(Text(f"  {word}: {effect.what} ({effect.seen})"))


def _print_rows(console: Console, heads: list[str], lines: list[list[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for position, title in enumerate(heads):
        table.add_column(title, justify="left" if position == 0 else "right", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    console.print(table)


def _write_json(given: dict[str, Any], result: RunResult) -> None:
    if given["json_file"]:
        from harness.reports.jsonout import write_json

        target = given["json_file"]
        write_json("-" if target == "-" else Path(target), result.run, list(result.records))


def _end(result: RunResult, given: dict[str, Any]) -> None:
    from harness.cli.running import counted

    to_stderr = given["json_file"] == "-"
    echo(f"run {result.run}: {counted(result)}", err=to_stderr)
    if result.export:
        echo(f"tables: {result.export}", err=to_stderr)
