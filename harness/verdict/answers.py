"""A stored cell's answers: its outputs by its metrics, with the labels, from the objects that its record names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.core.plain import from_plain
from harness.core.tensor import TensorIo
from harness.measure.scoring import StoredJudged, answers_of, stored_judged
from harness.results.objects import SINGLE, ObjectStore
from harness.results.record import CellRecord
from harness.verdict.scores import Answers
from harness.workloads.metrics.registry import restored


class AnswerBook:
    """Answers of stored cells. What cells share (labels, ids, what judges them) is read once."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self._tensors: dict[str, Any] = {}

    def of(self, record: CellRecord) -> Answers | None:
        """A cell's answers, of its main output; None where it has no score, or not all of it was kept."""
        found = self.all_of(record)
        return found[0] if found else None

    def all_of(self, record: CellRecord) -> list[Answers]:
        """The same of every judged output, the main one first; empty for None."""
        needed = (record.outputs_object, record.labels_object, record.sample_ids_object, record.tensors_object)
        if record.score is None or not all(needed):
            return []
        outputs, labels, ids, tensors = (str(name) for name in needed)
        try:
            model = self._model(tensors)
            stored = sorted(self._objects.get_arrays(outputs).items(), key=lambda item: int(item[0].rpartition("_")[2]))
            io = [from_plain(TensorIo, one, {}) for one in model["artifact"]["outputs"]]
            kept_ids = self._read(ids)[SINGLE]
            return [
                self._answers(
                    one, [values for _, values in stored], io, self._read(labels), kept_ids, model["workload"]
                )
                for one in stored_judged(model)
            ]
        except (HarnessError, KeyError, ValueError, TypeError, IndexError):
            return []  # pruned, damaged or of a metric that nobody here knows: the caller says that nothing was compared

    def _answers(
        self,
        judged: StoredJudged,
        outputs: Sequence[np.ndarray],
        io: Sequence[TensorIo],
        labels: dict[str, np.ndarray],
        ids: np.ndarray,
        workload: str,
    ) -> Answers:
        metric, kept = restored(judged.metric, workload), labels[judged.array]
        if metric is None:
            raise ValueError("there is no metric")
        count = min(len(outputs[0]), len(kept), len(ids))
        return Answers(
            metric=metric,
            answers=answers_of(metric, [values[:count] for values in outputs], io, judged.output),
            labels=kept[:count],
            sample_ids=ids[:count],
            output=judged.name,
        )

    def _model(self, sha256: str) -> Any:
        if sha256 not in self._tensors:
            self._tensors[sha256] = self._objects.get_json(sha256)
        return self._tensors[sha256]

    def _read(self, sha256: str) -> dict[str, np.ndarray]:
        if sha256 not in self._arrays:
            self._arrays[sha256] = self._objects.get_arrays(sha256)
        return self._arrays[sha256]


def same_answers(before: CellRecord, after: CellRecord) -> bool:
    """True where both records name the same outputs on the same samples: nothing has to be read."""
    return (
        before.outputs_object is not None
        and before.outputs_object == after.outputs_object
        and before.sample_ids_object == after.sample_ids_object
        and before.labels_object == after.labels_object
    )
