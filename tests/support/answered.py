"""Cells with the answers that they gave to each sample, for tests of what is said of several of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.core.finding import Finding
from harness.measure.scoring import score
from harness.reports.answer.answer import Answer, find_answer
from harness.reports.answer.evidence import Answers
from harness.reports.answer.limits import Limits
from harness.reports.answer.words import lines
from harness.results.record import CellKey, CellRecord, Fingerprint
from harness.workloads.metrics.base import Metric
from harness.workloads.metrics.registry import get_metric
from tests.judge.facts import model

CLASSES = 10


def labels_of(samples: int) -> np.ndarray:
    """Classes in turn, int64 [samples]."""
    return np.arange(samples) % CLASSES


def wrong_at(labels: np.ndarray, *places: range | list[int]) -> np.ndarray:
    """Right answers, but for those at the places."""
    answers = labels.copy()
    for several in places:
        answers[list(several)] = (answers[list(several)] + 1) % CLASSES
    return answers


class Told:
    """An `Evidence` of what tests say that cells answered; makes the cells, too."""

    def __init__(self, labels: np.ndarray, floats: np.ndarray | None, metric: Metric | None = None) -> None:
        self.labels, self.floats = labels, floats
        self.metric = metric or get_metric("top1")
        self._known: dict[int, Answers | str] = {}

    def answers(self, record: CellRecord) -> Answers | str:
        return self._known[id(record)]

    def cell(
        self, recipe: str, answers: np.ndarray, *, us: float = 10.0, size: int = 20_000, **changes: Any
    ) -> CellRecord:
        """A cell that ran well on `board`/`cpu` and gave these answers to the first samples."""
        count = len(answers)
        key = CellKey(
            workload="net",
            recipe=recipe,
            device=changes.pop("device", "board"),
            backend=changes.pop("backend", "cpu"),
            dataset=changes.pop("dataset", "d" * 64),
            seed=changes.pop("seed", 0),
        )
        median = round(us * 1000)
        values: dict[str, Any] = {
            "outcome": "ok",
            "time_basis": "device",
            "fingerprint": Fingerprint(runtime="tflite_runtime 2.14.0"),
            "dataset_name": "digits",
            "samples": count,
            "size_bytes": size,
            "latency_median_ns": median,
            "latency_median_low_ns": round(median * 0.98),
            "latency_median_high_ns": round(median * 1.02),
            "latency_samples": 600,
            "latency_starts": 3,
            "total_nodes": 8,
            **changes,
        }
        record = CellRecord(key=key, run="r", **values)
        floats = None if self.floats is None else self.floats[:count]
        labels = self.labels[:count]
        prepared = model(metric=self.metric, labels=labels, float_answers=floats, sample_ids=np.arange(count))
        outputs = np.eye(CLASSES, dtype=np.float32)[answers] if self.metric.classes else answers
        record.fill(score([outputs], count, prepared))
        self._known[id(record)] = Answers(
            metric=self.metric,
            ids=np.arange(count),
            labels=labels,
            answers=self.metric.answers(outputs.astype(float)),
            float_answers=floats,
            outputs=str(id(record)),
        )
        return record


#: what most tests of answers have: 500 samples, of which the float model errs on the first 20
LABELS = labels_of(500)
FLOATS = wrong_at(LABELS, range(20))


def answer(told: Told, cells: list[CellRecord], **limits: Any) -> Answer:
    """The answer of some cells, within limits by name."""
    return find_answer(cells, told, Limits(**limits))


def text(found: Answer) -> str:
    """An answer's lines as they are printed, without their layout."""
    return "\n".join(f"{head}: {said}" for head, said in lines(found))


def left_out(found: Answer) -> dict[str, str]:
    """RECIPE/BACKEND -> why it is not named."""
    return {f"{out.record.key.recipe}/{out.record.key.backend}": out.reason for out in found.excluded}


def error(code: str) -> Finding:
    """A finding that keeps a model out of the answer."""
    return Finding(code=code, severity="error", where="w", what="what")
