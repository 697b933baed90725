"""`harness results`: what is done with a store as a whole: export, import, get, prune, merge, check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import results_options
from harness.cli.out import echo
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.results.prune import Pruned
    from harness.results.tablefiles import Format


@click.group("results")
def command() -> None:
    """Exports, imports, prunes, merges and checks stored results."""


@command.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.option(
    "--run", "runs", multiple=True, help="Only this run (an id, its unique beginning, a baseline); repeatable."
)
@click.option("--series", help="Only the nights of this series.")
@click.option("--with-objects", is_flag=True, help="Also outputs, raw samples, labels and models.")
@results_options
def export_command(
    folder: Path, form: Format, runs: tuple[str, ...], series: str | None, with_objects: bool, results: str | None
) -> None:
    """Writes records with their history into a new FOLDER, a file per table. `harness results import` takes it again."""
    from harness.core.paths import results_dir
    from harness.session.whole_store import export_chosen

    done = export_chosen(results_dir(results), folder, form=form, runs=runs, series=series, with_objects=with_objects)
    _warn(done.problems)
    objects = f" and {done.objects:,} objects" if with_objects else ""
    echo(f"{folder}: {done.cells:,} records of {done.runs:,} runs{objects}")


@command.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@results_options
def import_command(folder: Path, results: str | None) -> None:
    """Takes the runs of an export that the store does not have; what it has stays as it is."""
    from harness.core.paths import results_dir
    from harness.session.whole_store import import_into

    done = import_into(results_dir(results), folder)
    taken = done.taken
    _warn(done.problems)
    echo(f"{done.where}: {taken.cells:,} records taken, {len(taken.runs):,} runs are new")
    if taken.known:
        echo(f"{taken.known:,} records were there already")
    if taken.kept:
        echo(f"{taken.kept:,} records are others here, and stay as they are", err=True)


@command.command("get")
@click.argument("sha256", metavar="HASH")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write."
)
@results_options
def get_command(sha256: str, output: Path, results: str | None) -> None:
    """Writes a file that nights have kept: a model, a board's agent, or the firmware of a microcontroller (ELF).

    HASH is its SHA-256, or the unique beginning of it, as verdicts, bisections and records name it.
    """
    from harness.core.errors import UserInputError
    from harness.core.files import write_named
    from harness.core.paths import results_dir
    from harness.results.faults import storage_faults
    from harness.results.history import History
    from harness.results.store import Store

    with Store.open(results_dir(results), create=False) as store:
        history = History(store)
        found = history.kept(sha256.lower())
        if len(found) != 1:
            what = f"{len(found)} files that are kept begin" if found else "no file that is kept begins"
            hint = (
                "give more of the hash" if found else "it was pruned, or no night ran it; `harness bisect` names hashes"
            )
            raise UserInputError(f"{what} with {sha256}", where=store.where, hint=hint)
        data = history.artifact(found[0])
        if data is None:
            what = f"the object of {found[0][:12]} is lost or damaged"
            raise UserInputError(what, where=store.where, hint="`harness results check` names it")
    with storage_faults(output, option="--output"):
        write_named(output, data)
    echo(f"{output}: {len(data):,} bytes, {found[0]}")


@command.command("prune")
@click.option(
    "--keep-nights",
    type=click.IntRange(min=1),
    default=14,
    show_default=True,
    help="So many newest nights of each series, and newest runs by day, stay whole.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@results_options
def prune_command(keep_nights: int, dry_run: bool, results: str | None) -> None:
    """Takes out the records that no level, open regression, baseline or newest night needs, and what only they name.

    Runs and control cells stay, and verdicts but for old ones that said `same`: the next nights are judged as before.
    """
    from harness.core.paths import results_dir
    from harness.session.whole_store import prune_store

    done = prune_store(
        results_dir(results), keep_nights=keep_nights, dry_run=dry_run, note=lambda text: echo(text, err=True)
    )
    _say_pruned(done, keep_nights, dry_run=dry_run)


def _say_pruned(done: Pruned, keep_nights: int, *, dry_run: bool) -> None:
    for why, count in sorted(done.kept.items()):
        echo(f"stays: {count:,} records of older runs, for {why}")
    verb = "would go" if dry_run else "gone"
    echo(f"{verb}: {done.records:,} records of {done.runs:,} runs older than the newest {keep_nights}")
    echo(f"{verb}: {done.times:,} verdicts of those nights that a time was the same")
    echo(
        f"{verb}: {done.artifacts:,} model files and programs, {done.objects:,} objects, {done.object_bytes / 1e6:,.1f} MB"
    )


@command.command("merge")
@results_options
def merge_command(results: str | None) -> None:
    """Puts into the shared store what nights had to leave in the results folder. Every command that opens the store does, too."""
    from harness.core.errors import UserInputError
    from harness.core.paths import results_dir
    from harness.results.layout import UNMERGED_NAME
    from harness.results.merge import merge_unmerged
    from harness.results.place import place_of
    from harness.results.shared import shared_database
    from harness.results.store import Store

    place = place_of(results_dir(results))
    if not place.shared:
        raise UserInputError("there is no shared store to merge into", hint="name it with --store or HARNESS_STORE")
    merged = merge_unmerged(Store(place, shared_database(place, create=True)))
    _warn(merged.problems)
    if merged.waiting:
        raise UserInputError(
            "a run is still writing what is to be merged",
            where=str(place.results / UNMERGED_NAME),
            hint="wait for its end",
        )
    for run in merged.runs:
        echo(f"run {run} is in {place.name}")
    echo(f"{merged.taken.cells:,} records merged" if merged.runs else "there is nothing to merge")


@command.command("check")
@click.option("--records-only", is_flag=True, help="Leave out the objects that the records name.")
@results_options
def check_command(records_only: bool, results: str | None) -> None:
    """Reads every record, and compares it with its checksum; exit code 1 where one is damaged or an object is lost."""
    from harness.core.paths import results_dir
    from harness.results.check import check_store
    from harness.results.store import Store

    with Store.open(results_dir(results), create=False) as store:
        found = check_store(store, with_objects=not records_only)
    for text in found.damaged:
        echo(text)
    counts = Counter({"records": found.records, "objects": found.objects})
    echo(
        ", ".join(f"{count:,} {name} are whole" for name, count in counts.items()) + f"; {len(found.damaged):,} are not"
    )
    if found.damaged:
        raise click.exceptions.Exit(ExitCode.WRONG_INPUT)


def _warn(problems: Sequence[str]) -> None:
    for text in problems:
        echo(f"warning: {text}", err=True)
