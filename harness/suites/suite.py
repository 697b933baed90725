"""What a test suite states: which workload, which recipes, and how much of its score a variant may lose."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserInputError
from harness.core.files import exists
from harness.core.located_yaml import load_node
from harness.reports.answer.limits import refuse_more_than_all

if TYPE_CHECKING:
    from harness.results.record import CellKey, CellRecord
    from harness.workloads.metrics.base import Metric


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A module-level `SUITE = Suite(...)` makes one test per cell out of `def test_cell(cell): cell.check()`.

    Attributes:
        workload: a published workload, or the path of your own model file; a relative one is looked for beside the suite, then
            in the current folder.
        recipes: names, globs, `core` or `all`; `--recipe` replaces them.
        max_accuracy_drop: largest accepted loss of accuracy against the float model on the same samples, where accuracy is the
            workload's metric.
        data: the .npz of a workload that is your own model file; looked for in the same places.
        metric: what such a model is judged by; None: what its output and labels ask for.
        max_score_drop: largest accepted worsening of the score, in its unit and whichever way is better, for any metric; None:
            `max_accuracy_drop` for accuracy, no bound for others.
    """

    workload: str
    recipes: tuple[str, ...] = ("core",)
    max_accuracy_drop: float = 0.02
    data: str | None = None
    metric: str | None = None
    max_score_drop: float | None = None


class CellUnsupported(AssertionError):
    """The cell's outcome is `unsupported`."""


class CellWrong(AssertionError):
    """The cell ran, but its outputs are not the reference's."""


class CellUndecided(AssertionError):
    """The cell ran, but its outputs cannot tell right from wrong."""


class CellNotDelegated(AssertionError):
    """The backend has a delegate, and it took none of the model's nodes: what ran is the CPU, under the delegate's name."""


class CellMisread(AssertionError):
    """The cell ran, and its score answers another question than was asked (docs/reference/questions.md)."""


class CellFailed(AssertionError):
    """The board or the link failed, not the model."""


class ScoreDrop(AssertionError):
    """The cell's score is further from the float model's than its suite accepts."""


class AccuracyDrop(ScoreDrop):
    """The same, where the score is the accuracy."""


#: what an expectation may name -> what the test raises then
EXPECTED_ERRORS: dict[str, type[AssertionError]] = {
    "unsupported": CellUnsupported,
    "wrong": CellWrong,
    "undecided": CellUndecided,
    "not-delegated": CellNotDelegated,
}


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A known outcome of some cells: a glob over `workload/recipe/device/backend`, the outcome, and why."""

    cell: str
    outcome: str
    reason: str


#: a drop whose McNemar test says more than this is what chance makes of so few samples; one of 32 is .03
CHANCE = 0.05


def check_record(
    record: CellRecord, max_accuracy_drop: float, *, max_score_drop: float | None = None, metric: Metric | None = None
) -> None:
    """Asserts what a suite promises of a finished cell: its outcome is ok, its backend's delegate took part, and its score is no
    further from the float model's than the bound, unless chance explains that (the metric's paired test on the same samples, p
    under `CHANCE`).

    Args:
        max_accuracy_drop, max_score_drop: see `Suite`.
        metric: the workload's, which words what is wrong with a score.

    Raises:
        CellUnsupported, CellWrong, CellUndecided, CellFailed, CellNotDelegated, AccuracyDrop, ScoreDrop, CellMisread: with the
            figures in the message.
        unittest.SkipTest: the cell is an estimate; there is nothing to assert.
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
    if record.outcome == "estimated":
        import unittest

        raise unittest.SkipTest(f"{record.key.text} is an estimate: nothing ran, and nothing was computed")
    _check_placement(record)
    is_accuracy = record.accuracy is not None
    bound = max_score_drop if max_score_drop is not None or not is_accuracy else max_accuracy_drop
    if is_accuracy and max_score_drop is not None:
        refuse_more_than_all(max_score_drop)  # it would pass whatever comes: points were meant
    _check_score(record, bound, metric)
    _check_question(record)


def _check_question(record: CellRecord) -> None:
    """A score that answers another question is no pass, the less so where there is no float model to hold it against."""
    from harness.workloads.checks.table import CODES

    asked = [f for f in record.findings if f.severity == "error" and f.code in CODES]
    if asked:
        found = "; ".join(f"{f.what} ({f.code}) -> {f.fix}" for f in asked)
        raise CellMisread(f"{record.key.text}: the score answers another question: {found}")


def _check_placement(record: CellRecord) -> None:
    """A backend that names a delegate stands for that delegate: its figures without it answer another question."""
    named = record.fingerprint.delegate if record.fingerprint is not None else None
    if named is None or record.delegated_nodes != 0:
        return
    reasons = list(dict.fromkeys(op.reason for op in record.fallback if op.reason))
    foreseen = (record.prediction or {}).get("delegated_nodes") == 0
    raise CellNotDelegated(
        f"{record.key.text}: the delegate {record.delegate_name or named} took 0 of {record.total_nodes} nodes, so all of it ran "
        f"on the CPU{' (as its table foretold)' if foreseen else ''}: {'; '.join(reasons) or 'the delegate does not say why'}"
    )


def _check_score(record: CellRecord, bound: float | None, metric: Metric | None) -> None:
    delta = record.accuracy_delta if record.score_delta is None else record.score_delta
    p = record.mcnemar_p if record.score_p is None else record.score_p
    if bound is None or delta is None:
        return
    loss = delta if record.metric_direction == "lower" else -delta
    if loss <= bound or (p is not None and p >= CHANCE):
        return
    test = f"p = {p:.3g}" if p is not None else "no paired test"
    if record.accuracy is not None:
        words = f"lost {loss:.4f} accuracy against the float model, more than the accepted {bound:g}"
        raise AccuracyDrop(
            f"{record.key.text} {words}: {record.accuracy:.4f} on {record.samples} samples; {record.only_float_right} only the "
            f"float model got right, {record.only_cell_right} only this variant (McNemar {test})"
        )
    name = (record.metric or "score").replace("_", " ")
    unit = f" {record.metric_unit}" if record.metric_unit else ""
    words = metric.bound_words(delta, bound) if metric else f"is {loss:g}{unit} worse in {name} than {bound:g} accepts"
    raise ScoreDrop(
        f"{record.key.text} {words}: {record.score:.4g}{unit} on {record.samples} samples ({record.score_test}, {test})"
    )


def in_folder(text: str, folder: Path) -> str:
    """A suite's path as it is found: beside the suite where there is such a file or folder, else as it was written."""
    beside = folder / Path(text).expanduser()
    is_path = "/" in text or bool(Path(text).suffix)
    return str(beside) if is_path and beside.exists() else text


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
    if not exists(path):
        return []
    try:
        entries = load_node(path) or []
    except UserInputError as error:
        raise UserInputError(f"not readable as YAML: {error.what}", where=error.where, hint=error.hint) from None
    if not isinstance(entries, list):
        raise UserInputError("must be a list of {cell, outcome, reason}", where=str(path))
    expectations = []
    for position, entry in enumerate(entries):
        where = f"{path}:{entries.lc.data[position][0] + 1}" if hasattr(entries, "lc") else str(path)
        if not isinstance(entry, dict) or set(entry) != {"cell", "outcome", "reason"}:
            raise UserInputError("an expectation has exactly the fields cell, outcome and reason", where=where)
        if not isinstance(entry["outcome"], str) or entry["outcome"] not in EXPECTED_ERRORS:
            raise UserInputError(
                f"outcome must be one of {', '.join(EXPECTED_ERRORS)}, not {str(entry['outcome'])[:60]!r}", where=where
            )
        if not str(entry["reason"]).strip():
            raise UserInputError("an expectation needs its reason", where=where)
        expectations.append(Expectation(cell=str(entry["cell"]), outcome=entry["outcome"], reason=str(entry["reason"])))
    return expectations
