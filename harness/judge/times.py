"""A cell's steady latency, from its raw samples."""

from __future__ import annotations

import numpy as np

from harness.boards.base import BenchResult
from harness.core.finding import Finding
from harness.measure.latency import latency_stats
from harness.results.record import CellRecord


def note_latency(record: CellRecord, samples_ns: np.ndarray) -> None:
    """Adds median, interval and percentiles of int64 [N] nanoseconds; nothing where the board tells no time."""
    if not len(samples_ns):
        return
    stats = latency_stats(samples_ns)
    record.latency_median_ns = stats.median_ns
    record.latency_median_low_ns, record.latency_median_high_ns = stats.median_low_ns, stats.median_high_ns
    record.latency_p90_ns, record.latency_p99_ns = stats.p90_ns, stats.p99_ns
    record.latency_samples = stats.samples


def note_warm_up(record: CellRecord, bench: BenchResult) -> None:
    """Tells of latency that had not settled."""
    if bench.warmup_stable:
        return
    record.findings.append(
        Finding(
            code="warm-up-unstable",
            severity="info",
            where=record.key.text,
            what="latency had not settled when the warm-up ended, so the steady figures may still drift",
            fix="pin the CPU frequency governor, or look at the raw samples",
        )
    )


def note_batches(record: CellRecord, bench: BenchResult) -> None:
    """What a latency sample is on a board that times batches, and how much of it is not the inference."""
    if not bench.batch_overhead_ns or record.latency_median_ns is None:
        return
    share = bench.batch_overhead_ns / max(1, bench.batch * record.latency_median_ns)
    record.findings.append(
        Finding(
            code="latency-of-batches",
            severity="warning" if share > 0.05 else "info",
            where=record.key.text,
            what=f"each of the {record.latency_samples} latency samples is the mean of {bench.batch} inferences between two "
            f"readings of the board's microsecond timer: percentiles are those of means; up to {share:.1%} of it is the "
            "printing of a line",
            fix="a higher baud rate makes that share smaller",
        )
    )
