"""What an instrument gives: samples of power over this machine's monotonic clock; and the `meter:` block of a profile."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import Field

from harness.core.errors import HarnessError
from harness.core.fields import Line, ModelClass, OneOfMany

if TYPE_CHECKING:
    from harness.links.base import Channel


@dataclass(frozen=True, kw_only=True)
class MeterPlace:
    """The device beside which a meter stands.

    Attributes:
        device: its name.
        start: starts a program on the board itself; None where no program runs there: files are then read on this machine.
        python: the board's interpreter.
    """

    device: str
    start: Callable[[Sequence[str]], Channel] | None = None
    python: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Samples of an interval, in order.

    Attributes:
        times_s: float64 [n], of `time.monotonic()` on this machine.
        power_w: float64 [n].
        marked: bool [n]: the instrument's own mark; None where it has none.
        clipped: how many of them lie at the end of a range, so that the truth may be beyond it.
        complete: the samples reach from one end of the interval to the other.
    """

    times_s: np.ndarray
    power_w: np.ndarray
    marked: np.ndarray | None = None
    clipped: int = 0
    complete: bool = True


class MeterFailure(HarnessError):
    """The instrument gives no samples, stopped, or says what cannot be read. The cell's other figures stand."""


class Meter(Protocol):
    """An instrument. For one thread.

    Attributes:
        instrument: model and serial number, as the profile says.
        rail: which supply it measures.
    """

    instrument: str
    rail: str

    def open(self) -> None:
        """Begins to take samples; returns when the first ones are there.

        Raises:
            MeterFailure: none come, or they cannot be read.
        """
        ...

    def note_work(self, begun_s: float, ended_s: float) -> None:
        """Told of each time that the board worked, for meters that only imagine one."""
        return None

    def trace(self, begun_s: float, ended_s: float) -> Trace:
        """The samples of an interval that has passed; waits for those that are still on their way.

        Raises:
            MeterFailure: they cannot be read.
        """
        ...

    def close(self) -> None:
        """Ends it. Safe to call twice."""
        ...


class MeterProfile(OneOfMany):
    """What all types have in common.

    Attributes:
        instrument: model and serial number: figures are compared with those of the same instrument and rail alone.
        rail: which supply is measured, such as `VDD 3V3` or `whole board`.
        window: `loop`: energy counts from the first to the last inference of a loop; `mark`: while the instrument's mark is set.
        seconds, windows: how long a loop is, and how many there are.
        idle_s: how long the board is measured at rest before them.
    """

    type: str
    instrument: Line | None = None
    rail: Line = "whole board"
    window: Literal["loop", "mark"] = "loop"
    seconds: Annotated[float, Field(ge=0.05, le=600, allow_inf_nan=False)] = 2.0
    windows: Annotated[int, Field(ge=3, le=100)] = 6
    idle_s: Annotated[float, Field(ge=0.05, le=600, allow_inf_nan=False)] = 2.0

    @classmethod
    def form_of(cls, data: Mapping[str, Any]) -> ModelClass:
        """The class of the block's `type:`."""
        from harness.core.errors import MissingPartError
        from harness.meters.registry import meter_class

        try:
            return meter_class(data.get("type")) or cls
        except MissingPartError:
            return cls

    @property
    def name(self) -> str:
        """The instrument's name; a type whose serial number nobody gave is one of its kind."""
        return self.instrument or self.type

    @abstractmethod
    def make_meter(self, place: MeterPlace) -> Meter:
        """The instrument, not yet open.

        Raises:
            MissingPartError: a program that it needs is missing.
        """
