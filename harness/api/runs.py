"""Stored runs: `harness.load_run("latest").to_frame()`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.api.calls import PathLike, told
from harness.core.paths import results_dir
from harness.results.layout import run_dir
from harness.results.record import CellRecord, RunInfo

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from harness.api.questions import Comparison, Recommendation
    from harness.reports.report import Report
    from harness.session.session import RunResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A stored run.

    Attributes:
        id: such as `20261121-093000-a1b2`.
        info: when it began, what was asked for, how it ended.
        records: one per finished cell; every figure under the name that the published JSON has.
        results: the results folder.
        notes: what a reader should know first, such as damaged records; empty as a rule.
        project: what the call that ran it took from a `harness.toml`, in words; None for nothing.
    """

    id: str
    info: RunInfo
    records: tuple[CellRecord, ...]
    results: Path
    notes: tuple[str, ...] = field(default=())
    project: str | None = None

    def __repr__(self) -> str:
        return f"<harness run {self.id}: {self._report.counts_text}>"

    def __len__(self) -> int:
        return len(self.records)

    @property
    def path(self) -> Path:
        """The run's folder with page, workbook, tables and models; it may not be there for a run that never ended."""
        return run_dir(self.results, self.id)

    @property
    def outcomes(self) -> dict[str, int]:
        """Outcome -> how many cells have it; `not run` for what was planned and has no record."""
        counts = dict(Counter[str](record.outcome for record in self.records))
        return counts | ({"not run": self._report.not_run} if self._report.not_run else {})

    @property
    def tables(self) -> list[str]:
        """The names that `to_frame` takes, `cells` first."""
        return [name.lower() for name in self._report.frames]

    @told
    def to_frame(self, table: str = "cells") -> pd.DataFrame:
        """A table of the run.

        Args:
            table: `cells` (one row per cell, a column per published field), `problems`, `seeds`, `starts`, `ops`, `fallback`,
                `findings`, `audit`, `environment`, and where they apply `compiled` and `microcontrollers`.

        Returns:
            A frame of its own. Times are in nanoseconds, sizes in bytes, shares from 0 to 1; what does not apply is missing.

        Raises:
            UserInputError: no such table.
        """
        frames = {name.lower(): frame for name, frame in self._report.frames.items()}
        if table.lower() not in frames:
            from harness.core.errors import unknown_name

            raise unknown_name("table of this run", table, frames)
        return frames[table.lower()].copy()

    @told
    def summaries(self) -> dict[str, pd.DataFrame]:
        """The comparison of each workload: a row per recipe, columns (device / backend, value)."""
        from harness.reports.tables import summary_table

        return {summary.workload: summary_table(summary) for summary in self._report.summaries}

    @told
    def answers(self, cell: str) -> pd.DataFrame:
        """What one cell answered, sample by sample.

        Args:
            cell: `WORKLOAD/RECIPE/DEVICE/BACKEND`, and `/seedN` behind it for another seed.

        Returns:
            Index `sample` (its place in the test set); columns `label`, `answer`, `float_answer`, and `right` where answers
            are classes.

        Raises:
            UserInputError: no such cell, or its answers were not kept.
        """
        from harness.reports.answer.frame import answers_frame

        return answers_frame(self.record(cell), self.results)

    @told
    def latencies_ns(self, cell: str) -> np.ndarray:
        """The raw samples of one cell's time, int64 [n], in nanoseconds, in the order in which they were taken.

        Raises:
            UserInputError: no such cell, or it was not timed.
        """
        from harness.reports.answer.frame import raw_latencies_ns

        return raw_latencies_ns(self.record(cell), self.results)

    def record(self, cell: str) -> CellRecord:
        """The record of one cell.

        Raises:
            UserInputError: no such cell in this run; near names are suggested.
        """
        from harness.core.errors import unknown_name
        from harness.results.cellname import cell_name

        found = {cell_name(record.key): record for record in self.records}
        if cell not in found:
            raise unknown_name("cell of this run", cell, found)
        return found[cell]

    def recommend(self, **limits: Any) -> Recommendation:
        """What to ship of this run: `harness.recommend` with its limits."""
        from harness.api.questions import recommend

        return recommend(self.id, results=self.results, **limits)

    def compare(self, later: Run | str = "latest", **choice: Any) -> Comparison:
        """What became of this run's cells in a later one: `harness.compare`."""
        from harness.api.questions import compare

        return compare(self, later, results=self.results, **choice)

    @cached_property
    def _report(self) -> Report:
        from harness.reports.report import Report

        return Report.of(self.records, self.info, results=self.results)

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from html import escape

        heads = "".join(f"<h4>{escape(name)}</h4>{summary.to_html()}" for name, summary in self._texts().items())
        return f"<p>{escape(repr(self)[1:-1])}</p>{heads}"

    def _texts(self) -> dict[str, pd.DataFrame]:
        from harness.reports.tables import summary_text

        return {summary.workload: summary_text(summary) for summary in self._report.summaries}


@told
def load_run(run: str = "latest", *, results: PathLike | None = None) -> Run:
    """A stored run. Needs neither TensorFlow nor a board.

    Args:
        run: an id, the unique beginning of one, the name of a baseline, or `latest`.
        results: the results folder; None: `$HARNESS_RESULTS_DIR`, else `./results`.

    Raises:
        UserInputError: no such run; near names are suggested.
    """
    from harness.results.history import History
    from harness.results.running import settled
    from harness.results.store import Store

    folder = results_dir(results)
    with Store.open(folder, create=False) as store:
        info = settled(store, store.run(History(store).run_of(run)))
        records = tuple(store.cells(run=info.run))
        notes = tuple(store.damaged)
    return Run(id=info.run, info=info, records=records, results=folder, notes=notes)


@told
def runs(*, results: PathLike | None = None) -> pd.DataFrame:
    """Every run of a results folder, oldest first.

    Returns:
        Columns `run`, `started` (UTC), `state`, `series`, `planned`, `cells`, one per outcome, `damaged`, `not_run`, `command`.
    """
    from harness.reports.run_list import runs_frame
    from harness.results.overview import overview

    return runs_frame(overview(results_dir(results)))


def run_of(result: RunResult, project: str | None = None) -> Run:
    """A run that has just ended."""
    return Run(id=result.run, info=result.info, records=result.records, results=result.results, project=project)
