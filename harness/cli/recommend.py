"""`harness recommend`: what to ship on a device, from a stored run, with neither TensorFlow nor a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import limit_options, results_options
from harness.cli.out import echo
from harness.cli.targets import Target
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.reports.answer.answer import Answer
    from harness.results.objects import ObjectStore


@click.command("recommend")
@click.argument("run", default="latest")
@click.option(
    "--device",
    "devices",
    multiple=True,
    help="Only these devices; names or globs, repeatable. Default: all of the run.",
)
@click.option("--workload", "workloads", multiple=True, help="Only these workloads; names or globs, repeatable.")
@click.option("--backend", "backends", multiple=True, help="Only these backends; names or globs, repeatable.")
@limit_options
@click.option(
    "--output", type=Target("folder"), help="A folder to write the picked .tflite into. Default: the run's models/."
)
@click.option("--json", "json_file", type=Target(), help="Also write the answers as JSON to this file (`-`: stdout).")
@results_options
def command(
    run: str,
    devices: tuple[str, ...],
    workloads: tuple[str, ...],
    backends: tuple[str, ...],
    max_drop: str | None,
    max_latency: str | None,
    max_size: str | None,
    prefer: str,
    output: str | None,
    json_file: str | None,
    results: str | None,
) -> None:
    """Say what to ship of a stored RUN: an id, the unique beginning of one, or `latest`.

    One pick per workload and device, the file to ship, and how it is known: what no test can tell from it, what no other
    recipe beats, what QAT itself gained, and of every cell that is left out why.

    \b
    harness recommend --device imx8mp --max-drop 0.01 --max-latency 5ms --max-size 200k
    harness recommend 20261121 --device 'host-*' --prefer size --json -

    Exit code 0 where every answer has a pick, 1 where one has none.
    """
    from harness.core.paths import results_dir
    from harness.reports.answer.asked import ask, read_limits

    given = {"--max-drop": max_drop, "--max-latency": max_latency, "--max-size": max_size}
    limits = read_limits(given, prefer="size" if prefer == "size" else "speed")
    folder = results_dir(results)
    filters = {"device": devices, "workload": workloads, "backend": backends}
    asked = ask(folder, run, {name: chosen for name, chosen in filters.items() if chosen}, limits)
    for text in asked.notes:
        echo(f"warning: {text}", err=True)
    if json_file != "-":
        _show(asked.answers, asked.objects, _place(folder, asked.run, output))
    if json_file:
        _write_json(asked.answers, asked.run, json_file)
    if any(answer.pick is None for answer in asked.answers):
        raise click.exceptions.Exit(ExitCode.WRONG_INPUT)


def _place(folder: Path, run: str, output: str | None) -> Path:
    """The folder that picked files lie in."""
    from harness.reports.answer.models import MODELS_NAME
    from harness.results.layout import run_dir

    return run_dir(folder, run) / MODELS_NAME if output is None else Path(output).expanduser()


def _show(answers: list[Answer], objects: ObjectStore, place: Path) -> None:
    """Sentence, file and reasons of each answer."""
    from harness.core.errors import HarnessError
    from harness.reports.answer.models import model_name, write_model
    from harness.reports.answer.show import print_answer
    from harness.reports.console import make_console

    console = make_console()
    for answer in answers:
        name, said = model_name(answer, answers), ""
        if name is not None:
            try:
                write_model(answer, objects, place / name)
                said = str(place / name)
            except HarnessError as error:
                said = f"its file cannot be had: {error}"
        print_answer(console, answer, said)


def _write_json(answers: list[Answer], run: str, json_file: str) -> None:
    import json

    from harness.reports.answer.plain import answers_json
    from harness.reports.jsonout import write_text
    from harness.results.record import SCHEMA_VERSION

    document = {"schema": SCHEMA_VERSION, "run": run, "answers": answers_json(answers)}
    write_text(json_file, json.dumps(document, indent=1, allow_nan=False) + "\n", option="--json")
