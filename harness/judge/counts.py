"""Counts of a cell: instructions of an emulated microcontroller, cycles of a real one, to the last digit.

They need no statistics: an emulated core executes the same instructions every time, so that any difference is a difference.
"""

from __future__ import annotations

import numpy as np

from harness.boards.base import Counts
from harness.core.finding import Finding
from harness.results.record import CellRecord


def note_repeats(record: CellRecord, counts: Counts | None) -> None:
    """Notes what the same sample cost over and over: the cell's figure. Nothing where the board does not count.

    Instructions that differ between repeats of one input are told, because nothing but an interrupt can do that.
    """
    if counts is None:
        return
    values = np.asarray(counts.values, dtype=np.int64)
    setattr(record, counts.unit, round(float(np.median(values))))
    _widen(record, counts.unit, values)
    low, high = int(values.min()), int(values.max())
    if counts.unit == "instructions" and low != high:
        record.findings.append(
            Finding(
                code="count-not-repeatable",
                severity="warning",
                where=record.key.text,
                what=f"the same inference took {low:,} to {high:,} instructions: something else ran in between",
                fix="look for an interrupt that the firmware's port leaves on during an inference",
            )
        )


def note_evaluated(record: CellRecord, counts: Counts | None) -> None:
    """Adds what each evaluated sample cost: least and most."""
    if counts is not None:
        _widen(record, counts.unit, np.asarray(counts.values, dtype=np.int64))


def _widen(record: CellRecord, unit: str, values: np.ndarray) -> None:
    low, high = getattr(record, f"{unit}_min"), getattr(record, f"{unit}_max")
    setattr(record, f"{unit}_min", min(int(values.min()), int(values.min()) if low is None else low))
    setattr(record, f"{unit}_max", max(int(values.max()), int(values.max()) if high is None else high))
    record.counted_inferences = (record.counted_inferences or 0) + len(values)
