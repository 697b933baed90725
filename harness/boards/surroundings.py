"""What a board was like around a timing: its sensors, who had its processors, and how cool it was wanted. Facts, not judged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at a board's sensors; None for what it does not tell.

    Attributes:
        cpu: the processor whose clock it is.
        frequency_limit_hz: what the kernel allows the clock at most, now; `frequency_max_hz`: what the processor can.
        throttle_events: how often the processor was held back since it started (x86).
        cooling_state: how far the kernel's cooling holds the processor back; 0: not at all.
        firmware_flags: of a Raspberry Pi: under-voltage, clock capped, throttled, soft limit of heat (bits 0 to 3: now, 16 to 19:
            since it started).
        under_voltage: the supply's alarm: it was too low since the board started.
    """

    cpu: int = 0
    governor: str | None = None
    frequency_hz: int | None = None
    frequency_limit_hz: int | None = None
    frequency_max_hz: int | None = None
    temperature_c: float | None = None
    throttle_events: int | None = None
    cooling_state: int | None = None
    firmware_flags: int | None = None
    under_voltage: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What went on around a timing: the sensors before, during and after it, and who had the processors meanwhile.

    Attributes:
        simulated: the sensors are not the board's own.
        wall_ns: how long it took.
        own_cpu_ns: processor time of the timed process, all of its threads together.
        busy_cpu_ns, steal_ns: of all processes on all `cpus` together, and what a hypervisor took; in ticks of mostly 10 ms.
        waited_ns: how long threads of the timed process were ready and had no processor.
        yielded, preempted: its voluntary and involuntary context switches.
    """

    before: Reading
    during: tuple[Reading, ...]
    after: Reading
    simulated: bool
    wall_ns: int
    own_cpu_ns: int
    busy_cpu_ns: int | None = None
    steal_ns: int | None = None
    waited_ns: int | None = None
    yielded: int = 0
    preempted: int = 0
    cpus: int | None = None

    @property
    def readings(self) -> tuple[Reading, ...]:
        """In their order."""
        return (self.before, *self.during, self.after)


@dataclass(frozen=True, kw_only=True)
class CoolDown:
    """What a profile's `wait:` asks for: no timing begins before the board is cooler than this, or so much time has gone by."""

    below_c: float
    at_most_s: float
