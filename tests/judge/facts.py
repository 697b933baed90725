"""Raw facts made by hand, for tests of what is judged of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.boards.base import (
    BackendSpec,
    BenchResult,
    Deadlines,
    EvalResult,
    LoadResult,
    NodePlace,
    PlacementResult,
    WorkerStats,
)
from harness.boards.surroundings import Reading, Surroundings
from harness.core.fingerprint import Fingerprint
from harness.core.tensor import TensorIo
from harness.prepare.prepared import PreparedModel, ReferenceOutputs
from harness.results.record import CellKey
from harness.run.measurement import CellContext, Measurement
from harness.variants.artifact import Artifact
from harness.workloads.metrics.registry import get_metric

COUNT = 40
LABELS = np.arange(COUNT) % 10
OUTPUTS = np.eye(10, dtype=np.float32)[LABELS]
KEY = CellKey(workload="w", recipe="ptq-float32", device="board", backend="cpu", dataset="d" * 64, seed=0)

#: samples of a start without a trend, ns
FLAT = (1e6 * (1 + 0.01 * np.random.default_rng(5).standard_normal(400))).astype(np.int64)
#: a third of a second on two processors, of which one is the timed process's
CALM = Surroundings(
    before=Reading(),
    during=(),
    after=Reading(),
    simulated=False,
    wall_ns=333_000_000,
    own_cpu_ns=330_000_000,
    busy_cpu_ns=340_000_000,
    steal_ns=0,
    waited_ns=100_000,
    cpus=2,
)


def model(**changes: Any) -> PreparedModel:
    """A float classifier of ten classes whose reference answers as `OUTPUTS` says."""
    io = TensorIo(name="out", dtype="float32", shape=(1, 10))
    artifact = Artifact(
        key="k",
        workload=KEY.workload,
        recipe=KEY.recipe,
        seed=0,
        path=None,
        sha256="0" * 64,
        size_bytes=5,
        inputs=(io,),
        outputs=(io,),
        manifest={"built": "today"},
    )
    base = PreparedModel(
        workload=KEY.workload,
        metric=get_metric("top1"),
        recipe=KEY.recipe,
        seed=0,
        artifact=artifact,
        dataset_name="d",
        dataset_note="made for this test",
        dataset_digest=KEY.dataset,
        sample_ids=np.arange(COUNT),
        labels=LABELS,
        lsb=(None,),
        node_count=2,
        reference=ReferenceOutputs(identity="oracle 1.0", outputs=(OUTPUTS,)),
        float_answers=LABELS,
    )
    return replace(base, **changes)


def context(**changes: Any) -> CellContext:
    """A board's CPU backend."""
    base = CellContext(
        key=KEY,
        run="r1",
        backend=BackendSpec(name="cpu", threads=2),
        deadlines=Deadlines(),
        fingerprint=Fingerprint(runtime="runtime 1.0"),
        time_basis="device",
        samples=None,
    )
    return replace(base, **changes)


def measured(outputs: np.ndarray = OUTPUTS, **changes: Any) -> Measurement:
    """A cell that ran to its end."""
    samples = np.arange(900, 1100, dtype=np.int64)
    nodes = (NodePlace(node=0, op="CONV_2D", ran_on="xnnpack", partition=0), NodePlace(node=1, op="ADD", ran_on="cpu"))
    base = Measurement(
        started_utc="2026-01-01T00:00:00+00:00",
        duration_ns=7,
        loaded=LoadResult(load_ns=1_000_000, inputs=(), outputs=()),
        first_invoke_ns=5_000_000,
        bench=BenchResult(samples_ns=samples, warmup_ns=samples[:10], warmup_stable=True),
        samples=len(outputs),
        evaluated=EvalResult(outputs=(outputs,), invoke_ns=np.full(len(outputs), 1000), elapsed_ns=9),
        placement=PlacementResult(nodes=nodes, delegated_nodes=0, partitions=0),
        stats=WorkerStats(memory_peak_bytes=1 << 20, memory_baseline_bytes=48 << 20, governor="performance"),
        board_log="worker log",
    )
    return replace(base, **changes)
