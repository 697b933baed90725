"""`harness devices report`: one file for whoever tries a real board, without what names people and places."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import results_options
from harness.cli.out import echo
from harness.cli.targets import Target


@click.command("report")
@click.argument("name")
@click.option("--output", type=Target(), help="The file to write. Default: ./NAME-report.zip.")
@results_options
@click.option("--records", default=50, show_default=True, type=click.IntRange(min=0), help="So many of the newest.")
@click.option("--no-connect", is_flag=True, help="Leave the board alone: only what is known here.")
@click.option("--devices-dir", type=click.Path(), help="A folder with device profiles, searched first.")
@click.option("--emulated", is_flag=True, help="Report on the device's emulated twin.")
def report_command(
    name: str,
    output: str | None,
    results: str | None,
    records: int,
    no_connect: bool,
    devices_dir: str | None,
    emulated: bool,
) -> int:
    """Pack what is known of a device into one file that can be sent to others.

    It holds the profile, the steps of `devices check`, what the board says it is, versions, the newest records and the
    board's logs. Addresses, hosts, users, ports, paths of keys and homes and values of environment variables are taken out.
    A board that does not answer is told of, and the rest is packed. Nothing is sent anywhere.
    """
    from harness.boards.report.collect import collect
    from harness.boards.report.pack import README_NAME, require_free, taken_text, write_report
    from harness.boards.resolve import get_profile
    from harness.core.paths import results_dir

    profile = get_profile(name, devices_dir, emulated=emulated)
    path = Path(output or f"{profile.name}-report.zip")
    require_free(path)
    report = collect(
        profile,
        results=results_dir(results),
        records=records,
        ask=not no_connect,
        progress=lambda line: echo(f"       {line}", err=True),
    )
    write_report(report, path)
    echo(f"wrote {path}:")
    width = max(len(file.name) for file in report.files)
    echo(f"  {README_NAME:<{width}}  what is in it and what was taken out")
    for file in report.files:
        echo(f"  {file.name:<{width}}  {file.about}")
    echo(f"taken out: {taken_text(report)}")
    for problem in report.problems:
        echo(f"note: {problem}")
    echo("read through it before you send it: it names the device, your workloads and your recipes")
    return 0
