"""One report: the records of a run (or any choice of cells) with everything that is said about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.reports import tables
from harness.reports.answer.answer import Answer, find_answers, not_run, place_of
from harness.reports.answer.evidence import NoEvidence, StoredEvidence
from harness.reports.audit_table import audit_table
from harness.reports.environment import environment_table
from harness.reports.identity import models_note, newest_per_model, told_apart
from harness.reports.outputs import outputs_table
from harness.reports.seeds import seeds_table
from harness.reports.starts import starts_table
from harness.reports.summary import Summary, summaries
from harness.reports.values import clean
from harness.results.layout import run_dir
from harness.results.objects import open_objects
from harness.results.overview import counts_text
from harness.results.record import CellKey, CellRecord, RunInfo

if TYPE_CHECKING:
    import pandas as pd

    from harness.reports.published import PublishedFigure


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Records with their run's plan; every form of report (console, Markdown, CSV, workbook) reads one of these.

    Attributes:
        records: one per cell key and model, oldest first, as they are stored.
        info: the run they belong to; None when they are of several.
        planned: what was to run; cells missing from the records are shown as not run.
        damaged: cells whose records are there and cannot be read any more.
        results: the results folder with what the cells answered and measured; None: records are all there is.
        asked: what answers are found from, where the records are a choice of some recipes or backends: all cells of
            their workloads and devices, since a pick among the shown ones alone would be no answer; None: the records.
        given: published figures to set beside the run's; None: those that it was begun with.
    """

    records: tuple[CellRecord, ...]
    info: RunInfo | None = None
    planned: tuple[CellKey, ...] = field(default=())
    damaged: frozenset[CellKey] = frozenset()
    results: Path | None = None
    asked: tuple[CellRecord, ...] | None = None
    given: tuple[PublishedFigure, ...] | None = None

    @staticmethod
    def of(
        records: Iterable[CellRecord],
        info: RunInfo | None = None,
        planned: Iterable[CellKey] | None = None,
        *,
        damaged: Iterable[CellKey] = (),
        results: Path | None = None,
        asked: Iterable[CellRecord] | None = None,
    ) -> Report:
        """A report on records; of several records of a key and a model the last one counts."""
        keys = planned if planned is not None else (info.planned if info else ())
        whole = tuple(newest_per_model(records))
        lost = frozenset(damaged) - {record.key for record in whole}
        plan = tuple(dict.fromkeys((*keys, *lost)))
        ask = None if asked is None else tuple(newest_per_model(asked))
        return Report(records=whole, info=info, planned=plan, damaged=lost, results=results, asked=ask)

    @cached_property
    def answers(self) -> list[Answer]:
        """What to ship, one answer per workload, dataset and device."""
        evidence = NoEvidence() if self.results is None else StoredEvidence(open_objects(self.results))
        if self.asked is None:
            missing = not_run(self.planned, [*(record.key for record in self.records), *self.damaged])
            return find_answers(self.sorted_records, evidence, missing=missing)
        places = {place_of(key) for key in (*self.planned, *(record.key for record in self.records))}
        asked = [record for record in self.asked if place_of(record.key) in places]
        plan = [key for key in (self.info.planned if self.info else ()) if place_of(key) in places]
        missing = not_run(plan, [*(record.key for record in asked), *self.damaged])
        return find_answers(tables.in_order(told_apart(asked)), evidence, missing=missing)

    @property
    def published(self) -> tuple[PublishedFigure, ...]:
        """Published figures that stand beside the run's."""
        return self._kept_published[0] if self.given is None else self.given

    @property
    def published_problem(self) -> str | None:
        """Why published figures are missing, in words."""
        return self._kept_published[1] if self.given is None else None

    @cached_property
    def _kept_published(self) -> tuple[tuple[PublishedFigure, ...], str | None]:
        from harness.reports.published_store import kept_published

        return kept_published(self.info, None if self.results is None else open_objects(self.results))

    @property
    def run_folder(self) -> Path | None:
        """Where the run's tables and models lie, once they are exported."""
        return None if self.results is None or self.run is None else run_dir(self.results, self.run)

    @property
    def run(self) -> str | None:
        """The run's id, where all records are of one run."""
        if self.info:
            return self.info.run
        runs = {record.run for record in self.records}
        return runs.pop() if len(runs) == 1 else None

    @cached_property
    def shown(self) -> list[CellRecord]:
        """The records as tables name them: two models of one name under two (harness.reports.identity)."""
        return told_apart(self.records)

    @cached_property
    def summaries(self) -> list[Summary]:
        known = {key: shown.key for key, shown in zip((r.key for r in self.records), self.shown, strict=True)}
        made = summaries(self.shown, [known.get(key, key) for key in self.planned], self.damaged)
        notes = [models_note(summary.workload, self.shown) for summary in made]
        return [replace(s, notes=(note, *s.notes)) if note else s for s, note in zip(made, notes, strict=True)]

    @cached_property
    def sorted_records(self) -> list[CellRecord]:
        """Workloads in order of appearance, recipes in table order, then devices."""
        return tables.in_order(self.shown)

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The long tables by their sheet's name, in the order of sheets."""
        return {
            "Cells": tables.cells_table(self.shown),
            "Problems": tables.problems_table(self.shown),
            **({"Outputs": outputs_table(self.shown)} if any(r.output_scores for r in self.shown) else {}),
            "Seeds": seeds_table(self.shown),
            "Starts": starts_table(self.shown),
            "Ops": tables.ops_table(self.shown),
            "Fallback": tables.fallback_table(self.shown),
            **({"Compiled": tables.compiled_table(self.shown)} if any(r.compiled for r in self.shown) else {}),
            **({"Microcontrollers": tables.mcu_table(self.shown)} if any(map(tables.is_mcu, self.shown)) else {}),
            "Findings": tables.findings_table(self.shown),
            "Audit": audit_table(self.shown),
            **self._explained(),
            "Environment": environment_table(self.shown, self.info),
        }

    def _explained(self) -> dict[str, pd.DataFrame]:
        """The sheet Explain, where a cell has an explanation."""
        if self.results is None or not any(record.explanation_object for record in self.shown):
            return {}
        from harness.reports.explained import explain_table

        return {"Explain": explain_table(self.shown, open_objects(self.results))}

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
