"""The answers of a stored run, as `harness recommend` and the Python API ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.reports.answer.answer import Answer, find_answers, not_run
from harness.reports.answer.evidence import StoredEvidence
from harness.reports.answer.limits import Limits, Prefer, parse_drop, parse_latency_ns, parse_size_bytes
from harness.reports.filters import Filters, check_names, matching
from harness.reports.identity import told_apart
from harness.reports.tables import in_order
from harness.results.history import History
from harness.results.objects import ObjectStore, open_objects
from harness.results.running import settled
from harness.results.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """What was found.

    Attributes:
        run: the run's id.
        answers: one per workload, dataset and device.
        notes: what a reader should know first: damaged records, cells that have not run.
        objects: where the picked models lie.
    """

    run: str
    answers: list[Answer]
    notes: tuple[str, ...]
    objects: ObjectStore


def ask(results: Path, run: str, filters: Filters, limits: Limits) -> Asked:
    """What to ship of a stored run.

    Args:
        run: an id, the unique beginning of one, the name of a baseline, or `latest`.
        filters: only these workloads, devices and backends.

    Raises:
        UserInputError: an unknown run, or a filter that matches nothing.
    """
    with Store.open(results, create=False) as store:
        info = settled(store, store.run(History(store).run_of(run)))
        everything = store.cells(run=info.run)
        check_names(filters, info.planned, everything)
        chosen: dict[str, Any] = {name: tuple(patterns) for name, patterns in filters.items()}
        records = store.cells(run=info.run, **chosen)
        notes = [*store.damaged]
    missing = len(set(info.planned) - {record.key for record in everything})
    if missing:
        total = len(info.planned)
        notes.append(f"{missing} of {total} cells of run {info.run} have not run: the answer is without them")
    if not records:
        raise UserInputError(
            "the run has no cell that matches", where=info.run, hint="`harness report --list` shows the runs"
        )
    left = not_run(matching(info.planned, filters), [record.key for record in records])
    objects = open_objects(results)
    answers = find_answers(in_order(told_apart(records)), StoredEvidence(objects), limits, missing=left)
    return Asked(run=info.run, answers=answers, notes=tuple(notes), objects=objects)


def read_limits(given: Mapping[str, str | None], *, prefer: Prefer) -> Limits:
    """Limits as they are written on the command line.

    Args:
        given: text of `--max-drop`, `--max-latency` and `--max-size`; None where there is none.

    Raises:
        UserInputError: naming the one whose value cannot be read.
    """
    parsers = {"--max-drop": parse_drop, "--max-latency": parse_latency_ns, "--max-size": parse_size_bytes}
    found: dict[str, float | None] = {}
    for option, parse in parsers.items():
        text = given.get(option)
        try:
            found[option] = None if text is None else parse(text)
        except UserInputError as error:
            raise UserInputError(error.what, where=option, hint=error.hint) from error
    return Limits(
        max_drop=found["--max-drop"],
        max_latency_ns=found["--max-latency"],
        max_size_bytes=found["--max-size"],
        prefer=prefer,
    )
