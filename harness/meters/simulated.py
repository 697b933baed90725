"""`meter: {type: simulated, ...}`: an instrument whose truth is known, for trying things out and for checking the arithmetic.

It imagines a board that takes one power at rest and another while it works, and measures that as an instrument would: at a rate,
with noise, in steps, within a range.
"""

from __future__ import annotations

import time
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from harness.core.fields import inconsistent
from harness.meters.base import Meter, MeterFailure, MeterPlace, MeterProfile, Trace

Watts = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]


class SimulatedProfile(MeterProfile):
    """What the imagined board takes, and how well the instrument measures.

    Attributes:
        noise: standard deviation of a sample, as a share of what is measured.
        step_w: what it resolves.
        range_w: what it cannot measure beyond.
        stops_after_s: the instrument falls silent so long after it was opened.
    """

    type: Literal["simulated"]
    idle_w: Watts = 0.1
    active_w: Watts = 0.5
    rate_hz: Annotated[float, Field(ge=10, le=1_000_000, allow_inf_nan=False)] = 1_000.0
    noise: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.02
    step_w: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.001
    range_w: Watts | None = None
    stops_after_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _no_mark(self) -> SimulatedProfile:
        if self.active_w < self.idle_w:
            raise inconsistent("a board that works takes at least what it takes at rest: `active_w` is below `idle_w`")
        return self

    def make_meter(self, place: MeterPlace) -> Meter:
        """The instrument."""
        return SimulatedMeter(self)


class SimulatedMeter(Meter):
    """Makes its samples when they are asked for, of when the board is known to have worked."""

    def __init__(self, profile: SimulatedProfile) -> None:
        self.instrument = f"simulated ({profile.instrument})" if profile.instrument else "simulated"
        self.rail = profile.rail
        self._profile = profile
        self._random = np.random.default_rng(profile.seed)
        self._work: list[tuple[float, float]] = []
        self._opened_s: float | None = None

    def open(self) -> None:
        self._opened_s = time.monotonic()
        self._work = []

    def note_work(self, begun_s: float, ended_s: float) -> None:
        self._work.append((begun_s, ended_s))

    def trace(self, begun_s: float, ended_s: float) -> Trace:
        profile = self._profile
        if self._opened_s is None:
            raise MeterFailure("the simulated meter is not open")
        ends_s = ended_s if profile.stops_after_s is None else min(ended_s, self._opened_s + profile.stops_after_s)
        # Its own clock, which has nothing to do with when it is asked.
        first, last = np.ceil(begun_s * profile.rate_hz), np.floor(ends_s * profile.rate_hz)
        times = np.arange(first, last + 1) / profile.rate_hz
        working = np.zeros(len(times), bool)
        for begun, ended in self._work:
            working |= (times >= begun) & (times < ended)
        power = np.where(working, profile.active_w, profile.idle_w)
        power = power * (1 + profile.noise * self._random.standard_normal(len(times)))
        power = np.rint(power / profile.step_w) * profile.step_w if profile.step_w else power
        clipped = 0
        if profile.range_w is not None:
            clipped = int((power >= profile.range_w).sum())
            power = np.minimum(power, profile.range_w)
        return Trace(
            times_s=times,
            power_w=power,
            marked=working if profile.window == "mark" else None,
            clipped=clipped,
            complete=len(times) > 1 and ends_s == ended_s,
        )

    def close(self) -> None:
        self._opened_s = None
