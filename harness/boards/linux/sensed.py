"""What the agent says of its sensors and of who else had the processor, checked where it comes in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.boards.linux.answer import FIRST_ERROR, Answer, Celsius, Fact, Nanoseconds
from harness.boards.surroundings import Reading, Surroundings
from harness.core.bounds import MOST_HZ, MOST_NS

_Hertz = Annotated[int, Field(ge=0, le=MOST_HZ)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Cpus = Annotated[int, Field(ge=1, le=1 << 16)]
#: time of all processors together
_CpuTime = Annotated[int, Field(ge=0, le=MOST_NS << 16)]
#: the agent keeps eight
_MOST_READINGS = 64


class ReadingAnswer(Answer):
    """One look at the sensors."""

    cpu: Annotated[int, Field(ge=0, lt=1 << 16)] = 0
    governor: Fact | None = None
    frequency_hz: _Hertz | None = None
    frequency_limit_hz: _Hertz | None = None
    frequency_max_hz: _Hertz | None = None
    temperature_c: Celsius | None = None
    throttle_events: _Count | None = None
    cooling_state: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    firmware_flags: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    under_voltage: bool | None = None

    def reading(self) -> Reading:
        """In the words of the board seam."""
        return Reading(**self.model_dump())


class SurroundingsAnswer(Answer):
    """What went on around a timing."""

    before: ReadingAnswer
    during: Annotated[list[ReadingAnswer], Field(max_length=_MOST_READINGS), FIRST_ERROR]
    after: ReadingAnswer
    simulated: bool
    wall_ns: Annotated[Nanoseconds, Field(ge=1)]
    own_cpu_ns: _CpuTime
    busy_cpu_ns: _CpuTime | None = None
    steal_ns: _CpuTime | None = None
    waited_ns: _CpuTime | None = None
    yielded: _Count = 0
    preempted: _Count = 0
    cpus: _Cpus | None = None

    def surroundings(self) -> Surroundings:
        """In the words of the board seam."""
        counters = self.model_dump(exclude={"before", "during", "after"})
        return Surroundings(
            before=self.before.reading(),
            during=tuple(one.reading() for one in self.during),
            after=self.after.reading(),
            **counters,
        )
