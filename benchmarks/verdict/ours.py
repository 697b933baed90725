"""The product's own procedure on series: the screen of every night, and confirmation of its suspects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.verdict.series import Series
from harness.verdict.confirm import LOOKS, error_share, look
from harness.verdict.latency import FRESH_SESSIONS
from harness.verdict.screen import REFERENCE_NIGHTS, Screened, Shift, board_shift, screen, session_spread


@dataclass(kw_only=True)
class Tally:
    """What nights gave.

    Attributes:
        alarms: (cell, night) confirmed as slower.
        suspects: cells that were confirmed or refuted, of how many.
        cells: cell-nights judged.
        shifted: nights on which the board was said to have changed.
        sessions: that confirmation took.
        detectable: of the last night, [cells].
        beyond: on first nights of an epoch, (cell, night) whose fresh sessions lie beyond the history.
    """

    alarms: list[tuple[int, int]] = field(default_factory=list)
    suspects: int = 0
    cells: int = 0
    shifted: list[int] = field(default_factory=list)
    sessions: int = 0
    detectable: np.ndarray | None = None
    beyond: list[tuple[int, int]] = field(default_factory=list)


def judge(
    series: Series, *, first: int = 1, steps: np.ndarray | None = None, epochs: frozenset[int] = frozenset()
) -> Tally:
    """Judges night after night.

    Args:
        first: the first night that is judged; those before are history.
        steps: [cells, nights] log change of tonight's artifact against the level's.
        epochs: nights on which the runtime is another one that changes nothing: control cells begin anew and tell nothing.
    """
    values = np.median(series.sessions, axis=2)
    nights = values.shape[1]
    if steps is not None:
        values = values + steps
    begins = np.zeros(len(values), int)
    kept = np.full(len(values), np.nan)
    tally = Tally()
    for night in range(first, nights):
        if _shift(series.controls, 0, night).changed:
            tally.shifted.append(night)
        shifts = {int(begin): _shift(series.controls, int(begin), night).value for begin in np.unique(begins)}
        history = _history(values, begins, night)
        spread = session_spread(series.sessions[:, max(0, night - REFERENCE_NIGHTS) : night])
        shift = np.array([0.0 if night in epochs else shifts[int(begin)] for begin in begins])
        found = screen(history, values[:, night], shift=shift, session_spread=spread, kept_scale=kept)
        tally.cells += len(values)
        tally.detectable = found.detectable
        suspects = np.flatnonzero(found.slower)
        tally.suspects += len(suspects)
        for cell in suspects.tolist():
            step = 0.0 if steps is None else float(steps[cell, night])
            if night in epochs:
                again = float(np.median(series.fresh(cell, night)[1][:FRESH_SESSIONS])) - found.level[cell]
                tally.beyond += [(cell, night)] if again > found.threshold[cell] else []
            if _confirmed(series, cell, night, step, error_share(len(suspects)), tally):
                tally.alarms.append((cell, night))
            else:
                begins[cell] = night
                kept[cell] = found.scale[cell]
    return tally


def screened(series: Series, night: int) -> Screened:
    """The screen of one night over all nights before it."""
    values = np.median(series.sessions, axis=2)
    return screen(
        values[:, :night][:, :REFERENCE_NIGHTS],
        values[:, night],
        shift=_shift(series.controls, 0, night).value,
        session_spread=session_spread(series.sessions[:, :night]),
    )


def _shift(controls: np.ndarray, begin: int, night: int) -> Shift:
    """The board's shift against the nights that a cell's reference is made of."""
    return board_shift(controls[:, begin:night][:, :REFERENCE_NIGHTS], controls[:, night])


def _history(values: np.ndarray, begins: np.ndarray, night: int) -> np.ndarray:
    """The first nights of each cell's level, NaN where it has fewer."""
    width = min(REFERENCE_NIGHTS, night)
    index = begins[:, None] + np.arange(width)
    inside = index < night
    taken = np.take_along_axis(values, np.minimum(index, night - 1), axis=1)
    return np.where(inside, taken, np.nan)


def _confirmed(series: Series, cell: int, night: int, step: float, alpha: float, tally: Tally) -> bool:
    old, new = series.fresh(cell, night)
    new = new + step
    for count in LOOKS:
        seen = look(old[:count].tolist(), new[:count].tolist(), alpha)
        if seen.state != "more":
            tally.sessions += 2 * count
            return seen.state == "confirmed"
    raise AssertionError("the last look ends")
