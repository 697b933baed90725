"""A stored cell's answers: its outputs by its metric, with the labels, from the objects that its record names."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.core.errors import HarnessError
from harness.core.plain import from_plain
from harness.core.tensor import TensorIo
from harness.measure.scoring import real_values
from harness.results.objects import ObjectStore
from harness.results.record import CellRecord
from harness.verdict.scores import Answers
from harness.workloads.metrics.registry import restored


class AnswerBook:
    """Answers of stored cells. What cells share (labels, ids, what judges them) is read once."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._arrays: dict[str, np.ndarray] = {}
        self._tensors: dict[str, Any] = {}

    def of(self, record: CellRecord) -> Answers | None:
        """A cell's answers; None where it has no score, or not all of it was kept."""
        needed = (record.outputs_object, record.labels_object, record.sample_ids_object, record.tensors_object)
        if record.score is None or not all(needed):
            return None
        outputs, labels, ids, tensors = (str(name) for name in needed)
        try:
            model = self._model(tensors)
            metric = restored(model["metric"], model["workload"])
            first = min(self._objects.get_arrays(outputs).items(), key=lambda item: int(item[0].rpartition("_")[2]))[1]
            io = from_plain(TensorIo, model["artifact"]["outputs"][0], {})
            kept_labels, kept_ids = self._array(labels), self._array(ids)
        except (HarnessError, KeyError, ValueError, TypeError, IndexError):
            return (
                None  # pruned, damaged or of a metric that nobody here knows: the caller says that nothing was compared
            )
        if metric is None:
            return None
        count = min(len(first), len(kept_labels), len(kept_ids))
        return Answers(
            metric=metric,
            answers=metric.answers(real_values(first[:count], io)),
            labels=kept_labels[:count],
            sample_ids=kept_ids[:count],
        )

    def _model(self, sha256: str) -> Any:
        if sha256 not in self._tensors:
            self._tensors[sha256] = self._objects.get_json(sha256)
        return self._tensors[sha256]

    def _array(self, sha256: str) -> np.ndarray:
        if sha256 not in self._arrays:
            self._arrays[sha256] = self._objects.get_array(sha256)
        return self._arrays[sha256]


def same_answers(before: CellRecord, after: CellRecord) -> bool:
    """True where both records name the same outputs on the same samples: nothing has to be read."""
    return (
        before.outputs_object is not None
        and before.outputs_object == after.outputs_object
        and before.sample_ids_object == after.sample_ids_object
        and before.labels_object == after.labels_object
    )
