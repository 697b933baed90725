"""Single cells as pandas: what a cell answered sample by sample, its raw times; and answers and runs as tables of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.core.errors import UserInputError
from harness.reports.answer.answer import Answer
from harness.reports.answer.compare import Compared
from harness.reports.answer.evidence import StoredEvidence
from harness.reports.answer.rows import AnswerRow, answer_rows
from harness.reports.scores import score_of
from harness.results.objects import open_objects
from harness.results.record import CellRecord

if TYPE_CHECKING:
    import pandas as pd


def answers_frame(record: CellRecord, results: Path) -> pd.DataFrame:
    """What a cell answered: index `sample`, columns `label`, `answer`, `float_answer` (where there is a float model), and
    `right` where answers are classes.

    Raises:
        UserInputError: there are no answers, or they cannot be read; says why.
    """
    import pandas as pd

    found = StoredEvidence(open_objects(results)).answers(record)
    if isinstance(found, str):
        raise UserInputError(f"no answer of this cell can be shown: {found}", where=record.key.text_with_seed)
    columns = {"label": _column(found.labels), "answer": _column(found.answers)}
    if found.float_answers is not None:
        columns["float_answer"] = _column(found.float_answers)
    if found.metric.classes:
        columns["right"] = found.answers == found.labels
    return pd.DataFrame(columns, index=pd.Index(found.ids, name="sample"))


def _column(values: np.ndarray) -> Any:
    """A value per sample; a sample of several values has them as an array."""
    flat = values.reshape(len(values), -1)
    return flat[:, 0] if flat.shape[1] == 1 else list(values)


def raw_latencies_ns(record: CellRecord, results: Path) -> np.ndarray:
    """Raw latency samples of a cell, int64 [n], in nanoseconds: every start of its worker, in the order they were taken.

    Raises:
        UserInputError: it was not timed.
    """
    if record.latency_object is None:
        raise UserInputError("the cell was not timed", where=record.key.text_with_seed)
    arrays = open_objects(results).get_arrays(record.latency_object)
    return np.concatenate([np.asarray(values).ravel() for values in arrays.values()]).astype(np.int64)


def recommended_frame(answers: Sequence[Answer]) -> pd.DataFrame:
    """Every cell of the answers as numbers, the pick of each workload and device first.

    Returns:
        Columns `workload`, `device`, `role` (`pick`, `front`, `beaten`, `control`, `left out`), `recipe`, `backend`, `seed`,
        `score`, `delta` (to the float model on the same samples), `p` (of that difference, corrected for the number of them),
        `group` (1: no test tells its score from the best), `latency_median_ns`, `size_bytes`, `why`.
    """
    import pandas as pd

    rows = [_row(answer, row) for answer in answers for row in answer_rows(answer)]
    columns = [
        "workload", "device", "role", "recipe", "backend", "seed", "score", "delta", "p", "group", "latency_median_ns",
        "size_bytes", "why",
    ]  # fmt: skip
    integers = {"seed": "Int64", "group": "Int64", "latency_median_ns": "Int64", "size_bytes": "Int64"}
    numbers = {"score": "Float64", "delta": "Float64", "p": "Float64"}
    return pd.DataFrame(rows, columns=columns).astype(integers | numbers)


def _row(answer: Answer, row: AnswerRow) -> dict[str, Any]:
    record, tested = row.record, row.to_float if isinstance(row.to_float, Compared) else None
    return {
        "workload": answer.workload,
        "device": answer.device,
        "role": row.role,
        "recipe": record.key.recipe,
        "backend": record.key.backend,
        "seed": record.key.seed,
        "score": score_of(record),
        "delta": None if tested is None else tested.delta,
        "p": None if tested is None else tested.p_holm,
        "group": row.group,
        "latency_median_ns": record.latency_median_ns,
        "size_bytes": record.size_bytes,
        "why": row.why or None,
    }
