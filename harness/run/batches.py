"""Latency samples that are means: of boards that time several inferences at once."""

from __future__ import annotations

from harness.boards.base import BenchResult
from harness.core.finding import Finding
from harness.results.record import CellRecord


def note_batches(record: CellRecord, timed: BenchResult) -> None:
    """What a latency sample is on a board that times batches, and how much of it is not the inference."""
    if not timed.batch_overhead_ns or record.latency_median_ns is None:
        return
    share = timed.batch_overhead_ns / max(1, timed.batch * record.latency_median_ns)
    record.findings.append(
        Finding(
            code="latency-of-batches",
            severity="warning" if share > 0.05 else "info",
            where=record.key.text,
            what=f"each of the {record.latency_samples} latency samples is the mean of {timed.batch} inferences between two "
            f"readings of the board's microsecond timer: percentiles are those of means; up to {share:.1%} of it is the "
            "printing of a line",
            fix="a higher baud rate makes that share smaller",
        )
    )
