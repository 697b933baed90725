"""One zip file of a report, which says itself what it holds; an existing file is never replaced."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from harness.boards.report.collect import DeviceReport
from harness.core.errors import UserInputError

README_NAME = "README.txt"
_HEAD = """\
How the harness fared with a device that somebody tried: {device}.
Made by `harness devices report {device}`. Nothing in here was sent anywhere by the harness.

Taken out, each replaced by its kind in brackets: addresses, hosts, users, ports, paths of keys and of homes, values of
environment variables, and whatever looks like one of them.
Left in: the device's name, titles, paths of the board's system, and the names of workloads, recipes and runs.
Please read through it before you send it.
"""


def require_free(path: Path) -> None:
    """Ends a command before the board is asked when its report would replace a file.

    Raises:
        UserInputError: something stands there already, or the folder does not exist.
    """
    if path.exists() or path.is_symlink():
        raise UserInputError(
            "exists already and is not replaced", where=str(path), hint="name another file with --output"
        )
    if not path.parent.is_dir():
        raise UserInputError(
            "there is no such folder", where=str(path.parent), hint="make it, or name another --output"
        )


def write_report(report: DeviceReport, path: Path) -> None:
    """Writes the report as one zip file.

    Raises:
        UserInputError: something stands there already, or the file cannot be written.
    """
    data = _zipped(report)
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError:
        require_free(path)
        raise
    except OSError as error:
        raise UserInputError(f"the report cannot be written: {error.strerror or error}", where=str(path)) from None


def readme_text(report: DeviceReport) -> str:
    """What is in a report, what was taken out of it, and what could not be had."""
    width = max(len(file.name) for file in report.files)
    files = [f"  {file.name:<{width}}  {file.about}" for file in report.files]
    lines = [_HEAD.format(device=report.device), "Files:", *files, "", f"Taken out: {taken_text(report)}."]
    if report.problems:
        lines += ["", "Not to be had:", *(f"  {problem}" for problem in report.problems)]
    return "\n".join(lines) + "\n"


def taken_text(report: DeviceReport) -> str:
    """What was taken out, by kind: `address 3, host 12`."""
    return ", ".join(f"{kind} {count}" for kind, count in report.taken.items()) or "nothing was found"


def _zipped(report: DeviceReport) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(README_NAME, readme_text(report))
        for file in report.files:
            archive.writestr(file.name, file.text.encode("utf-8", "backslashreplace"))
    return buffer.getvalue()
