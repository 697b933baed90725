"""Every cell of an answer as a row: what it is to the answer, its figures, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.reports.answer.answer import Answer
from harness.reports.answer.candidate import Candidate
from harness.reports.answer.compare import Compared
from harness.reports.answer.words import compared_words, delta_words
from harness.reports.scores import score_text
from harness.reports.values import count_text, latency_text, size_text
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd

#: the head of what an inference costs, where times are told
COST = "median latency"
COLUMNS = (
    "role",
    "recipe",
    "backend",
    "score",
    "to the float model",
    "score group",
    COST,
    "size (bytes)",
    "why",
)


@dataclass(frozen=True, kw_only=True)
class AnswerRow:
    """One cell.

    Attributes:
        role: `pick`, `front` (no other makes it needless), `beaten`, `control` or `left out`.
        group: of its score, 1 for the best; None for cells that were not compared.
        why: what speaks for or against it; empty where the figures do.
    """

    record: CellRecord
    role: str
    group: int | None
    to_float: Compared | str | None
    why: str


def answer_rows(answer: Answer) -> list[AnswerRow]:
    """All cells of an answer: the pick, the front, what is beaten, controls, what is left out."""
    missed = {id(out.record): out.reason for out in answer.excluded if out.kind == "limit"}
    found = [_row(c, "pick" if c is answer.pick else "front", "") for c in answer.front]
    found += [_row(b.candidate, "beaten", f"{b.by.recipe} on {b.by.backend}: {b.reason}") for b in answer.beaten]
    found += [_row(c, "control", "") for c in answer.candidates if c.control]
    found += [_row(c, "left out", missed[id(c.record)]) for c in answer.candidates if id(c.record) in missed]
    found += [
        AnswerRow(record=out.record, role="left out", group=None, to_float=None, why=out.reason)
        for out in answer.excluded
        if out.kind != "limit"
    ]
    return found


def _row(candidate: Candidate, role: str, why: str) -> AnswerRow:
    return AnswerRow(
        record=candidate.record, role=role, group=candidate.layer + 1, to_float=candidate.to_float, why=why
    )


def answer_frame(answer: Answer) -> pd.DataFrame:
    """The rows as texts."""
    import pandas as pd

    rows = [
        (
            row.role,
            row.record.key.recipe,
            row.record.key.backend,
            score_text(row.record),
            _to_float(row),
            "" if row.group is None else str(row.group),
            latency_text(row.record),
            size_text(row.record.size_bytes),
            row.why,
        )
        for row in answer_rows(answer)
    ]
    columns = [_cost_head(answer) if name == COST else name for name in COLUMNS]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _cost_head(answer: Answer) -> str:
    """What an inference costs, by its name: boards that count instructions tell no time."""
    records = [row.record for row in answer_rows(answer)]
    counted = any(map(count_text, records)) and all(record.latency_median_ns is None for record in records)
    return "count per inference" if counted else COST


def _to_float(row: AnswerRow) -> str:
    if not isinstance(row.to_float, Compared):
        return ""
    told = compared_words(row.record, row.to_float)
    return told if row.role == "pick" else _short(row.record, row.to_float)


def _short(record: CellRecord, tested: Compared) -> str:
    """The difference with the p that it was judged by."""
    return f"{delta_words(record, tested.delta)} (p = {tested.p_holm:.2g})"
