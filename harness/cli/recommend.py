"""`harness recommend`: what to ship on a device, from a stored run, with neither TensorFlow nor a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import results_options
from harness.cli.out import echo
from harness.cli.targets import Target
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.reports.answer.answer import Answer, NotRun, Place
    from harness.reports.answer.limits import Limits
    from harness.results.objects import ObjectStore
    from harness.results.record import CellRecord, RunInfo


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
@click.option(
    "--max-drop",
    help="The most that the score may be worse than the float model's, in its unit: 0.01, or 1p for a point of a hundred. "
    "Default: one point, or 1 % of a score that is no share.",
)
@click.option("--max-latency", help="The longest median latency, with its unit: 5ms, 300us.")
@click.option("--max-size", help="The largest .tflite: 200k (200,000 bytes), 200KiB, 1.5M.")
@click.option(
    "--prefer",
    type=click.Choice(["speed", "size"]),
    default="speed",
    show_default=True,
    help="What decides among those that keep to the limits.",
)
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
    from harness.reports.answer.answer import find_answers
    from harness.reports.answer.evidence import StoredEvidence
    from harness.reports.identity import told_apart
    from harness.reports.tables import in_order
    from harness.results.objects import open_objects

    limits = _limits(max_drop, max_latency, max_size, prefer)
    folder = results_dir(results)
    filters = {"device": devices, "workload": workloads, "backend": backends}
    run_id, records, missing = _records(folder, run, {name: chosen for name, chosen in filters.items() if chosen})
    objects = open_objects(folder)
    answers = find_answers(in_order(told_apart(records)), StoredEvidence(objects), limits, missing=missing)
    if json_file != "-":
        _show(answers, objects, _place(folder, run_id, output))
    if json_file:
        _write_json(answers, run_id, json_file)
    if any(answer.pick is None for answer in answers):
        raise click.exceptions.Exit(ExitCode.WRONG_INPUT)


def _limits(max_drop: str | None, max_latency: str | None, max_size: str | None, prefer: str) -> Limits:
    """The limits as asked for.

    Raises:
        UserInputError: naming the option whose value cannot be read.
    """
    from harness.core.errors import UserInputError
    from harness.reports.answer.limits import Limits, parse_drop, parse_latency_ns, parse_size_bytes

    found: dict[str, float | None] = {}
    for option, text, parse in (
        ("--max-drop", max_drop, parse_drop),
        ("--max-latency", max_latency, parse_latency_ns),
        ("--max-size", max_size, parse_size_bytes),
    ):
        try:
            found[option] = None if text is None else parse(text)
        except UserInputError as error:
            raise UserInputError(error.what, where=option, hint=error.hint) from error
    return Limits(
        max_drop=found["--max-drop"],
        max_latency_ns=found["--max-latency"],
        max_size_bytes=found["--max-size"],
        prefer="size" if prefer == "size" else "speed",
    )


def _say_what_is_missing(info: RunInfo, records: list[CellRecord]) -> None:
    """An answer from a part of a run may be another one when the rest has run."""
    missing = len(set(info.planned) - {record.key for record in records})
    if missing:
        echo(
            f"warning: {missing} of {len(info.planned)} cells of run {info.run} have not run: the answer is without them",
            err=True,
        )


def _records(folder: Path, run: str, filters: dict[str, Any]) -> tuple[str, list[CellRecord], dict[Place, NotRun]]:
    """The run's id, the cells that are asked for, and what of the plan was not run beside them.

    Raises:
        UserInputError: an unknown run, or a filter that matches nothing.
    """
    from harness.cli.report import check_names
    from harness.core.errors import UserInputError
    from harness.results.running import settled
    from harness.results.store import Store

    with Store.open(folder, create=False) as store:
        info = settled(store, store.run(run))
        check_names(filters, info.planned, store.cells(run=info.run))
        records = store.cells(run=info.run, **filters)
        for text in store.damaged:
            echo(f"warning: {text}", err=True)
        _say_what_is_missing(info, store.cells(run=info.run))
    if not records:
        raise UserInputError(
            "the run has no cell that matches", where=info.run, hint="`harness report --list` shows the runs"
        )
    from harness.cli.report import matching
    from harness.reports.answer.answer import not_run

    return info.run, records, not_run(matching(info.planned, filters), [record.key for record in records])


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
