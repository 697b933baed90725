"""Exact quantities on made-up records: unchanged ones give no alarm, every planted change is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.core.finding import Finding
from harness.core.fingerprint import Fingerprint
from harness.results.record import CellKey, CellRecord
from harness.verdict.exact import compare_exact


@dataclass(frozen=True, kw_only=True)
class ExactTally:
    """Alarms among unchanged pairs, and changes that were not told, of how many."""

    unchanged: int
    alarms: int
    planted: int
    missed: int


def tally(pairs: int = 2000, *, seed: int = 0) -> ExactTally:
    """Counts over random records; times, temperatures and what else varies by itself differ in every pair."""
    rng = np.random.default_rng(seed)
    alarms = planted = missed = 0
    for _ in range(pairs):
        before = _record(rng)
        after = _again(before, rng)
        alarms += any(v.open for v in compare_exact(before, after))
        for quantity, change in _changes(before, rng):
            planted += 1
            told = [v for v in compare_exact(before, replace(after, **change)) if v.quantity == quantity]
            missed += not any(v.open for v in told)
    return ExactTally(unchanged=pairs, alarms=alarms, planted=planted, missed=missed)


def _record(rng: np.random.Generator) -> CellRecord:
    nodes = int(rng.integers(2, 40))
    taken = int(rng.integers(1, nodes + 1))
    ops = [
        {"node": i, "op": str(rng.choice(["CONV_2D", "ADD", "SOFTMAX"])), "ran_on": "vx" if i < taken else "cpu"}
        for i in range(nodes)
    ]
    warned = [
        Finding(code=f"w{i}", severity="warning", where=f"node {i}", what="w") for i in range(int(rng.integers(0, 3)))
    ]
    return CellRecord(
        key=CellKey(workload="w", recipe="r", device="d", backend="npu", dataset="x", seed=0),
        run="a",
        outcome="ok",
        time_basis="device",
        fingerprint=Fingerprint(runtime="r 1"),
        artifact_sha256="a",
        size_bytes=int(rng.integers(2_000, 10_000_000)),
        instructions=int(rng.integers(1_000, 10**9)),
        arena_bytes=int(rng.integers(100, 10**6)),
        model_bytes=int(rng.integers(100, 10**6)),
        code_bytes=int(rng.integers(1_000, 10**5)),
        partitions=int(rng.integers(1, 5)),
        ops=ops,
        findings=warned,
        latency_median_ns=int(rng.integers(1_000, 10**8)),
    )


def _again(before: CellRecord, rng: np.random.Generator) -> CellRecord:
    timing = [Finding(code="warm-up-unstable", severity="error", where="w", what="w")] * int(rng.integers(0, 2))
    return replace(
        before,
        run="b",
        latency_median_ns=int((before.latency_median_ns or 1) * rng.uniform(0.8, 1.3)),
        load_ns=int(rng.integers(1, 10**9)),
        temperature_c=float(rng.uniform(20, 80)),
        findings=[*reversed(before.findings), *timing],
        ops=[dict(row) for row in before.ops],
    )


def _changes(before: CellRecord, rng: np.random.Generator) -> Iterator[tuple[str, dict[str, Any]]]:
    """(quantity, fields) of every kind of change, the smallest that there is."""
    for outcome in ("undecided", "wrong", "unsupported"):
        yield "outcome", {"outcome": outcome}
    for quantity, field in (
        ("instructions",) * 2,
        ("arena", "arena_bytes"),
        ("flash", "code_bytes"),
        ("partitions",) * 2,
    ):
        yield quantity, {field: getattr(before, field) + 1}
    size = before.size_bytes or 0
    yield "size", {"size_bytes": size + -(-size // 100)}
    delegated = [i for i, row in enumerate(before.ops) if row["ran_on"] != "cpu"]
    lost = int(rng.choice(delegated))
    yield "placement", {"ops": [{**row, "ran_on": "cpu"} if i == lost else row for i, row in enumerate(before.ops)]}
    error = Finding(code="not-bit-exact", severity="error", where="w", what="w")
    yield "errors", {"findings": [*before.findings, error]}
