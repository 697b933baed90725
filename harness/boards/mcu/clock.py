"""What a microcontroller's counter means: instructions in an emulator that counts them, cycles, or ticks of a timer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.boards.base import Counts
from harness.core.bounds import MOST_NS
from harness.core.fingerprint import TimeBasis
from harness.emulation.mcu.machine import instructions
from harness.links.serial.messages import ProtocolError

#: `tick_unit` of HELLO
TIMER_TICKS, CORE_CYCLES = 1, 2


@dataclass(frozen=True, kw_only=True)
class McuClock:
    """The counter of one board.

    Attributes:
        tick_hz, tick_unit: as HELLO says.
        icount_shift: QEMU's `-icount shift=N`: each instruction lets 2^N ns of the guest's time pass. None on a real board.
    """

    tick_hz: int
    tick_unit: int
    icount_shift: int | None = None

    @property
    def time_basis(self) -> TimeBasis:
        """What the board's figures are."""
        if self.icount_shift is not None:
            return "guest-instructions"
        return "device-cycles" if self.tick_unit == CORE_CYCLES else "device"

    @property
    def unit(self) -> Literal["instructions", "cycles"] | None:
        """What is counted; None where only a time is known."""
        if self.icount_shift is not None:
            return "instructions"
        return "cycles" if self.tick_unit == CORE_CYCLES else None

    def counts(self, ticks: np.ndarray) -> Counts | None:
        """Exact work of intervals of int64 [n] ticks."""
        if self.unit is None:
            return None
        self._require_possible(ticks)
        if self.icount_shift is None:
            return Counts(unit="cycles", values=np.asarray(ticks, dtype=np.int64))
        values = [instructions(int(value), self.tick_hz, self.icount_shift) for value in ticks]
        return Counts(unit="instructions", values=np.array(values, dtype=np.int64))

    def ns(self, ticks: np.ndarray) -> np.ndarray:
        """Nanoseconds of int64 [n] ticks; empty in an emulator, whose clock says nothing of a real core's."""
        self._require_possible(ticks)
        if self.icount_shift is not None:
            return np.zeros(0, np.int64)
        whole = np.asarray(ticks, dtype=np.int64).astype(object) * 1_000_000_000
        return np.array([(2 * value + self.tick_hz) // (2 * self.tick_hz) for value in whole], dtype=np.int64)

    def one_ns(self, ticks: int) -> int | None:
        """Nanoseconds of one interval; None in an emulator."""
        found = self.ns(np.array([ticks]))
        return int(found[0]) if len(found) else None

    def _require_possible(self, ticks: np.ndarray) -> None:
        """Raises ProtocolError for ticks that would be weeks, which no inference takes."""
        most = max((int(value) for value in ticks), default=0)
        if most * 1_000_000_000 > MOST_NS * self.tick_hz:
            raise ProtocolError(
                f"{most} ticks, at a tick_hz of {self.tick_hz}, are longer than any inference takes",
                hint="the board's counter or its tick_hz is wrong: look at its port",
            )
