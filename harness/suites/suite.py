"""What a test suite states: which workload, which recipes, and how much accuracy a variant may lose."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError

if TYPE_CHECKING:
    from harness.results.record import CellKey, CellRecord


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A module-level `SUITE = Suite(...)` makes one test per cell out of `def test_cell(cell): cell.check()`.

    Attributes:
        workload: a published workload, or the path of your own model file.
        recipes: names, globs, `core` or `all`; `--recipe` replaces them.
        max_accuracy_drop: largest accepted loss of accuracy against the float model on the same samples.
        data: the .npz of a workload that is your own model file.
    """

    workload: str
    recipes: tuple[str, ...] = ("core",)
    max_accuracy_drop: float = 0.02
    data: str | None = None


class CellUnsupported(AssertionError):
    """The cell's outcome is `unsupported`."""


class CellWrong(AssertionError):
    """The cell ran, but its outputs are not the reference's."""


class CellUndecided(AssertionError):
    """The cell ran, but its outputs cannot tell right from wrong."""


class CellFailed(AssertionError):
    """The board or the link failed, not the model."""


class AccuracyDrop(AssertionError):
    """The cell lost more accuracy than its suite accepts."""


#: what an expectation may name -> what the test raises then
EXPECTED_ERRORS: dict[str, type[AssertionError]] = {
    "unsupported": CellUnsupported,
    "wrong": CellWrong,
    "undecided": CellUndecided,
}


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A known outcome of some cells: a glob over `workload/recipe/device/backend`, the outcome, and why."""

    cell: str
    outcome: str
    reason: str


#: a drop whose McNemar test says more than this is what chance makes of so few samples; one of 32 is .03
CHANCE = 0.05


def check_record(record: CellRecord, max_accuracy_drop: float) -> None:
    """Asserts what a suite promises of a finished cell: its outcome is ok, and no drop of accuracy beyond the bound that
    chance does not explain (McNemar's exact test on the same samples, p under `CHANCE`).

    Raises:
        CellUnsupported, CellWrong, CellUndecided, CellFailed, AccuracyDrop: with the figures in the message.
    """
    reason = record.reason or "no reason given"
    if record.outcome == "unsupported":
        raise CellUnsupported(f"{record.key.text} is unsupported: {reason}")
    if record.outcome == "wrong":
        raise CellWrong(f"{record.key.text} computes wrong outputs: {reason}")
    if record.outcome == "undecided":
        raise CellUndecided(f"{record.key.text} cannot be told right from wrong: {reason}")
    if record.outcome == "failed":
        raise CellFailed(f"{record.key.text} failed: {reason}")
    by_chance = record.mcnemar_p is not None and record.mcnemar_p >= CHANCE
    if record.accuracy_delta is not None and record.accuracy_delta < -max_accuracy_drop and not by_chance:
        raise AccuracyDrop(
            f"{record.key.text} lost {-record.accuracy_delta:.4f} accuracy against the float model, more than the accepted "
            f"{max_accuracy_drop:g}: {record.accuracy:.4f} on {record.samples} samples; {record.only_float_right} only the "
            f"float model got right, {record.only_cell_right} only this variant (McNemar p = {record.mcnemar_p:.3g})"
        )


def find_expectation(expectations: list[Expectation], key: CellKey) -> Expectation | None:
    """The first expectation whose glob fits the cell."""
    for expectation in expectations:
        if fnmatch.fnmatchcase(key.text, expectation.cell.replace("[", "[[]")):
            return expectation
    return None


def load_expectations(path: Path) -> list[Expectation]:
    """Reads `expectations.yaml`: a list of {cell, outcome, reason}.

    Raises:
        UserInputError: naming file and line, for anything else. A reason is a must.
    """
    if not path.is_file():
        return []
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        entries = YAML(typ="rt").load(path.read_text(encoding="utf-8")) or []
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserInputError(f"not readable as YAML: {error}", where=str(path)) from None
    if not isinstance(entries, list):
        raise UserInputError("must be a list of {cell, outcome, reason}", where=str(path))
    expectations = []
    for position, entry in enumerate(entries):
        where = f"{path}:{entries.lc.data[position][0] + 1}" if hasattr(entries, "lc") else str(path)
        if not isinstance(entry, dict) or set(entry) != {"cell", "outcome", "reason"}:
            raise UserInputError("an expectation has exactly the fields cell, outcome and reason", where=where)
        if entry["outcome"] not in EXPECTED_ERRORS:
            raise UserInputError(
                f"outcome must be one of {', '.join(EXPECTED_ERRORS)}, not {entry['outcome']!r}", where=where
            )
        if not str(entry["reason"]).strip():
            raise UserInputError("an expectation needs its reason", where=where)
        expectations.append(Expectation(cell=str(entry["cell"]), outcome=entry["outcome"], reason=str(entry["reason"])))
    return expectations
