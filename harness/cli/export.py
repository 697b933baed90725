"""`harness export`: a folder to ship of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import results_options
from harness.cli.out import echo

if TYPE_CHECKING:
    from harness.results.record import CellRecord


@click.command("export")
@click.argument("target", metavar="CELL_OR_MODEL")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--run", help="The run whose record ships: an id, the unique beginning of one, or `latest`.")
@click.option("--device", help="For a MODEL.tflite: the device that it was measured on, or is measured on now.")
@click.option("--backend", help="For a MODEL.tflite: the device's backend, where it has several.")
@click.option("--emulated", is_flag=True, help="For a MODEL.tflite: the device's emulated twin.")
@click.option("--data", type=click.Path(), help="For a MODEL.tflite that is measured now: its samples (.npz).")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="So many measured samples go along with the outputs that the device gave; 0: none, and no self-test.",
)
@click.option(
    "--name", help="For a microcontroller: what the names of the C library begin with. Default: the workload's."
)
@click.option(
    "--board",
    type=click.Path(),
    help="For a microcontroller: the folder of its port (docs/guides/adding-an-mcu-board.md).",
)
@click.option(
    "--model",
    type=click.Path(),
    help="The measured .tflite, where the store has not kept it; its hash must be the cell's.",
)
@click.option("--anyway", is_flag=True, help="Also where the cell is not ok; the README then says so first.")
@click.option("--force", is_flag=True, help="Replace an export that is in DIR already.")
@results_options
def command(target: str, folder: str, run: str | None, results: str | None, **options) -> None:
    """Export what was measured into the folder DIR.

    CELL is WORKLOAD/RECIPE/DEVICE/BACKEND as `harness history` takes it: its newest record, or that of --run. For a board with
    Linux the folder has the .tflite, a loader with the measured settings and a self-test; for a microcontroller a C library with
    a header, a CMake file and a program that compares, which is built and tried before it appears.

    \b
    harness export mnist-cnn/ptq-int8-io/imx8mp/npu to-ship
    harness export my_model.tflite --device cortex-m4 --emulated to-ship --name kws

    Exit code 1 where it does not ship: the cell is not ok, its file is gone, DIR is taken.
    """
    from harness.core.paths import results_dir
    from harness.export.export import export
    from harness.export.folder import require_place
    from harness.export.shipped import ship
    from harness.results.objects import open_objects
    from harness.workloads.finished import finished_model, names_file

    place, force, anyway = Path(folder).expanduser(), options.pop("force"), options.pop("anyway")
    require_place(place.absolute(), force=force)
    home = results_dir(results)
    if names_file(target):
        record = _measured(Path(target).expanduser(), home, run, options)
    else:
        record = _recorded(home, target, run, options)
    model = options["model"]
    shipped = ship(
        record,
        open_objects(home),
        samples=options["samples"],
        anyway=anyway,
        model=None if model is None else finished_model(Path(model)).path,
    )
    done = export(
        shipped,
        place,
        force=force,
        anyway=anyway,
        name=options["name"],
        board=options["board"],
        say=lambda line: echo(line, err=True),
    )
    name, size = record.key.text_with_seed, len(shipped.tflite)
    echo(f"{name} of run {record.run}, {record.outcome}: model {shipped.sha256[:12]}, {size:,} bytes")
    for text in shipped.despite:
        echo(f"warning: {text}", err=True)
    for line in done.lines:
        echo(f"  {line}")
    echo(f"wrote {done.folder}: README.md says how to use it")


def _recorded(home: Path, cell: str, run: str | None, options: dict) -> CellRecord:
    """The record of a cell.

    Raises:
        UserInputError: no such cell; options that are for a model's file.
    """
    from harness.core.errors import UserInputError
    from harness.results.find import find_record
    from harness.results.store import Store

    for name in ("device", "backend", "data", "emulated"):
        if options[name]:
            raise UserInputError(
                "is for a MODEL.tflite: a cell's name has it already", where=f"--{name}", hint="leave it out"
            )
    with Store.open(home, create=False) as store:
        record = find_record(store, cell, run=run)
        for text in store.damaged:
            echo(f"warning: {text}", err=True)
    return record


def _measured(model: Path, home: Path, run: str | None, options: dict) -> CellRecord:
    """The newest record of a file on a device; it is measured now where there is none.

    Raises:
        UserInputError: no device is named, or it has several backends.
        HarnessError: it cannot be measured.
    """
    from harness.boards.resolve import get_profiles
    from harness.core.errors import UserInputError
    from harness.core.files import sha256_file
    from harness.workloads.finished import finished_model

    if run is not None:
        raise UserInputError("is for a cell of a run", where="--run", hint="name the cell instead of the file")
    if options["device"] is None:
        raise UserInputError("is a file: which device was it measured on?", where=str(model), hint="add --device NAME")
    try:
        sha256 = sha256_file(finished_model(model).path)
    except OSError as error:
        raise UserInputError(f"cannot be read: {error.strerror or error}", where=str(model)) from None
    (profile,) = get_profiles((options["device"],), options["devices_dir"], emulated=options["emulated"])
    backend = options["backend"]
    if backend is None and len(profile.backends) > 1:
        raise UserInputError(
            f"{profile.name} has several backends", where="--backend", hint=f"choose one: {', '.join(profile.backends)}"
        )
    backend = backend or next(iter(profile.backends))
    found = None if options["data"] else _known(home, sha256, profile.name, backend)
    return found or _measure(model, home, backend, options)


def _known(home: Path, sha256: str, device: str, backend: str) -> CellRecord | None:
    from harness.results.find import find_measured
    from harness.results.layout import store_path
    from harness.results.place import place_of
    from harness.results.store import Store

    if not place_of(home).shared and not store_path(home).is_file():
        return None
    with Store.open(home, create=False) as store:
        return find_measured(store, sha256, device, backend)


def _measure(model: Path, home: Path, backend: str, options: dict) -> CellRecord:
    """Measures the file as `harness measure` does."""
    from harness.cli.running import run_and_report
    from harness.core.errors import HarnessError
    from harness.run.measured import RANDOM_SAMPLES, measure_plan
    from harness.run.options import RunOptions

    run_options = RunOptions(
        workloads=(str(model),),
        recipes=(),
        devices=(options["device"],),
        backends=(backend,),
        emulated=options["emulated"],
        data=options["data"],
        devices_dir=options["devices_dir"],
    )
    result = run_and_report(run_options, home, plan=measure_plan(run_options, RANDOM_SAMPLES))
    if not result.records:
        raise HarnessError("it was not measured", where=str(model), hint="the lines above say why")
    return result.records[-1]
