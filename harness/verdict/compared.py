"""Two stored runs, compared: what `harness compare` and the Python API say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ExitCode, UserInputError
from harness.results.cellname import find_cell
from harness.results.history import History
from harness.results.record import CellRecord
from harness.results.store import Store
from harness.verdict.night import Judgement
from harness.verdict.pair import compare_runs


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedRuns:
    """What became of the cells from one run to another.

    Attributes:
        before, after: the runs' ids.
        judgement: a verdict per cell and quantity.
        records: of the later run.
        notes: what a reader should know first.
    """

    before: str
    after: str
    judgement: Judgement
    records: tuple[CellRecord, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """Of the command: whether something got worse."""
        return ExitCode.WORSE if self.judgement.open else ExitCode.DONE


def compare_stored(results: Path, run_a: str, run_b: str, cells: Sequence[str] = ()) -> ComparedRuns:
    """Compares two runs of a results folder.

    Args:
        run_a, run_b: the earlier and the later one: ids, unique beginnings, names of baselines, or `latest`.
        cells: only these, as `WORKLOAD/RECIPE/DEVICE/BACKEND`.

    Raises:
        UserInputError: an unknown run or cell, or a run without a record of these cells.
    """
    notes = []
    with Store.open(results, create=False) as store:
        history = History(store)
        before, after = history.run_of(run_a), history.run_of(run_b)
        if before == after:
            notes.append(f"{run_a} and {run_b} are both run {before}: a run has no change from itself")
        wanted = {find_cell(store, text) for text in cells}
        records = [[r for r in store.cells(run=run) if not wanted or r.key in wanted] for run in (before, after)]
        for run, found in zip((before, after), records, strict=True):
            if not found:
                where = "of these cells" if wanted else "of any cell"
                raise UserInputError(f"run {run} has no record {where}", hint="`harness report --list` shows the runs")
        notes += store.damaged
        options = store.run(after).environment.get("options") or {}
        judgement = compare_runs(records[0], records[1], store.objects, options=options, name=f"{before} -> {after}")
    return ComparedRuns(before=before, after=after, judgement=judgement, records=tuple(records[1]), notes=tuple(notes))
