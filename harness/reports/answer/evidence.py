"""What a cell answered, sample by sample: read back from the stored objects, so that two cells can be compared in pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from harness.core.errors import HarnessError
from harness.core.tensor import TensorIo
from harness.results.objects import SINGLE, ObjectStore
from harness.results.record import CellRecord
from harness.workloads.metrics.base import Metric
from harness.workloads.metrics.registry import restored

if TYPE_CHECKING:
    from harness.measure.scoring import StoredJudged


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """A cell's answers as its metric sees them, in the order in which the samples ran.

    Attributes:
        ids: int64 [N], which samples they are of.
        labels: [N, ...].
        answers: [N, ...].
        float_answers: [N, ...], the float model's on the same samples; None where there is none.
        outputs: the name of the stored outputs; equal ones are the same bits.
        output: the name of the model's output that they are of; empty where it has one.
        further: the same of the model's other judged outputs.
    """

    metric: Metric
    ids: np.ndarray
    labels: np.ndarray
    answers: np.ndarray
    float_answers: np.ndarray | None
    outputs: str
    output: str = ""
    further: tuple[Answers, ...] = ()

    @property
    def samples(self) -> int:
        return len(self.ids)


class Evidence(Protocol):
    """Where a report finds what cells answered."""

    def answers(self, record: CellRecord) -> Answers | str:
        """The cell's answers, or in words why there are none."""
        ...


class NoEvidence:
    """Records alone: nothing can be compared sample by sample."""

    def answers(self, record: CellRecord) -> Answers | str:
        return "the answers to each sample are not at hand"


class StoredEvidence:
    """The objects of a results folder. Each cell is read once; what several share is read once, too."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self._found: dict[tuple[str | None, ...], Answers | str] = {}

    def answers(self, record: CellRecord) -> Answers | str:
        names = (
            record.outputs_object,
            record.labels_object,
            record.sample_ids_object,
            record.float_answers_object,
            record.tensors_object,
        )
        if names not in self._found:
            self._found[names] = self._read(record)
        return self._found[names]

    def _read(self, record: CellRecord) -> Answers | str:
        if record.score is None and record.accuracy is None:
            return "there is no score"
        wanted = (record.outputs_object, record.labels_object, record.sample_ids_object, record.tensors_object)
        outputs, labels, ids, tensors = wanted
        if outputs is None or labels is None or ids is None or tensors is None:
            return "its answers to each sample were not kept"
        from harness.measure.scoring import stored_judged

        try:
            facts = self._objects.get_json(tensors)
            judged = [self._answers(one, facts, record) for one in stored_judged(facts)]
            if judged[0] is None:
                return "it has no metric"
            found = replace(judged[0], further=tuple(one for one in judged[1:] if one is not None))
        except HarnessError as error:
            return f"its answers cannot be read ({error})"
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return f"its answers cannot be read ({type(error).__name__}: {error})"
        lengths = {len(a) for a in (found.ids, found.labels, found.answers)}
        lengths |= set() if found.float_answers is None else {len(found.float_answers)}
        return found if len(lengths) == 1 else "its stored answers, labels and samples are not equally many"

    def _answers(self, judged: StoredJudged, facts: dict[str, Any], record: CellRecord) -> Answers | None:
        """What one output of a cell answered; None where nothing judges it."""
        from harness.measure.scoring import answers_of

        metric = restored(judged.metric, facts["workload"])
        if metric is None:
            return None
        io = [TensorIo(**{**one, "shape": tuple(one["shape"])}) for one in facts["artifact"]["outputs"]]
        stored = self._load(str(record.outputs_object))
        outputs = [stored[f"output_{number}"] for number in range(len(io))]
        floats = record.float_answers_object
        return Answers(
            metric=metric,
            ids=self._one(str(record.sample_ids_object)),
            labels=self._load(str(record.labels_object))[judged.array],
            answers=answers_of(metric, outputs, io, judged.output),
            float_answers=None if floats is None else self._load(floats).get(judged.array),
            outputs=str(record.outputs_object),
            output=judged.name,
        )

    def _one(self, sha256: str) -> np.ndarray:
        return self._load(sha256)[SINGLE]

    def _load(self, sha256: str) -> dict[str, np.ndarray]:
        if sha256 not in self._arrays:
            self._arrays[sha256] = self._objects.get_arrays(sha256)
        return self._arrays[sha256]
