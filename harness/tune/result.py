"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ExitCode
from harness.reports.answer.answer import Answer
from harness.results.record import CellRecord
from harness.tune.explore import Exploration
from harness.tune.options import TuneOptions
from harness.tune.split import Split
from harness.tune.verdict import TuneVerdict


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """A finished search.

    Attributes:
        split: which samples it saw.
        exploration: what cheap errors said, and what the device was given for it.
        before: what the plain recipes offer, on the samples that the search did not see; its `front` is their Pareto set.
        after: the same with the searched variants.
        verdict: whether anything better was found, and what to take.
        records: every cell, of both halves.
        export: the folder with the tables; None where there is none.
        model: the winner's file there.
    """

    run: str
    options: TuneOptions
    split: Split
    exploration: Exploration
    before: Answer
    after: Answer
    verdict: TuneVerdict
    records: tuple[CellRecord, ...]
    results: Path
    export: Path | None
    model: Path | None

    @property
    def exit_code(self) -> int:
        """Whether the device or its link failed. Nothing better is a result and no failure."""
        return ExitCode.DEVICE_FAILED if any(r.outcome == "failed" for r in self.records) else ExitCode.DONE
