"""What a cell is asked beyond its own outputs: the scores behind a choice, and its ops one by one. Raw facts; judged later.

The ops are asked only where the outputs give a reason (harness/measure/judged.py) and are not right to the bit anyway, with at
most 32 samples, and only as long as the cell's deadline for evaluating allows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.boards.base import Board, Deadlines, WorkerFailure
from harness.core.errors import DeviceError, HarnessError, UnsupportedError
from harness.measure.alone import Alone
from harness.measure.judged import compare_exact, judge_cell
from harness.measure.op_cases import MAX_SAMPLES, OpCase, record_cases, uncheckable
from harness.measure.op_check import LATE, run_ops
from harness.measure.op_facts import OpFacts, OpsFacts
from harness.measure.reference import References
from harness.prepare.prepared import PreparedModel
from harness.run.measurement import CellContext, Measurement

Stage = Callable[[str], None]


def drive_checks(
    board: Board,
    context: CellContext,
    model: PreparedModel,
    original: PreparedModel,
    measurement: Measurement,
    *,
    limit_s: float,
    stage: Stage,
) -> None:
    """Asks a board that has just run a cell what judging the cell needs besides, and fills it in.

    Args:
        model: as the board answers, with what its outputs are judged by.
        original: before it took the board's form: what is cut.
        measurement: of the cell, which ended well.
        limit_s: no op is begun that would not end within so many seconds from now.

    Raises:
        DeviceError: the board or the link failed; what was found until then is filled in.
    """
    if measurement.evaluated is None or model.reference is None or not model.inputs:
        return
    ends = time.monotonic() + limit_s
    with tempfile.TemporaryDirectory(prefix="harness-alone-") as name:
        folder = Path(name)
        if original.scores is not None:
            stage("comparing scores")
            measurement.scores = _scores(board, context, original.scores, folder)
        if _asks_ops(model, measurement):
            stage("checking ops one by one")
            within = replace(context, deadlines=_within(context.deadlines, limit_s))
            _drive_ops(board, within, original, measurement, folder, lambda: ends - time.monotonic())


def _within(deadlines: Deadlines, limit_s: float) -> Deadlines:
    """Deadlines of single requests: an op that hangs takes no more than all ops together may."""
    most_s = max(1.0, limit_s)
    return replace(deadlines, load_s=min(deadlines.load_s, most_s), evaluate_s=min(deadlines.evaluate_s, most_s))


def _asks_ops(model: PreparedModel, measurement: Measurement) -> bool:
    assert measurement.evaluated is not None
    outputs = measurement.evaluated.outputs
    try:
        judged = judge_cell(model, outputs, measurement.scores, float16_accumulation=measurement.float16_accumulation)
        exact = compare_exact(model, outputs)
    except ValueError:
        return False  # outputs of another shape: no op explains that
    if judged is None or (judged.verdict != "wrong" and exact is not None and exact.settles):
        return False
    return judged.ask_ops


def _scores(board: Board, context: CellContext, scores: PreparedModel, folder: Path) -> tuple[np.ndarray, ...] | None:
    """The outputs of the model of the scores; None where the board cannot run it: then the choice alone is judged."""
    assert scores.reference is not None
    count = len(scores.reference.outputs[0])
    with Alone(board, context.backend, folder, context.deadlines) as alone:
        try:
            return alone.on_file(scores.artifact.file, scores.inputs, count, beginnings=scores.beginnings)
        except (WorkerFailure, UnsupportedError):
            return None


def _drive_ops(
    board: Board,
    context: CellContext,
    model: PreparedModel,
    measurement: Measurement,
    folder: Path,
    seconds_left: Callable[[], float],
) -> None:
    found: list[OpFacts] = []
    unchecked: tuple[int, ...] = ()
    problem: str | None = None
    (folder / "board").mkdir()
    try:
        from harness.tflite.graph import read_graph

        unchecked = uncheckable(read_graph(model.artifact.file))
        with Alone(board, context.backend, folder / "board", context.deadlines) as alone:
            for facts in run_ops(_cases(model, folder), alone, seconds_left=seconds_left):
                found.append(facts)
                if facts.skipped == LATE:
                    problem = LATE  # recording the inputs of further ops would take time, too
                    break
    except DeviceError as error:
        problem = f"the board was lost: {error}"
        raise
    except HarnessError as error:
        problem = error.what
    finally:
        measurement.ops = OpsFacts(ops=tuple(found), unchecked=unchecked, problem=problem)


class _HostFailed(HarnessError):
    """What ops are fed with and held against could not be worked out on this machine."""


def _cases(model: PreparedModel, folder: Path) -> Iterator[OpCase]:
    """The ops of a model with what they are fed, recorded on this machine.

    Raises:
        _HostFailed: they cannot be.
    """
    (folder / "host").mkdir()
    try:
        data = model.artifact.file.read_bytes()
        inputs = [np.load(file.path, mmap_mode="r", allow_pickle=False)[:MAX_SAMPLES] for file in model.inputs]
        with References() as references, references.float_runner(folder / "host") as run_float:
            yield from record_cases(data, inputs, run_float)
    except (HarnessError, OSError, ValueError) as error:
        what = error.what if isinstance(error, HarnessError) else str(error)
        raise _HostFailed(f"the inputs of its ops cannot be recorded on this machine ({what})") from error
