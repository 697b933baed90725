"""A board whose worker does what a script says: only for injecting faults that a real board shows too rarely."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from harness.boards.base import (
    BenchResult,
    Board,
    EvalResult,
    LoadResult,
    NodePlace,
    PlacementResult,
    Worker,
    WorkerStats,
)
from harness.results.record import Fingerprint


@dataclass
class FakeWorker(Worker):
    """Answers well, but for the phases that the fault names: phase -> exception to raise."""

    fault: dict[str, Exception]
    outputs: np.ndarray
    nodes: int = 3

    def _may_fail(self, phase: str) -> None:
        if phase in self.fault:
            raise self.fault[phase]

    def load(self, model_sha256):
        self._may_fail("load")
        return LoadResult(load_ns=1_000_000, inputs=(), outputs=())

    def first_invoke(self, input_sha256s):
        self._may_fail("first_invoke")
        return 5_000_000

    def evaluate(self, input_sha256s, count, *, start=0, progress=None, beginnings=None):
        self._may_fail("evaluate")
        return EvalResult(outputs=(self.outputs[:count],), invoke_ns=np.full(count, 1000), elapsed_ns=count * 1000)

    def bench(self, plan):
        self._may_fail("bench")
        samples = np.full(plan.min_samples, 1000, dtype=np.int64)
        return BenchResult(samples_ns=samples, warmup_ns=samples[:10], warmup_stable=True)

    def placement(self):
        self._may_fail("placement")
        nodes = tuple(NodePlace(node=i, op="FULLY_CONNECTED", ran_on="cpu") for i in range(self.nodes))
        return PlacementResult(nodes=nodes, delegated_nodes=0, partitions=0)

    def stats(self):
        return WorkerStats(memory_peak_bytes=1 << 20)

    def close(self):
        return "worker log"


@dataclass
class FakeBoard(Board):
    """`faults` holds one dict per worker that is opened, in order; `connects` one exception or None per connect."""

    name: str
    outputs: np.ndarray
    faults: list[dict[str, Exception]] = field(default_factory=list)
    connects: list[Exception | None] = field(default_factory=list)
    upload: Callable[[], None] = lambda: None
    opened: int = 0
    connected: int = 0
    closed: int = 0
    interrupted: threading.Event = field(default_factory=threading.Event)

    def connect(self):
        self.connected += 1
        error = self.connects.pop(0) if self.connects else None
        if error:
            raise error
        return Fingerprint(runtime="fake 1.0")

    def ensure_file(self, source, sha256, *, progress=None):
        self.upload()
        return True

    def open_worker(self, backend, deadlines):
        self.opened += 1
        return FakeWorker(fault=self.faults.pop(0) if self.faults else {}, outputs=self.outputs)

    def close(self):
        self.closed += 1

    def interrupt(self):
        self.interrupted.set()
