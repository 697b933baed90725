"""Raw rows that an agent sends before its answer: kept as bytes, never more of them than were asked for, then made arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.boards.linux import answers
from harness.boards.linux.answers import MalformedAnswer
from harness.core.bounds import MOST_NS
from harness.links.framing import Frame

#: the numbers of rows that are times
INVOKES, WARM_UP = -1, -2


class Rows:
    """Bytes by the number of the output that they are of."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._room: dict[int, int] = {}
        self._data: dict[int, bytearray] = {}

    def expect(self, room: Mapping[int, int]) -> None:
        """Tells how many bytes of each output may come, at most; of any other none may."""
        self._room.update(room)
        for number in room:
            self._data.setdefault(number, bytearray())

    def take(self, frame: Frame) -> None:
        """Keeps the payload of a `rows` frame.

        Raises:
            MalformedAnswer: nothing of this output was asked for, or not so much.
        """
        number = answers.read(answers.Rows, frame.header, self._verb).output
        if number not in self._room:
            raise self._wrong(f"rows of output {number} came, which nobody asked for")
        data, room = self._data[number], self._room[number]
        if len(data) + len(frame.payload) > room:
            raise self._wrong(f"more than the {room:,} bytes came of output {number} that it may have")
        data.extend(frame.payload)

    def array(self, number: int, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        """All that came of an output.

        Raises:
            MalformedAnswer: it is not what the answer says.
        """
        data, kind = self._data.get(number, bytearray()), np.dtype(dtype)
        size = kind.itemsize
        for axis in shape:
            size *= axis
        if len(data) != size:
            raise self._wrong(f"{len(data):,} bytes came for an array of {dtype} {list(shape)}")
        return np.frombuffer(data, kind).reshape(shape)

    def times(self, number: int, count: int) -> np.ndarray:
        """Times, int64 [count] nanoseconds.

        Raises:
            MalformedAnswer: as `array`; or a time that no clock gives: negative, of days, or all of them zero.
        """
        times = self.array(number, "<i8", (count,))
        if count and (int(times.min()) < 0 or int(times.max()) > MOST_NS):
            raise self._wrong(
                f"a time between {int(times.min())} and {int(times.max())} ns is none that an invoke takes"
            )
        if count and not times.any():
            raise self._wrong("its clock stands still: every time is 0 ns")
        return times

    def _wrong(self, what: str) -> MalformedAnswer:
        return MalformedAnswer(f"the board's answer to `{self._verb}` makes no sense: {what}", hint=answers.HINT)
