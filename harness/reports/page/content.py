"""What a page says, gathered from a run's records, its judgement and the nights before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from harness.core.printable import one_line
from harness.reports.answer.models import MODELS_NAME, model_name
from harness.reports.answer.words import lines, sentence
from harness.reports.export_names import JSON_NAME, MARKDOWN_NAME, RAW_NAME, WORKBOOK_NAME
from harness.reports.night_view import MAX_CELLS, NightView
from harness.reports.page.cells import PageCell, by_urgency, cell_json, raw_of
from harness.reports.page.explained import explained
from harness.reports.page.graph import MAX_NODES, Graphs
from harness.reports.page.published import MAX_PUBLISHED, PublishedLine, published_lines
from harness.reports.page.samples import histogram
from harness.reports.page.trend import trend_of
from harness.reports.report import Report
from harness.reports.verdicts.export import JSON_NAME as VERDICT_JSON
from harness.reports.verdicts.export import MARKDOWN_NAME as VERDICT_MARKDOWN
from harness.reports.verdicts.words import boards, detectable, earlier, groups, headline, is_alarm, title_of
from harness.results.objects import open_objects
from harness.results.record import OUTCOMES, CellKey, CellRecord, Quality
from harness.results.trends import TREND_NIGHTS, Trends
from harness.verdict.command import bisection, reproduction
from harness.verdict.night import Judgement
from harness.verdict.verdict import Verdict

#: rows of a group of verdicts
MAX_VERDICTS = 200
_LINE = 600
#: files beside the page, and what they are
_FILES = (
    (WORKBOOK_NAME, "workbook"),
    (MARKDOWN_NAME, "summary"),
    ("cells.csv", "cells as CSV"),
    (JSON_NAME, "records as JSON"),
    (VERDICT_MARKDOWN, "verdict"),
    (VERDICT_JSON, "verdict as JSON"),
)


@dataclass(frozen=True, kw_only=True)
class VerdictLine:
    """One verdict of a group: its cell's name and number on the page (-1: not on it), and what is said."""

    cell: str
    number: int
    quantity: str
    reason: str
    since: str
    command: str
    open: bool
    alarm: bool
    finder: str = ""


@dataclass(frozen=True, kw_only=True)
class AnswerLine:
    """What to ship for a workload on a device, how that is known, and the model's file where it lies beside the page."""

    title: str
    device: str
    sentence: str
    lines: tuple[tuple[str, str], ...]
    picked: bool
    model: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A workload's cells: recipes down, devices and backends across; a field is a cell, or why there is none."""

    title: str
    workload: str
    score_head: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[PageCell | str, ...]], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """A page before it is HTML."""

    title: str
    subtitle: str
    counts: str
    headline: str
    state: str
    groups: tuple[tuple[str, tuple[VerdictLine, ...], int], ...] = ()
    boards: tuple[str, ...] = ()
    seen: str = ""
    answers: tuple[AnswerLine, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    cells: tuple[PageCell, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    published: tuple[PublishedLine, ...] = ()
    has_energy: bool = False
    left_out: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def content_of(report: Report, results_dir: Path, view: NightView, *, folders: Sequence[Path]) -> Content:
    """Everything that the page of a report says.

    Args:
        view: the run among the nights of its series.
        folders: where the files lie that will stand beside the page; none: nothing is linked.
    """
    judgement, trends, levels = view.judgement, view.trends, view.levels
    every = _cells(report, judgement, folders)
    cells = sorted(by_urgency(every)[:MAX_CELLS], key=lambda cell: cell.number)
    published = published_lines(cells, report.published)
    cells = _with_published(cells, published)
    number_of = {cell.stored.key: cell.number for cell in cells}
    objects, graphs = open_objects(results_dir), Graphs()
    data_cells = [
        cell_json(
            cell,
            graphs,
            {
                "trend": trend_of(cell.stored.key, trends, levels.get(cell.stored.key, ())),
                "histogram": histogram(cell.record, objects),
                "explained": explained(cell.record, objects),
            },
        )
        for cell in cells
    ]
    answers = _answers(report, number_of, folders)
    picks = [answer.number for answer in answers if answer.picked and answer.number >= 0]
    return Content(
        title=one_line(f"{'Night' if judgement is not None else 'Run'} {report.run or 'of several runs'}"),
        subtitle=_subtitle(report, judgement),
        counts=report.counts_text,
        headline=headline(judgement) if judgement is not None else "",
        state=_state(judgement),
        groups=_groups(judgement, number_of),
        boards=tuple(boards(judgement)) if judgement is not None else (),
        seen=_seen(judgement),
        answers=answers,
        matrices=_matrices(report, cells),
        cells=tuple(cells),
        files=tuple((name, words) for name, words in _FILES if any((f / name).is_file() for f in folders)),
        choices=_choices(cells),
        published=tuple(published[:MAX_PUBLISHED]),
        has_energy=any(cell.record.energy_nj is not None for cell in cells),
        left_out=(
            *_left_out(len(every), cells, trends, judgement, report),
            *_published_left_out(report, len(published)),
        ),
        data={
            "cells": data_cells,
            "graphs": graphs.graphs,
            "picks": picks,
            "nights": [[night.run, night.started_utc] for night in trends.nights],
        },
    )


def _with_published(cells: Sequence[PageCell], lines: Sequence[PublishedLine]) -> list[PageCell]:
    """The cells with what was published of each."""
    words: dict[int, list[str]] = {}
    for line in lines:
        words.setdefault(line.number, []).append(line.words)
    return [replace(cell, published=tuple(words.get(cell.number, ()))) for cell in cells]


def _state(judgement: Judgement | None) -> str:
    """What the headline is coloured by; empty without one."""
    if judgement is None:
        return ""
    if judgement.no_history is not None:
        return "unknown"
    return "worse" if judgement.open else "first" if judgement.first else "same"


def _cells(report: Report, judgement: Judgement | None, folders: Sequence[Path]) -> list[PageCell]:
    said: dict[CellKey, list[Verdict]] = {}
    for _, verdicts in groups(judgement) if judgement is not None else ():
        for verdict in verdicts:
            said.setdefault(verdict.key, []).append(verdict)
    for verdict in judgement.verdicts if judgement is not None else ():
        if verdict.status in ("same", "first"):
            said.setdefault(verdict.key, []).append(verdict)
    raw = {path.name for folder in folders for path in (folder / RAW_NAME).glob("*.npz")}
    stored = {id(shown): record for shown, record in zip(report.shown, report.records, strict=True)}
    options = _options(report)
    return [
        PageCell(
            number=number,
            record=record,
            stored=stored[id(record)],
            verdicts=tuple(said.get(stored[id(record)].key, ())),
            command=_command(stored[id(record)], said.get(stored[id(record)].key, ()), options),
            raw=raw_of(stored[id(record)], raw),
        )
        for number, record in enumerate(report.sorted_records)
    ]


def _options(report: Report) -> Mapping[str, Any]:
    options = report.info.environment.get("options") if report.info is not None else None
    return options if isinstance(options, Mapping) else {}


def _command(record: CellRecord, verdicts: Iterable[Verdict], options: Mapping[str, Any]) -> str:
    told = next((v.command for v in verdicts if v.command), None)
    return told or reproduction(record.key, options)


def _subtitle(report: Report, judgement: Judgement | None) -> str:
    info = report.info
    if info is None:
        return ""
    words = [f"started {info.started_utc[:16].replace('T', ' ')} UTC"]
    if info.series is not None:
        words.append(f"series {info.series}")
    if judgement is not None:
        words.append("compared with nothing" if judgement.no_history is not None else earlier(judgement))
    elif info.series is not None:
        words.append("not compared with the nights before")
    if info.state not in ("finished", "exporting"):
        words.append(info.state)
    return one_line(", ".join(words))


def _groups(
    judgement: Judgement | None, number_of: Mapping[CellKey, int]
) -> tuple[tuple[str, tuple[VerdictLine, ...], int], ...]:
    if judgement is None:
        return ()
    place = None if judgement.two_runs else judgement.place
    return tuple(
        (name, tuple(_line(v, number_of, place) for v in verdicts[:MAX_VERDICTS]), max(0, len(verdicts) - MAX_VERDICTS))
        for name, verdicts in groups(judgement)
    )


def _line(verdict: Verdict, number_of: Mapping[CellKey, int], place: str | None) -> VerdictLine:
    return VerdictLine(
        cell=one_line(verdict.key.text_with_seed),
        number=number_of.get(verdict.key, -1),
        quantity=title_of(verdict),
        reason=one_line(verdict.reason, _LINE),
        since=one_line(verdict.since),
        command=one_line(verdict.command),
        open=verdict.open,
        alarm=is_alarm(verdict),
        finder="" if place is None else one_line(bisection(verdict, place) or ""),
    )


def _seen(judgement: Judgement | None) -> str:
    found = detectable(judgement) if judgement is not None else []
    seen = sorted(cell.latency for cell in found if cell.latency is not None)
    if not seen:
        return ""
    middle = seen[len(seen) // 2]
    return f"A change of a latency of {middle:.1%} would have been seen in the median cell, of {seen[-1]:.1%} in the bluntest."


def _answers(report: Report, number_of: Mapping[CellKey, int], folders: Sequence[Path]) -> tuple[AnswerLine, ...]:
    numbers = {id(shown): number_of.get(r.key, -1) for shown, r in zip(report.shown, report.records, strict=True)}
    found = []
    for answer in report.answers:
        name = model_name(answer, report.answers)
        there = name is not None and any((folder / MODELS_NAME / name).is_file() for folder in folders)
        found.append(
            AnswerLine(
                title=one_line(answer.title),
                device=one_line(answer.device),
                sentence=one_line(sentence(answer)),
                lines=tuple((one_line(head), one_line(text, _LINE)) for head, text in lines(answer)),
                picked=answer.pick is not None,
                model=f"{MODELS_NAME}/{name}" if there else "",
                number=-1 if answer.pick is None else numbers.get(id(answer.pick.record), -1),
            )
        )
    return tuple(found)


def _matrices(report: Report, cells: Sequence[PageCell]) -> tuple[Matrix, ...]:
    """One per workload and dataset, in the order of the report; planned cells without a record stand as `not run`."""
    found = []
    shown = {id(cell.record): cell for cell in cells}
    planned = {(key.workload, key.dataset, key.recipe, key.device, key.backend) for key in report.planned}
    for summary in report.summaries:
        rows = []
        for row in summary.rows:
            fields: list[PageCell | str] = []
            for record, column, note in zip(row.cells, summary.columns, row.seed_notes, strict=True):
                asked = (summary.workload, summary.dataset, row.recipe, column.device, column.backend) in planned
                missing = note or ("not run" if asked else "")
                fields.append(missing if record is None else shown.get(id(record), "left out"))
            rows.append((one_line(row.recipe), tuple(fields)))
        if rows:
            columns = tuple(one_line(column.text) for column in summary.columns)
            notes = (summary.dataset_note, *summary.notes)
            found.append(
                Matrix(
                    title=one_line(summary.title),
                    workload=one_line(summary.workload),
                    score_head=one_line(summary.score_head),
                    columns=columns,
                    rows=tuple(rows),
                    notes=tuple(f"{one_line(note, _LINE).rstrip('.')}." for note in notes if note),
                )
            )
    return tuple(found)


def _choices(cells: Sequence[PageCell]) -> dict[str, list[str]]:
    """What can be filtered by: every name that occurs, in the order of the table."""
    return {
        "workload": list(dict.fromkeys(one_line(cell.record.key.workload) for cell in cells)),
        "device": list(dict.fromkeys(one_line(cell.record.key.device) for cell in cells)),
        "backend": list(dict.fromkeys(one_line(cell.record.key.backend) for cell in cells)),
        "quality": [word for word in get_args(Quality) if any(cell.quality == word for cell in cells)],
        "outcome": [name for name in OUTCOMES if any(cell.record.outcome == name for cell in cells)],
        "said": list(Counter(cell.said for cell in cells if cell.said)),
    }


def _published_left_out(report: Report, rows: int) -> list[str]:
    found = [report.published_problem] if report.published_problem is not None else []
    if rows > MAX_PUBLISHED:
        found.append(f"published figures beyond the first {MAX_PUBLISHED}: the workbook has all {rows}")
    return found


def _left_out(
    every: int, cells: Sequence[PageCell], trends: Trends, judgement: Judgement | None, report: Report
) -> tuple[str, ...]:
    """What the page does not hold, and where it is."""
    found = []
    if every > len(cells):
        found.append(
            f"{every - len(cells)} of {every} cells: a page holds {MAX_CELLS}, those of which something is worse first; "
            "the tables beside it have all"
        )
    if trends.nights:
        found.append(f"nights before the newest {TREND_NIGHTS}: `harness history CELL` has all")
    if any(len(cell.record.ops) > MAX_NODES for cell in cells):
        found.append(f"nodes of a model beyond the first {MAX_NODES}")
    found.append("single samples: a histogram counts those of all starts, up to their 99th percentile")
    if judgement is None and report.info is not None and report.info.series is None:
        found.append("trends and verdicts: only nights (`harness nightly`) have a history")
    return tuple(found)
