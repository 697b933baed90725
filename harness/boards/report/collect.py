"""Asks a board, the results and this machine for what a report holds, and takes out of it what names people and places.

Nothing here needs the board to answer: what cannot be had is named in the report, and the rest is packed.
"""

from __future__ import annotations

import json
import platform
import re
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.boards.check import check_device
from harness.boards.connect import connect
from harness.boards.kind import CheckStep
from harness.boards.lease import lease
from harness.boards.profile.model import Profile
from harness.boards.report import here
from harness.boards.report.profile import hidden_profile, private_values
from harness.core.errors import HarnessError
from harness.core.fingerprint import Fingerprint
from harness.core.redact import Redactor
from harness.envs.hostenv import TextProgress
from harness.results.codec import record_to_json
from harness.results.record import CellRecord

#: what on this machine has a part in how a board is driven
_PACKAGES = ("tflite-hil-harness", "numpy", "paramiko", "cryptography", "pyserial", "pydantic", "sqlalchemy", "tflite")


@dataclass(frozen=True, kw_only=True)
class ReportFile:
    """One file of a report: its name, its text without private values, and what it is in one line."""

    name: str
    text: str
    about: str


@dataclass(kw_only=True)
class DeviceReport:
    """What is known of a device, ready to be sent.

    Attributes:
        device: its name, which stays as it is.
        files: in the order in which a reader wants them.
        problems: what could not be had, and why, without private values.
        taken: kind -> how many private values were taken out.
    """

    device: str
    files: list[ReportFile] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Asked:
    """What the board said, as it came."""

    steps: list[CheckStep] = field(default_factory=list)
    fingerprint: Fingerprint | None = None
    problem: str | None = None


def collect(
    profile: Profile,
    *,
    results: Path,
    records: int = 50,
    ask: bool = True,
    progress: TextProgress | None = None,
) -> DeviceReport:
    """Everything for a report on one device.

    Args:
        profile: the device.
        results: the folder where runs landed.
        records: at most so many of the device's newest records.
        ask: connect to the board and check it; without it only what is known here is told.
        progress: told of each step of the check, and of long waits.
    """
    asked = _ask(profile, progress) if ask else _Asked(problem="the board was not asked, as you wished")
    report = DeviceReport(device=profile.name)
    cells = _records(profile.name, results, records, report.problems)
    redactor = _redactor(profile, asked.steps)
    if asked.problem:
        report.problems.insert(0, asked.problem)
    report.problems = [redactor.text(problem) for problem in report.problems]

    def add(name: str, value: Any, about: str) -> None:
        text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
        report.files.append(ReportFile(name=name, text=text.rstrip("\n") + "\n", about=about))

    add("profile.json", hidden_profile(profile, redactor), "the profile in effect, local.yaml included")
    if asked.steps:
        failed = sum(not step.ok for step in asked.steps)
        add(
            "check.txt", _check_text(asked.steps, redactor), f"devices check: {len(asked.steps)} steps, {failed} failed"
        )
    add("board.json", redactor.value(_board(asked, cells)), "what the board says it is")
    add("versions.json", _versions(), "the harness, Python and packages on this machine")
    if cells:
        values = [redactor.value(_without_log(cell)) | {"key": asdict(cell.key)} for cell in cells]
        add("records.json", values, f"the newest {len(cells)} records of the device")
    for number, cell in enumerate(cells):
        if cell.board_log:
            name = f"logs/{number:02}-{_file_name(cell)}.txt"
            add(name, redactor.text(cell.board_log), f"board log of {cell.key.text}")
    report.taken = dict(sorted(redactor.taken.items()))
    return report


def _ask(profile: Profile, progress: TextProgress | None) -> _Asked:
    """Walks the check, then asks the board what it is. A board that does not answer is told of, not raised."""
    asked = _Asked()
    for step in check_device(profile, progress=progress):
        asked.steps.append(step)
        if progress:
            progress(f"{'ok  ' if step.ok else 'FAIL'} {step.name}")
    stopped = next((step for step in asked.steps if not step.ok and not step.name.startswith("backend")), None)
    if stopped:
        asked.problem = f"the board could not be used: {stopped.name}: {stopped.detail}"
        return asked
    try:
        with lease(profile, 0.0):
            board = connect(profile, progress=progress)
            try:
                asked.fingerprint = board.connect()
            finally:
                board.close()
    except HarnessError as error:
        asked.problem = f"the board did not say what it is: {error}"
    return asked


def _records(device: str, results: Path, limit: int, problems: list[str]) -> list[CellRecord]:
    """The newest records of the device, newest first. A missing or damaged store is a problem, not an error."""
    from harness.results.store import Store

    try:
        with Store.open(results, create=False) as store:
            found = store.cells(device=device)
    except HarnessError as error:
        problems.append(f"no records: {error}")
        return []
    if not found:
        problems.append(f"no records: no run of {results} has this device")
    return found[::-1][:limit]


def _redactor(profile: Profile, steps: list[CheckStep]) -> Redactor:
    """Knows everything private of the profile, of the board and of this machine; the device's own name stays."""
    redactor = Redactor()
    names = {profile.name, profile.name.partition("@")[0]}
    told = [("host", name) for step in steps for name in step.private]
    for kind, value in (*private_values(profile), *told, *here.private_values()):
        if value not in names:
            redactor.know(kind, [value])
    return redactor


def _check_text(steps: list[CheckStep], redactor: Redactor) -> str:
    return "".join(f"{'ok  ' if step.ok else 'FAIL'} {step.name}: {redactor.text(step.detail)}\n" for step in steps)


def _board(asked: _Asked, cells: list[CellRecord]) -> dict[str, Any]:
    """The fingerprint: the board's own words now, else those of its newest record."""
    if asked.fingerprint:
        return {"seen": "now", "fingerprint": asdict(asked.fingerprint)}
    for cell in cells:
        if cell.fingerprint:
            return {"seen": f"in run {cell.run}, {cell.started_utc}", "fingerprint": asdict(cell.fingerprint)}
    return {"seen": "never", "fingerprint": None}


def _versions() -> dict[str, Any]:
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = None
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "packages": packages,
    }


def _without_log(cell: CellRecord) -> dict[str, Any]:
    """The record's JSON; its log is a file of its own."""
    return {name: value for name, value in record_to_json(cell).items() if name != "board_log"}


def _file_name(cell: CellRecord) -> str:
    parts = (cell.key.workload, cell.key.recipe, cell.key.backend)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "__".join(parts))[:120]
