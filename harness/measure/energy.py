"""Energy of an inference from samples of power: of loops, with the board's power at rest taken off or not.

A loop of inferences lies inside an interval that begins and ends with a request on its way. What the board takes at rest is
known, so that these ends cost nothing: net = (E - P_rest T) / n. Gross is that and what rest would have taken while an
inference ran: net + P_rest t, with t the time of one inference. Where the instrument marks the inferences itself, only what
it marks counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.meters.base import Trace

#: an interval of order statistics: of at least six windows the least and the most hold the median with 95 %
#: (1 - 2 / 2^6 = 0.97; H. A. David, Order Statistics, 7.1)
LEAST_WINDOWS = 6


@dataclass(frozen=True, kw_only=True)
class EnergyWindow:
    """One loop under the instrument.

    Attributes:
        duration_s: that the samples stand for: of the interval, or of what is marked in it.
        energy_j: in that time.
        samples: of power.
        inferences: of the loop.
        inference_s: of one of them, their mean; None where the board tells no time.
    """

    duration_s: float
    energy_j: float
    samples: int
    inferences: int
    inference_s: float | None


@dataclass(frozen=True, kw_only=True)
class EnergyFacts:
    """What an instrument measured of a cell.

    Attributes:
        instrument, rail: what measured, and what it hung on.
        rest_w: mean power at rest, before the loops.
        window: `loop` or `mark`.
        windows: the loops, in order.
    """

    instrument: str
    rail: str
    rest_w: float
    window: str
    windows: tuple[EnergyWindow, ...]

    @property
    def rate_hz(self) -> float:
        """Samples a second that the instrument really gave."""
        return sum(w.samples for w in self.windows) / max(sum(w.duration_s for w in self.windows), 1e-9)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float


def mean_power_w(trace: Trace) -> float:
    """Mean over time, by trapezoids; of at least two samples."""
    span_s = float(trace.times_s[-1] - trace.times_s[0])
    return float(np.trapezoid(trace.power_w, trace.times_s)) / span_s


def loop_window(
    trace: Trace, begun_s: float, ended_s: float, *, by_mark: bool, inferences: int, inference_s: float | None
) -> EnergyWindow:
    """The energy of a loop.

    Args:
        trace: complete samples of the interval.
        begun_s, ended_s: its ends.
        by_mark: only what the instrument marks; else all of the interval.

    Raises:
        ValueError: nothing is marked.
    """
    if by_mark:
        # Each sample stands for the time up to the next one.
        steps = np.diff(trace.times_s)
        marked = np.asarray(trace.marked, bool)[:-1]
        if not marked.any():
            raise ValueError("the instrument marked no sample of a loop")
        duration_s = float(steps[marked].sum())
        middles = (trace.power_w[:-1] + trace.power_w[1:]) / 2
        energy_j = float((steps * middles)[marked].sum())
        count = int(marked.sum())
    else:
        duration_s, count = ended_s - begun_s, len(trace.times_s)
        energy_j = mean_power_w(trace) * duration_s
    return EnergyWindow(
        duration_s=duration_s, energy_j=energy_j, samples=count, inferences=inferences, inference_s=inference_s
    )


def net_nj(facts: EnergyFacts) -> Interval:
    """Nanojoules of an inference beyond what rest takes."""
    return _interval([_net_j(facts, w) for w in facts.windows])


def gross_nj(facts: EnergyFacts) -> Interval:
    """Nanojoules of an inference with what rest takes meanwhile."""
    return _interval([_net_j(facts, w) + facts.rest_w * _inference_s(w) for w in facts.windows])


def _net_j(facts: EnergyFacts, window: EnergyWindow) -> float:
    return (window.energy_j - facts.rest_w * window.duration_s) / window.inferences


def _inference_s(window: EnergyWindow) -> float:
    return window.duration_s / window.inferences if window.inference_s is None else window.inference_s


def _interval(joules: Sequence[float]) -> Interval:
    values = np.sort(np.asarray(joules, np.float64)) * 1e9
    return Interval(median=float(np.median(values)), low=float(values[0]), high=float(values[-1]))
