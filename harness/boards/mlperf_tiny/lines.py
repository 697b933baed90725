"""The words of MLPerf Tiny's serial protocol, without a port: what a reply's lines mean, how bytes of an input travel.

The protocol is that of the reference firmware in github.com/mlcommons/tiny (benchmark/api, benchmark/reference_submissions):
commands end with `%` and no newline, replies are lines, the last one `m-ready`. See docs/guides/mlperf-tiny.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.core.bounds import MOST_NS
from harness.core.printable import visible

READY = "m-ready"
#: bytes that one `db` command carries: the firmware keeps 80 characters of a command, and the published runner sends so many
CHUNK_BYTES = 31
#: `m-lap-us-N` is printed from a counter that is 32 bits wide on the published boards: it wraps every 71.6 minutes
TIMER_WRAP_US = 1 << 32
#: what a board says when it starts
_BOOT = ("m-timestamp-mode-", "m-init-done")
_LAP = re.compile(r"m-lap-us-(\d{1,20})")
_RESULTS = re.compile(r"m-results-\[(.*)\]")
_BUFFER = re.compile(r"m-buffer-((?:[0-9a-fA-F]{2}-?)+)")
#: lines that are no `e-[...]` and say that the firmware cannot do it: an input of the wrong size, and TFLite Micro's own words
_SIZE_WORDS = (
    re.compile(r"Input db has (?P<has>\d+) elemented, expected (?P<wants>\d+)"),
    re.compile(r"Supplied buffer size (?P<has>\d+) exceeds maximum of (?P<wants>\d+)"),
)
_FAILED_WORDS = ("Invoke failed", "AllocateTensors() failed", "Bad input tensor parameters")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The lines between a command and `m-ready`.

    Attributes:
        lines: without their ends and without `m-ready`, as text; bytes that are no printable ASCII are `?`.
        ready: False when the time was over before `m-ready` came.
        booted: the board started anew while it was waited for.
    """

    lines: tuple[str, ...] = ()
    ready: bool = True
    booted: bool = False

    @property
    def error(self) -> str | None:
        """The first `e-[...]`, without its brackets."""
        return next((line[2:].strip("[]") for line in self.lines if line.startswith("e-")), None)

    @property
    def wrong_size(self) -> str | None:
        """The firmware's words for an input of the wrong size."""
        return next((line for line in self.lines if any(words.search(line) for words in _SIZE_WORDS)), None)

    @property
    def gave_up(self) -> str | None:
        """TFLite Micro's words for an inference or a model that failed."""
        return next((line for line in self.lines if any(words in line for words in _FAILED_WORDS)), None)

    @property
    def laps_us(self) -> tuple[int, ...]:
        """The timer's readings, microseconds."""
        found = (_LAP.fullmatch(line) for line in self.lines)
        return tuple(int(match[1]) for match in found if match)

    def says(self, start: str) -> str | None:
        """What follows `start` on the first line that starts so."""
        return next((line[len(start) :] for line in self.lines if line.startswith(start)), None)

    def in_brackets(self, start: str) -> str | None:
        """The text in the brackets of the first line `start[...]`; None when there is no such whole line."""
        rest = self.says(start + "[")
        return rest[:-1] if rest is not None and rest.endswith("]") else None

    def results(self) -> tuple[float, ...] | None:
        """The numbers of `m-results-[...]`; None when the line is missing or garbled.

        The published vww firmware ends its list with a comma.
        """
        for line in self.lines:
            match = _RESULTS.fullmatch(line)
            if match:
                try:
                    values = tuple(float(part) for part in match[1].removesuffix(",").split(","))
                except ValueError:
                    return None
                return values if all(map(math.isfinite, values)) else None
        return None

    def ran(self, inferences: int, warmups: int) -> bool:
        """Whether it is the reply to `infer inferences warmups`, and not to what noise made of that."""
        warmed = self.says("m-warmup-start-")
        return self.says("m-infer-start-") == str(inferences) and warmed in (None, str(warmups))

    def buffer(self) -> bytes:
        """What `db print` showed."""
        found = (_BUFFER.fullmatch(line) for line in self.lines)
        return b"".join(bytes.fromhex(match[1].replace("-", "")) for match in found if match)

    def elapsed_us(self) -> int | None:
        """The time between the two laps of an `infer`, microseconds; None unless there are two whole ones, and it can be."""
        laps = self.laps_us
        if len(laps) != 2:
            return None
        first, last = laps
        if last < first:
            if first >= TIMER_WRAP_US:
                return None
            last += TIMER_WRAP_US
        elapsed = last - first
        return elapsed if elapsed * 1000 <= MOST_NS else None


@dataclass
class LineSplitter:
    """Bytes to lines; ends of line are CR, LF, or both. A line that never ends is cut, so that noise takes no memory."""

    limit: int = 4096
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now, without empty ones."""
        self._rest += data
        *whole, rest = re.split(rb"[\r\n]", bytes(self._rest))
        self._rest = bytearray(rest[-self.limit :])
        lines = (visible(line[: self.limit].decode("ascii", "replace")) for line in whole if line)
        return [line.replace("\ufffd", "?") for line in lines]

    def clear(self) -> None:
        """Forgets an unfinished line."""
        self._rest.clear()


def is_boot(line: str) -> bool:
    """Whether only a board that starts says so."""
    return line.startswith(_BOOT)


def load_commands(data: bytes) -> Iterator[str]:
    """The commands that carry one input to the board, without their `%`."""
    yield f"db load {len(data)}"
    for at in range(0, len(data), CHUNK_BYTES):
        yield f"db {data[at : at + CHUNK_BYTES].hex()}"
