"""A cell's steady latency, from its raw samples."""

from __future__ import annotations

import numpy as np

from harness.boards.base import BenchResult
from harness.core.finding import Finding
from harness.measure.latency import LatencyStats, latency_stats
from harness.measure.starts import starts_stats
from harness.results.record import CellRecord
from harness.run.measurement import Measurement


def note_starts(record: CellRecord, measurement: Measurement) -> None:
    """Adds median, interval and percentiles over all starts that were timed; nothing where the board tells no time.

    Where a worker is a process of its own, the interval carries what starts differ by, also after one start. A microcontroller
    runs the same code at the same place every time, and a count of instructions is one: their intervals are those of the samples.
    """
    starts = [bench.samples_ns for bench in _benches(measurement) if len(bench.samples_ns)]
    if not starts:
        return
    if measurement.started is None or record.time_basis == "guest-instructions":
        _note_stats(record, latency_stats(np.concatenate(starts)))
        medians = tuple(round(float(np.median(samples))) for samples in starts)
    else:
        found = starts_stats(starts)
        _note_stats(record, found.stats)
        medians = found.start_medians_ns
    record.latency_starts, record.latency_start_medians_ns = len(starts), list(medians)
    _note_failed_start(record, measurement)


def _benches(measurement: Measurement) -> list[BenchResult]:
    """What each start gave."""
    further = [start.bench for start in measurement.further]
    return [bench for bench in (measurement.bench, *further) if bench is not None]


def _note_failed_start(record: CellRecord, measurement: Measurement) -> None:
    for number, start in enumerate(measurement.further, start=2):
        if start.failure is None:
            continue
        record.findings.append(
            Finding(
                code="start-failed",
                severity="warning",
                where=record.key.text,
                what=f"the worker's first start ran to its end, but start {number} did not: "
                f"{start.failure.phase}: {start.failure.what}",
                fix="see the board log; a runtime or delegate that fails now and then fails in the field, too",
            )
        )


def _note_stats(record: CellRecord, stats: LatencyStats) -> None:
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
