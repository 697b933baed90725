"""`harness diff`: two models side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import metric_option, results_options
from harness.cli.out import echo
from harness.cli.targets import Target
from harness.core.errors import ExitCode

if TYPE_CHECKING:
    from harness.diff.diff import Device, ModelDiff
    from harness.diff.side import Side


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--run", help="The run of the cells or recipes. Default: a cell's newest record, the newest run's recipes."
)
@click.option("--workload", help="Of a run with several workloads: whose recipes.")
@click.option("--device-of", help="Of a run whose devices were given different files: whose recipes.")
@click.option("--device", help="Also what is expected of both on this device, on each of its backends.")
@click.option("--emulated", is_flag=True, help="With --device: its emulated twin.")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@click.option(
    "--data", type=click.Path(), help="Also both scores on these samples (.npz with labels), run on this machine."
)
@metric_option
@click.option("--all", "everything", is_flag=True, help="Also show the nodes that are the same.")
@click.option("--html", type=Target(), help="Also write the comparison as a page, one file that needs no other.")
@click.option("--json", "json_file", type=Target(), help="Also write it as JSON to this file (`-`: stdout).")
@click.option("--exit-code", is_flag=True, help="Exit with 3 where the models differ in anything but names.")
@results_options
def command(
    a: str,
    b: str,
    run: str | None,
    workload: str | None,
    device_of: str | None,
    device: str | None,
    emulated: bool,
    devices_dir: str | None,
    data: str | None,
    metric: str | None,
    everything: bool,
    html: str | None,
    json_file: str | None,
    exit_code: bool,
    results: str | None,
) -> int:
    """Compare two models, A and B: nodes aligned whatever their tensors are called, quantization, op versions, size, expected
    placement, and score on the same samples.

    A and B are .tflite files, cells (WORKLOAD/RECIPE/DEVICE/BACKEND, as `harness history` takes them) or recipes of a run.
    Two cells are compared by what their devices answered; files are run here, with --data.

    \b
    harness diff old.tflite new.tflite --device imx8mp --data samples.npz --html diff.html
    harness diff ptq-float32 ptq-int8-io --run latest --workload mnist-cnn

    Exit code 0, whether they differ or not; 3 where B's score is worse than A's by more than chance explains, and with
    --exit-code where they differ at all; 1 where one cannot be read.
    """
    from harness.core.errors import UserInputError
    from harness.core.paths import results_dir

    if metric is not None and data is None:
        raise UserInputError(
            "judges the samples of --data", where="--metric", hint="add --data samples.npz, or leave it out"
        )
    from harness.diff.asked import find_sides, score_of
    from harness.diff.diff import diff_models

    home = results_dir(results)
    sides = find_sides(
        (a, b),
        home,
        run=run,
        workload=workload,
        device=device_of,
        warn=lambda text: echo(f"warning: {text}", err=True),
    )
    expected = None if device is None else _expected(sides, device, emulated, devices_dir)
    score = score_of(sides, home, None if data is None else Path(data), metric)
    found = diff_models(*sides, device=expected, score=score)
    _write(found, everything, html, json_file)
    worse = found.worse or (exit_code and found.sameness == "different")
    return ExitCode.WORSE if worse else ExitCode.DONE


def _expected(sides: tuple[Side, Side], name: str, emulated: bool, devices_dir: str | None) -> Device:
    from harness.boards.resolve import get_profile
    from harness.diff.diff import Device
    from harness.diff.placement import placements

    profile = get_profile(name, devices_dir, emulated=emulated)
    return Device(name=profile.name, backends=tuple(placements(*sides, profile, devices_dir)))


def _write(found: ModelDiff, everything: bool, html: str | None, json_file: str | None) -> None:
    from harness.diff.show import print_diff
    from harness.reports.console import make_console

    if json_file != "-":
        print_diff(make_console(), found, everything=everything)
    if html:
        from harness.core.files import write_named
        from harness.diff.page import diff_page
        from harness.results.faults import storage_faults

        with storage_faults(html, option="--html"):
            write_named(Path(html), diff_page(found).encode())
        echo(f"page: {html}", err=True)
    if json_file:
        import json

        from harness.diff.plain import diff_json
        from harness.reports.jsonout import write_text

        write_text(json_file, json.dumps(diff_json(found), indent=1, allow_nan=False) + "\n", option="--json")
