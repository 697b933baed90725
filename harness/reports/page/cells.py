"""The cells of a page: what its tables show of each, in words, and what its plots draw of each, in numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.printable import one_line
from harness.reports.export_names import RAW_NAME, raw_name
from harness.reports.fallback import NOT_TOLD
from harness.reports.page.graph import Graphs, op_times, places
from harness.reports.scores import (
    delta_text,
    lower_is_better,
    main_head,
    output_records,
    score_interval_of,
    score_of,
    score_text,
    title_of,
    value_text,
)
from harness.reports.values import (
    BASIS_TEXT,
    clean,
    count_bounds_text,
    count_of,
    count_text,
    duration_text,
    energy_figures,
    latency_text,
    memory_text,
    mlperf_text,
    outcome_word,
    placement_text,
    size_text,
    surroundings_text,
)
from harness.reports.verdicts.words import is_suspect
from harness.results.record import CellRecord
from harness.verdict.verdict import STATUSES, Verdict

#: characters of a reason, a finding and a verdict on the page; the tables beside it have all of them
_REASON, _FINDING = 600, 400
#: findings and fallback rows of a cell
_ROWS = 60


@dataclass(frozen=True, kw_only=True)
class PageCell:
    """One cell: its record as tables name it, its place on the page, and the most urgent of what was said of it.

    Attributes:
        number: counts the page's cells from 0; its anchor is `cell-NUMBER`.
        record: as shown (two models of one name under two); `stored` is the record as the store has it.
        verdicts: of the night's judgement, the most urgent first.
        command: reproduces the cell.
        raw: the file of its raw samples beside the page; None where it has none.
        published: what somebody published of it, in words.
    """

    number: int
    record: CellRecord
    stored: CellRecord
    verdicts: tuple[Verdict, ...] = ()
    command: str | None = None
    raw: str | None = None
    published: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return one_line(self.record.key.text_with_seed)

    @property
    def recipe(self) -> str:
        """The row of its matrix: the recipe, and the seed where it is not 0."""
        key = self.record.key
        return one_line(f"{key.recipe} seed {key.seed}" if key.seed else key.recipe)

    @property
    def column(self) -> str:
        return one_line(f"{self.record.key.device} / {self.record.key.backend}")

    @property
    def said(self) -> str:
        """The most urgent word of the night's judgement; empty where nothing was judged."""
        if not self.verdicts:
            return ""
        if any(v.open for v in self.verdicts):
            return "worse"
        # What only informs is told in the cell's own verdicts, and colours nothing; a suspect is what somebody may look at.
        told = ("first", "new level", "same")
        counted = [v.status for v in self.verdicts if v.gates or v.status in told or is_suspect(v)]
        return min(counted, key=STATUSES.index, default="same")

    @property
    def outcome(self) -> str:
        return outcome_word(self.record)

    @property
    def score(self) -> str:
        return clean(value_text(self.record, score_of(self.record))) or clean(score_text(self.record))

    @property
    def other_scores(self) -> str:
        """The further outputs' scores by their names; empty where one output is judged."""
        others = output_records(self.record)[1:]
        return clean("; ".join(f"{name} {value_text(one, score_of(one))}" for name, one in others))

    @property
    def delta(self) -> str:
        return clean(delta_text(self.record))

    @property
    def cost(self) -> str:
        """What an inference costs, short; the whole figure with samples and placement is `latency`."""
        return count_text(self.record) or duration_text(self.record.latency_median_ns)

    @property
    def latency(self) -> str:
        return latency_text(self.record)

    @property
    def quality(self) -> str:
        """What the board was like while it was timed; empty beside a count, which no neighbour changes."""
        return clean(self.record.quality) if self.record.latency_median_ns is not None else ""

    @property
    def beside(self) -> str:
        """What stands under the cost: quality, and what the time is a time of."""
        return ", ".join(word for word in (self.quality, self.basis) if word)

    @property
    def basis(self) -> str:
        """What the time is a time of, where it is not the board's own clock."""
        basis = self.record.time_basis
        return "" if basis in (None, "device") or not self.cost else BASIS_TEXT[basis]

    @property
    def sort(self) -> dict[str, float | None]:
        """The numbers that the table's columns are sorted by."""
        record = self.record
        return {
            "score": score_of(record),
            "cost": number(record.latency_median_ns if record.latency_median_ns is not None else count_of(record)),
            "size": record.size_bytes,
        }

    @property
    def size(self) -> str:
        return size_text(self.record.size_bytes)

    @property
    def placement(self) -> str:
        return placement_text(self.record) if self.record.total_nodes or self.record.delegate_name else ""

    @property
    def reason(self) -> str:
        return one_line(self.record.reason, _REASON)


def number(value: float | None) -> float | None:
    """A figure as JSON takes it: NaN and infinities are none."""
    return None if value is None or not math.isfinite(value) else value


def cell_json(cell: PageCell, graphs: Graphs, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's scripts know of a cell.

    Args:
        extra: its trend and histogram, where there are any.
    """
    record, key = cell.record, cell.record.key
    low, high = score_interval_of(record)
    times = op_times(record.ops, record.layer_unit)
    return {
        "id": cell.number,
        "name": cell.name,
        "workload": one_line(key.workload),
        "recipe": cell.recipe,
        "device": one_line(key.device),
        "backend": one_line(key.backend),
        "outcome": record.outcome,
        "said": cell.said,
        "basis": record.time_basis,
        "basis_text": BASIS_TEXT.get(record.time_basis or "", "time"),
        "score": number(score_of(record)),
        "score_low": number(low),
        "score_high": number(high),
        "score_title": clean(main_head([record])) if score_of(record) is not None else clean(title_of(record)),
        "lower": lower_is_better(record),
        "latency_ns": number(record.latency_median_ns),
        "latency_low_ns": number(record.latency_median_low_ns),
        "latency_high_ns": number(record.latency_median_high_ns),
        "quality": cell.quality,
        "count": number(count_of(record)),
        "count_unit": "cycles" if record.instructions is None else "instructions",
        "size_bytes": number(record.size_bytes),
        "energy_nj": number(record.energy_nj),
        "energy_low_nj": number(record.energy_low_nj),
        "energy_high_nj": number(record.energy_high_nj),
        "instrument": one_line(record.energy_instrument) if record.energy_nj is not None else "",
        "reason": cell.reason,
        "facts": [[name, text] for name, text in _facts(cell) if text],
        "verdicts": [
            {"quantity": v.quantity, "status": v.status, "open": v.open, "reason": one_line(v.reason, _REASON)}
            for v in cell.verdicts
        ],
        "findings": [
            [f.severity, one_line(f.where), one_line(f.what, _FINDING), one_line(f.fix, _FINDING)]
            for f in record.findings[:_ROWS]
        ],
        "fallback": [
            [op.node, one_line(op.op), one_line(op.reason, _REASON) or NOT_TOLD] for op in record.fallback[:_ROWS]
        ],
        "graph": graphs.add(record.ops),
        "ran": [one_line(place) for place in places(record.ops)],
        "op_times": None if times is None else {"what": times[0], "values": [number(v) for v in times[1]]},
        "command": one_line(cell.command),
        "raw": cell.raw,
        **extra,
    }


def _facts(cell: PageCell) -> Iterable[tuple[str, str]]:
    record = cell.record
    yield "Outcome", cell.outcome
    yield clean(title_of(record)).capitalize(), clean(score_text(record))
    yield "Against the float model", cell.delta
    yield "Cost of an inference", cell.latency
    yield "Counted, least to most", count_bounds_text(record)
    yield "Time is", cell.basis
    yield "While timing", surroundings_text(record)
    yield "First invoke", duration_text(record.first_invoke_ns)
    yield "Load", duration_text(record.load_ns)
    yield "MLPerf Tiny", mlperf_text(record)
    yield "Energy of an inference", energy_figures(record)
    yield "Published", "; ".join(cell.published)
    yield "Size", f"{cell.size} bytes" if cell.size else ""
    yield "Memory", memory_text(record)
    yield "Placement", cell.placement
    yield "Runtime", clean(record.fingerprint.runtime) if record.fingerprint else ""
    yield "Artifact", (record.artifact_sha256 or "")[:12]
    yield "Rule", one_line(record.reference_rule, _REASON)


def raw_of(record: CellRecord, present: Iterable[str]) -> str | None:
    """The address of a cell's raw samples beside the page; None where the file is not there."""
    name = raw_name(record)
    return f"{RAW_NAME}/{name}" if name in present else None


def by_urgency(cells: Sequence[PageCell]) -> list[PageCell]:
    """Those of which something is worse first; else in their order."""
    rank = {"worse": 0, "vanished": 0, "suspect": 1, "better": 2, "new level": 2}
    return sorted(cells, key=lambda cell: (rank.get(cell.said, 3), cell.number))
