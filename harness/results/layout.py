"""What lies where in the results folder.

results/store.sqlite          every run and cell; a shared store is elsewhere (harness/results/place.py)
results/objects/ab/SHA.npz    sample ids, outputs and raw latency samples, content-addressed
results/RUN/                  the exports of one run: index.html, comparison.xlsx, summary.md, *.csv, run.json, raw/*.npz
results/assets/               the script that draws the plots of all pages
results/latest                link to the newest exported run
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from harness.core.errors import UserInputError
from harness.core.files import write_bytes_atomic
from harness.results.faults import storage_faults

STORE_NAME = "store.sqlite"
LATEST_NAME = "latest"
OBJECTS_NAME = "objects"
#: what could not be sent to a shared store; the next command that opens it does
UNMERGED_NAME = "unmerged.sqlite"
ASSETS_NAME = "assets"


def utc_now() -> str:
    """The time of a record, such as `2026-11-21T09:30:00.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_run_id() -> str:
    """A run's name, sortable by time (UTC) and unique among runs started in the same second: `20261121-093000-a1b2`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def store_path(results_dir: Path) -> Path:
    return Path(results_dir) / STORE_NAME


def run_dir(results_dir: Path, run: str) -> Path:
    """The folder of one run's exports.

    Raises:
        UserInputError: for a run name that would leave the results folder.
    """
    if (
        not run
        or run in (".", "..", LATEST_NAME, OBJECTS_NAME, ASSETS_NAME)
        or run.startswith(".")
        or "/" in run
        or "\0" in run
    ):
        raise UserInputError(f"'{run}' cannot be the name of a run", hint="run ids look like 20261121-093000-a1b2")
    return Path(results_dir) / run


def ensure_writable(results_dir: Path, *existing: str) -> None:
    """Makes the results folder and proves that files can be made in it, before a run spends any work.

    Args:
        existing: files in it that must be writable too, where they exist.

    Raises:
        UserInputError: it is read-only, not a folder, or something stands where the link to the newest run belongs.
        HarnessError: the disk is full.
    """
    with storage_faults(Path(results_dir)):
        Path(results_dir).mkdir(parents=True, exist_ok=True)
        check_latest(Path(results_dir))
        (Path(results_dir) / OBJECTS_NAME).mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=results_dir, prefix=".tmp-")
        try:
            os.write(handle, b"\0" * 4096)
        finally:
            os.close(handle)
            os.unlink(name)
        for path in (Path(results_dir) / file for file in existing):
            if path.exists():
                path.open("r+b").close()


def check_latest(results_dir: Path) -> None:
    """Proves that `results/latest` can be made to lead to a run: there is nothing yet, or a link or file that may be replaced.

    Raises:
        UserInputError: a real folder (or a pipe, a device) has that name, which nobody's run may delete.
    """
    latest = results_dir / LATEST_NAME
    if latest.is_symlink() or not latest.exists() or latest.is_file():
        return
    raise UserInputError(
        "a real folder stands where the link to the newest run belongs"
        if latest.is_dir()
        else "is no link and no file",
        where=str(latest),
        hint="move it away, or give another folder with --results",
    )


def point_latest(results_dir: Path, run: str) -> None:
    """Makes `results/latest` lead to the run's folder: a symbolic link, or a text file where links are not possible."""
    results_dir = Path(results_dir)
    latest = results_dir / LATEST_NAME
    with storage_faults(latest):
        check_latest(results_dir)
        temporary = results_dir / f".tmp-latest-{secrets.token_hex(4)}"
        try:
            os.symlink(run, temporary, target_is_directory=True)
            os.replace(temporary, latest)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            write_bytes_atomic(latest, f"{run}\n".encode())


def latest_dir(results_dir: Path) -> Path | None:
    """The folder that `results/latest` leads to, or None when nothing was exported yet."""
    latest = Path(results_dir) / LATEST_NAME
    if latest.is_dir():
        return latest.resolve()
    if latest.is_file():
        named = run_dir(results_dir, latest.read_text(encoding="utf-8").strip())
        return named if named.is_dir() else None
    return None
