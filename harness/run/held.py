"""Cells of boards whose firmware holds its model (MLPerf Tiny): the cell's model must be that one, or nothing runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.boards.mlperf_tiny.model import RESULT_STEP, HeldModel, held_model
from harness.boards.mlperf_tiny.worker import lap_ns
from harness.core.errors import UnsupportedError
from harness.core.finding import Finding
from harness.core.tensor import TensorIo
from harness.prepare.prepared import PreparedModel
from harness.results.record import CellRecord
from harness.run.budget import Budget
from harness.run.cell import CellContext, new_record

if TYPE_CHECKING:
    from harness.boards.mlperf_tiny.board import MlperfTinyBoard
    from harness.run.execute import PlannedCell

#: runs a cell on the board, with retries, telling the board before each what comes; None when the run was interrupted
RunOnBoard = Callable[["PlannedCell", CellContext, "Callable[[MlperfTinyBoard], None]"], CellRecord | None]


def run_held(
    cell: PlannedCell, context: CellContext, board: MlperfTinyBoard, budget: Budget, *, run: RunOnBoard
) -> CellRecord | None:
    """Runs the cell with `run` when its model is the firmware's, or says why not."""
    started_ns = time.perf_counter_ns()
    artifact = cell.model.artifact
    try:
        held = held_model(
            board.profile,
            firmware=board.identity.model,
            workload=cell.key.workload,
            recipe=cell.key.recipe,
            path=artifact.path,
            sha256=artifact.sha256,
            inputs=artifact.inputs,
            outputs=artifact.outputs,
        )
    except UnsupportedError as error:
        record = new_record(context, cell.key, cell.model)
        record.outcome, record.reason = "unsupported", str(error)
        record.duration_ns = time.perf_counter_ns() - started_ns
        budget.cell_skipped()
        return record
    model = _scored(cell.model, held) if held.scored else _rounded(cell.model, held)
    record = run(replace(cell, model=model), context, lambda board: board.expect(held))
    if record is not None:
        record.output_dtype = artifact.outputs[0].dtype
        _note_latency(record, board)
    return record


def _scored(model: PreparedModel, held: HeldModel) -> PreparedModel:
    """The model as the firmware answers: one score per sample in place of the outputs, in the reference too. Labels have no
    meaning without a threshold, and the firmware has none.
    """
    reference = model.reference
    if reference is not None:
        outputs = reference.outputs[0]
        rows = np.load(model.inputs[0].path, mmap_mode="r", allow_pickle=False)[: len(outputs)]
        reference = replace(reference, outputs=(held.scores(np.asarray(rows), outputs),))
    score = TensorIo(name="mean squared error", dtype="float32", shape=(1, 1))
    finding = Finding(
        code="score-only",
        severity="info",
        where=f"{model.workload}/{model.recipe}",
        what=f"the firmware of {held.name} answers with the mean squared difference between input and output; that is compared "
        "with the reference's, and there is no accuracy",
        fix="measure the same .tflite on another runtime for its outputs",
    )
    return replace(
        model,
        artifact=replace(model.artifact, outputs=(score,)),
        reference=reference,
        labels=None,
        float_right=None,
        task="none",
        lsb=(None,),
        rounding_steps=(),
        findings=(*model.findings, finding),
    )


def _rounded(model: PreparedModel, held: HeldModel) -> PreparedModel:
    """Results have three decimals: where a quantization step is smaller, what they hide is no difference."""
    if held.exact:
        return model
    hidden = RESULT_STEP / held.output.scale
    finding = Finding(
        code="results-rounded",
        severity="info",
        where=f"{model.workload}/{model.recipe}",
        what=f"the firmware tells results with three decimals, and a step of the output is {held.output.scale:.3g}: outputs are "
        f"known to {hidden:.3g} LSB",
        fix="nothing can be done on this board",
    )
    steps = tuple(step + hidden for step in model.rounding_steps or (1.0,))
    return replace(model, rounding_steps=steps, findings=(*model.findings, finding))


def _note_latency(record: CellRecord, board: MlperfTinyBoard) -> None:
    """What a latency sample is here, and how much of it is not the inference."""
    if record.latency_median_ns is None:
        return
    batch = board.last_batch
    inferences = batch.inferences if batch is not None else 1
    share = lap_ns(board.baud) / max(1, inferences * record.latency_median_ns)
    record.findings.append(
        Finding(
            code="latency-of-batches",
            severity="warning" if share > 0.05 else "info",
            where=record.key.text,
            what=f"each of the {record.latency_samples} latency samples is the mean of {inferences} inferences between two "
            f"readings of the board's microsecond timer: percentiles are those of means; up to {share:.1%} of it is the "
            "printing of a line",
            fix="a higher baud rate makes that share smaller",
        )
    )
