"""`harness data`: which datasets the workloads would use, downloads on request, and a check of files of one's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.out import echo

if TYPE_CHECKING:
    from rich.progress import Progress

DATA_DIR_OPTION = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder with mnist.npz or cifar10.npz; else $HARNESS_DATA_DIR.",
)


@click.group(name="data")
def command() -> None:
    """Show, fetch and check datasets.

    Nothing is ever downloaded without `harness data fetch`: without data, scikit-learn's bundled digits serve, and every
    table says so.
    """


@command.command(name="list")
@DATA_DIR_OPTION
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def list_datasets(data_dir: Path | None, as_json: bool) -> None:
    """What each workload would use: from where, how many samples, which digest."""
    from harness.workloads.listing import dataset_rows

    rows = dataset_rows(data_dir)
    if as_json:
        echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        echo(row["workload"])
        for key in ("dataset", "note", "from", "digest"):
            echo(f"  {key:<8} {row[key]}")


@command.command()
@click.argument("name")
@click.option("--url", default=None, help="A mirror that holds the same file.")
@click.option("--sha256", default=None, help="Expect this SHA-256 instead of the published file's.")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder for the file; else the harness' cache, where it is found by itself.",
)
@click.option("--force", is_flag=True, help="Download again when the file is there.")
def fetch(name: str, url: str | None, sha256: str | None, folder: Path | None, force: bool) -> None:
    """Download a public dataset: mnist (11 MB) or cifar10 (170 MB)."""
    from harness.workloads.fetch import fetch_dataset

    with _Bar(f"fetching {name}") as bar:
        done = fetch_dataset(name, url=url, sha256=sha256, folder=folder, force=force, on_progress=bar.update)
    echo(f"{'already there' if done.was_there else 'stored'}: {done.path}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", default=None, help="Your model: check that the samples fit it.")
def check(file: Path, model: str | None) -> None:
    """Check samples (.npz, .csv, folder of images or sounds, module:function); with --model also that the model takes them."""
    from harness.workloads.described import described_samples

    for line in described_samples(file, model=None if model is None else Path(model)):
        echo(line)


class _Bar:
    """A download's progress bar on stderr; silent where nobody looks."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._progress: Progress | None = None

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            from harness.core.safe_console import SafeConsole

            columns = (TextColumn(self._title), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, console=SafeConsole(stderr=True))
            self._progress.add_task(self._title, total=None)
            self._progress.start()
        return self

    def update(self, done_bytes: int, total_bytes: int | None) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done_bytes, total=total_bytes)

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()
