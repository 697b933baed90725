"""A night's judgement as the store has it: for reports that are made again, without a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from harness.results.history import ControlRow, History
from harness.results.record import CellRecord, RunInfo
from harness.verdict.boards import Controls
from harness.verdict.gone import carried
from harness.verdict.night import Judgement
from harness.verdict.past import CELL, Past, load_past
from harness.verdict.verdict import Verdict


def recall(history: History, info: RunInfo, records: Sequence[CellRecord]) -> Judgement | None:
    """The judgement of a night as it was stored; None of a run that nobody judged.

    What the store does not keep is not there: figures that only inform (load time, memory), and which quantities of a cell
    were the same. A cell of which nothing else is told stands as one verdict `same`.

    Args:
        records: of the night's cells.
    """
    rows = [] if info.series is None else history.verdicts(run=info.run)
    if info.series is None or not (rows or history.is_judged(info.run)):
        return None
    past = load_past(history, info.series, info.run, ())
    verdicts = [Verdict.from_json({**row.data, "key": asdict(row.key)}) for row in rows]
    told = {verdict.key for verdict in verdicts}
    usable = [record for record in records if record.outcome != "failed"]
    verdicts += [
        Verdict(key=record.key, quantity=CELL, status="same", gates=False, reason="nothing changed")
        for record in usable
        if record.key not in told
    ]
    verdicts += carried(past, {(v.key, v.quantity) for v in verdicts})
    done = {record.key for record in records}
    return Judgement(
        run=info.run,
        series=info.series,
        nights=len(past.nights),
        verdicts=verdicts,
        boards=[controls.verdict() for controls in _boards(history, info, records, past)],
        failed=[record for record in records if record.outcome == "failed"],
        not_run=[key for key in info.planned if key not in done],
        notes=list(past.notes),
    )


def _boards(history: History, info: RunInfo, records: Sequence[CellRecord], past: Past) -> list[Controls]:
    """What the control cells of each board say, from the sessions of that night and of those before it."""
    assert info.series is not None
    found = []
    for device in sorted({record.key.device for record in records}):
        tonight = history.controls(device, info.series, run=info.run)
        if not tonight:
            continue
        number = tonight[0].number
        before: list[ControlRow] = [
            row for row in history.controls(device, info.series, upto=number) if row.number < number
        ]
        found.append(Controls.of(device, before, tonight, past.boards.get(device)))
    return found
