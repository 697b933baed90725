"""A program that prints a line of numbers for each sample: read in a thread of its own, its clock brought to this machine's.

The program's own times are kept, because lines come in bursts; what they are off by is the least that any line was under way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.errors import DeviceError
from harness.core.printable import visible
from harness.links.base import Channel, ChannelTimeout
from harness.meters.base import Meter, MeterFailure, Trace

#: how long the first samples may take to come, and those of an interval that has passed
_FIRST_S, _LATE_S = 10.0, 3.0
_SLICE_S = 0.2
_CHUNK_BYTES = 1 << 16
_LINE_BYTES = 4096
#: a gap of so many usual distances between samples, and of so much time, is none that a trapezoid may bridge
_GAP_FACTOR, _GAP_S = 20.0, 0.02
#: samples that are kept at most: 100 kHz for three minutes
_MOST_SAMPLES = 20_000_000
#: so many lines that are no samples in a row end it
_BAD_LINES = 50


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One line, read.

    Attributes:
        time_s: of the program's own clock; None: it tells none, and the line's arrival counts.
        clipped: a value is at the end of its range.
    """

    time_s: float | None
    power_w: float
    marked: bool | None = None
    clipped: bool = False


#: makes a sample of a line; None: it is no sample (a heading, a comment). ValueError: it should be one
ReadLine = Callable[[str], Sample | None]


class StreamMeter(Meter):
    """A meter behind a program's standard output."""

    def __init__(
        self, instrument: str, rail: str, start: Callable[[], Channel], read_line: ReadLine, *, name: str
    ) -> None:
        self.instrument = instrument
        self.rail = rail
        self._start = start
        self._read_line = read_line
        self._name = name
        self._channel: Channel | None = None
        self._thread: threading.Thread | None = None
        self._came = threading.Condition()
        self._rows: list[tuple[float, float, int, bool]] = []
        self._offset_s = float("inf")
        self._problem: str | None = None
        self._closing = False

    def open(self) -> None:
        self.close()
        self._rows, self._offset_s, self._problem, self._closing = [], float("inf"), None, False
        try:
            self._channel = self._start()
        except DeviceError as error:
            raise MeterFailure(f"the meter's program does not start: {error}", where=self._name) from error
        self._thread = threading.Thread(target=self._read, name=f"meter {self._name}", daemon=True)
        self._thread.start()
        with self._came:
            self._came.wait_for(lambda: len(self._rows) >= 2 or self._problem is not None, _FIRST_S)
            if len(self._rows) < 2:
                why = self._problem or f"it printed no samples within {_FIRST_S:g} s"
                raise MeterFailure(f"the meter gives nothing: {why}", where=self._name, hint="run its program by hand")

    def trace(self, begun_s: float, ended_s: float) -> Trace:
        with self._came:
            self._came.wait_for(lambda: self._latest_s() >= ended_s or self._problem is not None, _LATE_S)
            rows = np.array(self._rows, dtype=np.float64).reshape(-1, 4)
            offset_s = self._offset_s
        times = rows[:, 0] + (offset_s if np.isfinite(offset_s) else 0.0)
        inside = (times >= begun_s) & (times <= ended_s)
        marks = rows[inside, 2]
        return Trace(
            times_s=times[inside],
            power_w=rows[inside, 1],
            marked=None if len(marks) == 0 or (marks < 0).any() else marks > 0,
            clipped=int(rows[inside, 3].sum()),
            complete=_reaches(times, inside, begun_s, ended_s),
        )

    def close(self) -> None:
        self._closing = True
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.interrupt()
            if self._thread is not None:
                self._thread.join(5.0)
            channel.close()

    def _latest_s(self) -> float:
        if not self._rows:
            return float("-inf")
        return self._rows[-1][0] + (self._offset_s if np.isfinite(self._offset_s) else 0.0)

    # ------------------------------------------------------------------------------------------------ the thread

    def _read(self) -> None:
        channel = self._channel
        assert channel is not None
        rest = b""
        bad = 0
        while not self._closing:
            try:
                data = channel.recv_some(_CHUNK_BYTES, _SLICE_S)
            except ChannelTimeout:
                continue
            except DeviceError:
                self._stopped(channel)
                return
            now_s = time.monotonic()
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_LINE_BYTES:]
            samples = []
            for line in lines:
                text = line[:_LINE_BYTES].decode("utf-8", "replace").strip()
                try:
                    sample = self._read_line(text) if text else None
                except ValueError as error:
                    bad += 1
                    if bad >= _BAD_LINES:
                        self._end(f"what it prints cannot be read: {error} in {visible(text[:80])!r}")
                        return
                    continue
                if sample is not None:
                    samples.append(sample)
                    bad = 0
            self._take(samples, now_s)

    def _take(self, samples: Sequence[Sample], now_s: float) -> None:
        with self._came:
            for sample in samples:
                at_s = now_s if sample.time_s is None else sample.time_s
                if sample.time_s is not None:
                    self._offset_s = min(self._offset_s, now_s - sample.time_s)
                if self._rows and at_s <= self._rows[-1][0]:
                    continue  # the same moment twice, or a clock that was set back: no interval between them
                mark = -1 if sample.marked is None else int(sample.marked)
                self._rows.append((at_s, sample.power_w, mark, sample.clipped))
            del self._rows[: max(0, len(self._rows) - _MOST_SAMPLES)]
            self._came.notify_all()

    def _stopped(self, channel: Channel) -> None:
        said = [line.strip() for line in channel.stderr_tail().splitlines() if line.strip()][-2:]
        self._end("its program has ended" + (f": {visible(' | '.join(said))}" if said else ""))

    def _end(self, problem: str) -> None:
        with self._came:
            self._problem = problem
            self._came.notify_all()


def _reaches(times: np.ndarray, inside: np.ndarray, begun_s: float, ended_s: float) -> bool:
    """Whether samples go from one end of an interval to the other without a hole."""
    found = times[inside]
    if len(found) < 2:
        return False
    steps = np.diff(found)
    most_s = max(_GAP_S, _GAP_FACTOR * float(np.median(steps)))
    ends = max(float(found[0]) - begun_s, ended_s - float(found[-1]))
    return max(float(steps.max()), ends) <= most_s
