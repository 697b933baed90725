"""`--mlperf`: throughput as MLPerf Tiny's rules measure it: five loops of at least ten seconds and ten inferences each.

The suite's runner downloads another sample before each loop, times `infer N W` by the board's own clock, and reports the median
(mlcommons/tiny, benchmark/runner). Its firmware is driven in just that way; other boards loop over their first sample.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.boards.base import Worker, WorkerFailure
from harness.run.measurement import Measurement

LOOPS, LEAST_NS, LEAST_INFERENCES = 5, 10_000_000_000, 10


def drive_mlperf(worker: Worker, measurement: Measurement, stage: Callable[[str], None], *, samples: int) -> None:
    """Runs the loops and notes them in `measurement`, or why there are none: a loop that fails costs no other figure.

    Args:
        worker: with a loaded model that has run.
        samples: how many there are; each loop takes the next one.

    Raises:
        DeviceError: the link is gone.
    """
    loops = []
    try:
        for number in range(LOOPS):
            stage(f"MLPerf Tiny, loop {number + 1} of {LOOPS}")
            loops.append(worker.loop(number % max(1, samples), LEAST_NS, LEAST_INFERENCES))
    except WorkerFailure as error:
        measurement.mlperf_failed = error.what
        return
    if any(loop.elapsed_ns is None for loop in loops):
        measurement.mlperf_failed = "the board tells no time, and the rules are about ten seconds of it"
        return
    measurement.mlperf = tuple(loops)
