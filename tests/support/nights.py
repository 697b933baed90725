"""Series of nights in a store, from records that a test writes; nothing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.core.fingerprint import Fingerprint
from harness.core.tensor import TensorIo
from harness.results.history import History
from harness.results.objects import ObjectStore
from harness.results.record import CellKey, CellRecord, RunInfo
from harness.results.store import Store
from harness.verdict.conclude import conclude
from harness.verdict.latency import Evidence, Suspect
from harness.verdict.night import Judgement, judge_night, settle
from harness.verdict.past import load_past

SERIES = "s"
RUNTIME = Fingerprint(runtime="ai_edge_litert 2.3.0", kernel="6.1", machine="x86_64")
BYTES = "a" * 64


def key(recipe: str = "ptq-int8-io", device: str = "host-litert", **parts) -> CellKey:
    fields = {"workload": "mnist-cnn", "backend": "cpu", "dataset": "d1" * 32, "seed": 0, **parts}
    return CellKey(recipe=recipe, device=device, **fields)


def record(cell: CellKey | None = None, *, starts_us: Sequence[float] = (100.0, 100.4, 99.7), **fields) -> CellRecord:
    """A cell that ended well, timed in three starts."""
    starts = [round(us * 1000) for us in starts_us]
    usual = {
        "outcome": "ok",
        "time_basis": "device",
        "fingerprint": RUNTIME,
        "artifact_sha256": BYTES,
        "size_bytes": 20_000,
        "latency_median_ns": sorted(starts)[len(starts) // 2] if starts else None,
        "latency_starts": len(starts),
        "latency_start_medians_ns": starts,
        "ops": [
            {"node": 0, "op": "CONV_2D", "ran_on": "xnnpack"},
            {"node": 1, "op": "FULLY_CONNECTED", "ran_on": "xnnpack"},
        ],
        "partitions": 1,
    }
    return CellRecord(key=cell or key(), run="", **{**usual, **fields})


def answered(cell: CellRecord, objects: ObjectStore, answers: np.ndarray, labels: np.ndarray) -> CellRecord:
    """The record with stored outputs that answer so: classes of one-hot outputs, judged by top1."""
    io = TensorIo(name="out", dtype="float32", shape=(1, 10))
    tensors = {
        "workload": cell.key.workload,
        "metric": {"name": "top1", "settings": {"unit": None}},
        "artifact": {"outputs": [{"name": io.name, "dtype": io.dtype, "shape": list(io.shape)}]},
    }
    right = float((answers == labels).mean())
    return replace(
        cell,
        score=right,
        accuracy=right,
        metric="top1",
        metric_direction="higher",
        samples=len(labels),
        outputs_object=objects.put_arrays({"output_0": np.eye(10, dtype=np.float32)[answers]}),
        labels_object=objects.put_array(labels),
        sample_ids_object=objects.put_array(np.arange(len(labels))),
        tensors_object=objects.put_json(tensors),
    )


@dataclass
class Nights:
    """A store with nights of one series."""

    results: Path
    count: int = 0
    last: Judgement | None = None
    evidence: Mapping[str, Evidence] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store.open(self.results)
        self.history = History(self.store)
        self.objects = self.store.objects

    def run(
        self,
        *records: CellRecord,
        planned: Sequence[CellKey] | None = None,
        controls: Mapping[str, Sequence[float]] | None = None,
        evidence: Evidence | None = None,
        started_utc: str = "2026-01-01T00:00:00+00:00",
        judged: bool = True,
    ) -> Judgement | None:
        """A night with these records, judged.

        Args:
            planned: what it planned, where that is not what it has.
            controls: device -> ns of each control cell.
            evidence: what confirmation gives for every suspect; None: nobody asks the boards.
            judged: False for a night that ends before its verdict.
        """
        self.count += 1
        run = f"n{self.count:03d}"
        keys = list(planned) if planned is not None else [r.key for r in records]
        self.store.begin_run(RunInfo(run=run, started_utc=started_utc, command=["test"], planned=keys, series=SERIES))
        stored = [replace(r, run=run) for r in records]
        for one in stored:
            self.store.add_cell(one)
        self.store.finish_run(run)
        for device, values in (controls or {}).items():
            medians = {f"control-{i}": ns for i, ns in enumerate(values)}
            self.history.put_controls(run, device, "cpu", "before", medians, "e")
        if not judged:
            return None
        return self.judge(run, stored, keys, controls, evidence)

    def judge(
        self,
        run: str,
        stored: Sequence[CellRecord],
        keys: Sequence[CellKey],
        controls: Mapping[str, Sequence[float]] | None = None,
        evidence: Evidence | None = None,
    ) -> Judgement:
        """Judges a night whose records are stored; `run` does, where it is not told otherwise."""
        past = load_past(self.history, SERIES, run, [r.key for r in stored])
        judgement = judge_night(
            run,
            SERIES,
            stored,
            keys,
            past,
            self.objects,
            controls={d: self.history.controls(d, SERIES, run=run) for d in controls or {}},
            options={"workloads": ["mnist-cnn"]},
        )
        self.suspects: list[Suspect] = list(judgement.suspects)
        settle(judgement, [conclude(s, evidence or Evidence(problem="not asked")) for s in self.suspects])
        self.history.put_verdicts(run, judgement.stored())
        self.last = judgement
        return judgement

    def said(self, quantity: str, cell: CellKey | None = None):
        """The last night's verdict on a quantity; None where there is none."""
        assert self.last is not None
        wanted = cell or key()
        found = [v for v in self.last.verdicts if v.quantity == quantity and v.key == wanted]
        assert len(found) <= 1, found
        return found[0] if found else None
