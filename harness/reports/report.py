"""One report: the records of a run (or any choice of cells) with everything that is said about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from harness.reports import tables
from harness.reports.environment import environment_table
from harness.reports.scores import ACCURACY, delta_text, score_text
from harness.reports.seeds import seeds_table
from harness.reports.starts import starts_table
from harness.reports.summary import HEADLINE_MARGIN, Summary, answers, newest, summaries
from harness.reports.values import (
    clean,
    count_of,
    latency_text,
    size_text,
)
from harness.results.overview import counts_text
from harness.results.record import CellKey, CellRecord, RunInfo

if TYPE_CHECKING:
    import pandas as pd

_COST = "median latency"
ANSWER_COLUMNS = ["device / backend", "choice", "recipe", ACCURACY, "Δ float32", _COST, "size (bytes)"]
NO_ANSWER = "No cell ended ok with a number that answers the question, so there is nothing to recommend."


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Records with their run's plan; every form of report (console, Markdown, CSV, workbook) reads one of these.

    Attributes:
        records: one per cell key, oldest first.
        info: the run they belong to; None when they are of several.
        planned: what was to run; cells missing from the records are shown as not run.
        damaged: cells whose records are there and cannot be read any more.
    """

    records: tuple[CellRecord, ...]
    info: RunInfo | None = None
    planned: tuple[CellKey, ...] = field(default=())
    damaged: frozenset[CellKey] = frozenset()

    @staticmethod
    def of(
        records: Iterable[CellRecord],
        info: RunInfo | None = None,
        planned: Iterable[CellKey] | None = None,
        *,
        damaged: Iterable[CellKey] = (),
    ) -> Report:
        """A report on records; of several records of a key the last one counts."""
        keys = planned if planned is not None else (info.planned if info else ())
        whole = tuple(newest(records))
        lost = frozenset(damaged) - {record.key for record in whole}
        return Report(records=whole, info=info, planned=tuple(dict.fromkeys((*keys, *lost))), damaged=lost)

    @property
    def run(self) -> str | None:
        """The run's id, where all records are of one run."""
        if self.info:
            return self.info.run
        runs = {record.run for record in self.records}
        return runs.pop() if len(runs) == 1 else None

    @cached_property
    def summaries(self) -> list[Summary]:
        return summaries(self.records, self.planned, self.damaged)

    @cached_property
    def sorted_records(self) -> list[CellRecord]:
        """Workloads in order of appearance, recipes in table order, then devices."""
        return tables.in_order(self.records)

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The long tables by their sheet's name, in the order of sheets."""
        return {
            "Cells": tables.cells_table(self.records),
            "Problems": tables.problems_table(self.records),
            "Seeds": seeds_table(self.records),
            "Starts": starts_table(self.records),
            "Ops": tables.ops_table(self.records),
            "Fallback": tables.fallback_table(self.records),
            **({"Compiled": tables.compiled_table(self.records)} if any(r.compiled for r in self.records) else {}),
            **({"Microcontrollers": tables.mcu_table(self.records)} if any(map(tables.is_mcu, self.records)) else {}),
            "Findings": tables.findings_table(self.records),
            "Environment": environment_table(self.records, self.info),
        }

    @property
    def dataset_notes(self) -> list[str]:
        """One line per workload and dataset, for the head of tables that span workloads."""
        notes: dict[str, list[str]] = {}
        for s in self.summaries:
            notes.setdefault(clean(s.dataset_note) or s.dataset_name, []).append(s.workload)
        return [f"{', '.join(dict.fromkeys(workloads))}: {note}" for note, workloads in notes.items() if note]

    @property
    def not_run(self) -> int:
        """Planned cells without a record, also a damaged one."""
        return len(set(self.planned) - {record.key for record in self.records} - self.damaged)

    @property
    def counts_text(self) -> str:
        """`38 ok, 1 wrong, 2 unsupported, 1 damaged, 3 not run`."""
        counts = Counter[str](record.outcome for record in self.records)
        return counts_text(counts, damaged=len(self.damaged), not_run=self.not_run)


def answer_title(summaries: Iterable[Summary]) -> str:
    """The headline above the answers of some workloads: what is taken to be as good as the best."""
    heads = {(s.score_name, s.is_share) for s in summaries} or {(ACCURACY, True)}
    points = f"{100 * HEADLINE_MARGIN:.0f} {'point' if all(share for _, share in heads) else '%'}"
    names = {name for name, _ in heads}
    return f"Which recipe to take, within {points} of the best {names.pop() if len(names) == 1 else 'score'}"


def answers_frame(summary: Summary) -> pd.DataFrame:
    """The headline as texts: which recipe to take on each device and backend, with everything a latency needs beside it."""
    import pandas as pd

    rows = []
    for answer in answers(summary):
        r = answer.record
        rows.append(
            {
                "device / backend": answer.column.text,
                "choice": ", ".join(answer.merits),
                "recipe": r.key.recipe,
                ACCURACY: score_text(r),
                "Δ float32": delta_text(r),
                _COST: latency_text(r),
                "size (bytes)": size_text(r.size_bytes),
            }
        )
    return pd.DataFrame(rows, columns=ANSWER_COLUMNS, dtype=object).rename(
        columns={_COST: _cost_head(summary), ACCURACY: summary.score_head}
    )


def _cost_head(summary: Summary) -> str:
    """What the answers' costs are: a count is never called a latency."""
    counted = {count_of(answer.record) is not None for answer in answers(summary)}
    return {frozenset({True}): "count per inference", frozenset({True, False}): "median latency, or count"}.get(
        frozenset(counted), _COST
    )
