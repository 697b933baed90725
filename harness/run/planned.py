"""Cells of microcontrollers: the model becomes what the board takes before it travels (a plan, mostly), or is refused here.

Nothing is pushed that the board cannot run: an op that its runtime lacks, or a model larger than its memory, is `unsupported`
with the op or the sizes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.boards.mcu.model import McuModel, mcu_model, too_large
from harness.core.errors import UnsupportedError, UserInputError
from harness.core.finding import Finding
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord
from harness.run.budget import Budget
from harness.run.cell import CellContext, new_record

if TYPE_CHECKING:
    from harness.boards.mcu.board import McuBoard
    from harness.run.execute import PlannedCell

#: runs a cell on the board, with retries, telling the board before each what comes; None when the run was interrupted
RunOnBoard = Callable[["PlannedCell", CellContext, "Callable[[McuBoard], None]"], CellRecord | None]
#: how many ops a reason names; `harness check` lists all
_REASONS = 4
#: the reference whose kernels the plan runtime equals to the bit (docs/internals/kernels.md)
EXACT_REFERENCE = "tflite-runtime 2.14.0 BUILTIN_REF"


def run_planned(
    cell: PlannedCell, context: CellContext, board: McuBoard, budget: Budget, *, run: RunOnBoard
) -> CellRecord | None:
    """Makes the cell's model ready for the board and runs it with `run`, or says why not."""
    from harness.tflite.graph import read_graph

    started_ns = time.perf_counter_ns()
    try:
        made = mcu_model(read_graph(cell.model.artifact.path), cell.model.artifact.path, board.facts)
        why_not = "; ".join(too_large(made, board.facts))
    except UnsupportedError as error:
        made, why_not = None, f"plan: {_told(error)}"
    except UserInputError as error:
        record = new_record(context, cell.key, cell.model)
        record.reason = str(error)
        return _ended(record, budget, started_ns)
    if made is None or why_not:
        record = new_record(context, cell.key, cell.model)
        record.outcome, record.reason = "unsupported", why_not if made is None else f"does not fit: {why_not}"
        if made is not None:
            record.arena_bytes, record.model_bytes = made.arena_bytes, made.size_bytes
        return _ended(record, budget, started_ns)
    available = min((i.count for i in cell.model.inputs), default=0)
    samples = min(available, context.samples or available)
    record = run(
        replace(cell, model=_pushed(cell.model, made)), context, lambda board: board.expect(made, samples=samples)
    )
    if record is not None:
        record.artifact_sha256, record.size_bytes = cell.model.artifact.sha256, cell.model.artifact.size_bytes
        _note_inexact(record, board)
    return record


def _told(error: UnsupportedError) -> str:
    """The first reasons, how many more there are, and what to do."""
    reasons = [str(replace(reason, hint=None)) for reason in getattr(error, "reasons", ())] or [error.what]
    shown = "; ".join(reasons[:_REASONS]) + (f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else "")
    return f"{shown} ({error.hint})" if error.hint else shown


def _ended(record: CellRecord, budget: Budget, started_ns: int) -> CellRecord:
    """A cell that is over before anything was pushed."""
    record.duration_ns = time.perf_counter_ns() - started_ns
    budget.cell_skipped()
    return record


def _pushed(model: PreparedModel, made: McuModel) -> PreparedModel:
    """The same model with what travels in the artifact's place: samples and references stay what they are."""
    return replace(
        model, artifact=replace(model.artifact, path=made.path, sha256=made.sha256, size_bytes=made.size_bytes)
    )


def _note_inexact(record: CellRecord, board: McuBoard) -> None:
    """The plan runtime promises the reference's outputs to the bit, which is more than what `wrong` is decided by."""
    if not board.facts.plans or record.reference != EXACT_REFERENCE or not record.max_lsb_diff:
        return
    record.findings.append(
        Finding(
            code="not-bit-exact",
            severity="error",
            where=record.key.text,
            what=f"outputs differ by up to {record.max_lsb_diff:g} LSB from {record.reference}; the plan runtime promises none",
            fix="a kernel, the plan or the serial link is at fault: run `harness devices check`, and another core",
        )
    )
