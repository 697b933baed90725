"""Waiting for a cooler board before its figures are taken, as its profile says (`wait: {below_c: 60}`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from harness.boards.base import Board
from harness.boards.surroundings import CoolDown
from harness.run.measurement import Cooling, Measurement

#: between two looks at the temperature; an interrupted run ends within it
PAUSE_S = 1.0


def wait_until_cool(
    board: Board,
    wanted: CoolDown | None,
    measurement: Measurement,
    stage: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Waits until the board is cooler than wanted, or the cell's time for it is over; notes how long in `measurement`.

    May be called before each start: all of a cell's waits share one deadline. A board that tells no temperature is not waited
    for.

    Raises:
        DeviceError: the link is gone, or the run was interrupted.
    """
    if wanted is None:
        return
    so_far = measurement.cooling or Cooling(below_c=wanted.below_c)
    begun_s, celsius = clock(), _celsius(board)
    so_far = replace(so_far, first_c=celsius if so_far.first_c is None else so_far.first_c)
    waited_s = so_far.waited_s
    while celsius is not None and celsius >= wanted.below_c and waited_s < wanted.at_most_s:
        stage(f"cooling, {celsius:.0f} °C")
        sleep(min(PAUSE_S, wanted.at_most_s - waited_s))
        celsius = _celsius(board)
        waited_s = so_far.waited_s + clock() - begun_s
    measurement.cooling = replace(so_far, waited_s=waited_s, last_c=celsius)


def _celsius(board: Board) -> float | None:
    reading = board.sense()
    return None if reading is None else reading.temperature_c
