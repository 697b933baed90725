"""Energy of a cell: loops of inferences under an instrument, once everything else was measured. It costs no other figure."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from harness.boards.base import BenchPlan, BenchResult, Worker, WorkerFailure
from harness.core.errors import HarnessError
from harness.measure.energy import EnergyFacts, EnergyWindow, loop_window, mean_power_w
from harness.meters.base import Meter, MeterFailure, MeterProfile, Trace
from harness.run.measurement import Measurement

#: the board comes to rest after its last request, and an instrument's filter with it
_SETTLE_S = 0.1


def drive_energy(
    worker: Worker,
    profile: MeterProfile,
    make: Callable[[], Meter],
    measurement: Measurement,
    stage: Callable[[str], None],
) -> None:
    """Measures and notes it in `measurement`, or why it could not be.

    Args:
        worker: with a loaded model that has run.
        profile: how long and how often.
        make: the instrument, not yet open.

    Raises:
        DeviceError: the link is gone.
    """
    stage("energy")
    meter: Meter | None = None
    try:
        meter = make()
        meter.open()
        measurement.energy = _measured(worker, profile, meter, stage)
    except (MeterFailure, WorkerFailure) as error:
        measurement.energy_failed = error.what
    except HarnessError as error:
        if not _of_the_meter(error):
            raise
        measurement.energy_failed = str(error)
    finally:
        if meter is not None:
            meter.close()


def _of_the_meter(error: HarnessError) -> bool:
    """Whether an error is about a part of the instrument, and not about the board."""
    from harness.core.errors import DeviceError

    return not isinstance(error, DeviceError)


def _measured(worker: Worker, profile: MeterProfile, meter: Meter, stage: Callable[[str], None]) -> EnergyFacts:
    time.sleep(_SETTLE_S)
    begun_s = time.monotonic()
    time.sleep(profile.idle_s)
    rest = _whole(meter, begun_s, time.monotonic(), "at rest")
    windows = []
    for number in range(profile.windows):
        stage(f"energy, loop {number + 1} of {profile.windows}")
        windows.append(_loop(worker, profile, meter))
    return EnergyFacts(
        instrument=meter.instrument,
        rail=meter.rail,
        rest_w=mean_power_w(rest),
        window=profile.window,
        windows=tuple(windows),
    )


def _loop(worker: Worker, profile: MeterProfile, meter: Meter) -> EnergyWindow:
    length_ns = round(profile.seconds * 1e9)
    plan = BenchPlan(min_samples=1, min_ns=length_ns, max_ns=length_ns, warmup_max_ns=0)
    begun_s = time.monotonic()
    bench = worker.bench(plan)
    ended_s = time.monotonic()
    meter.note_work(begun_s, ended_s)
    trace = _whole(meter, begun_s, ended_s, "during a loop")
    by_mark = profile.window == "mark"
    if by_mark and trace.marked is None:
        raise MeterFailure("the instrument's samples have no mark", hint="use `window: loop`")
    inferences, inference_s = _inferences(bench)
    try:
        return loop_window(trace, begun_s, ended_s, by_mark=by_mark, inferences=inferences, inference_s=inference_s)
    except ValueError as error:
        raise MeterFailure(
            str(error), hint="is its trigger input connected to the pin that the board raises?"
        ) from None


def _inferences(bench: BenchResult) -> tuple[int, float | None]:
    """How many a loop had, its warm-up included, and the mean time of one in seconds."""
    if bench.batch > 1:
        raise MeterFailure("this firmware does not tell how many inferences a loop has", hint="leave `meter` out")
    counted = len(bench.samples_ns) if bench.counts is None else len(bench.counts.values)
    times = np.concatenate([bench.warmup_ns, bench.samples_ns])
    inferences = max(counted, len(bench.samples_ns)) + len(bench.warmup_ns)
    return inferences, float(times.mean()) / 1e9 if len(times) else None


def _whole(meter: Meter, begun_s: float, ended_s: float, when: str) -> Trace:
    """The samples of an interval, which must be all there and within the instrument's range.

    Raises:
        MeterFailure: they are not.
    """
    trace = meter.trace(begun_s, ended_s)
    if not trace.complete:
        have = len(trace.times_s)
        raise MeterFailure(
            f"the meter stopped or left a gap {when}: {have:,} samples do not cover {ended_s - begun_s:.2f} s",
            hint="its other windows would not tell what this one hides: run the cell again",
        )
    if trace.clipped:
        raise MeterFailure(
            f"the meter's range was too small {when}: {trace.clipped:,} of {len(trace.times_s):,} samples lie at its end",
            hint="choose a larger range",
        )
    return trace
