"""The screen: which cells' times are too far from their history to be noise. Nobody is told; suspects are confirmed.

All of a board's cells at once, in natural logarithms of nanoseconds, so that a difference of 0.01 is 1 %. Scales are robust
(Rousseeuw and Croux 1993): a night that a busy neighbour spoilt must not blind the screen for a month.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: nights of a level that are its reference, the first ones: a creeping change must not become its own reference
REFERENCE_NIGHTS = 30
#: a change below this is never suspected
LEAST = math.log(1.02)
#: standard deviations that make a suspect, and that leave a chance of one in five to miss
SUSPECT_SIGMAS, POWER_SIGMAS = 2.5, 0.84
#: the scale before there is history to tell one
PRIOR_SCALE = 0.01
#: nights from which on a cell's own scale counts
OWN_SCALE_FROM = 5
#: control cells that a board's shift needs
LEAST_CONTROLS = 5
#: a noisy cell's sessions differ more than history says
NOISY_FACTOR = 1.5
#: so much longer is the tail of differences between sessions where some of them ran in a slow mode
SECOND_MODE = 1.6


@dataclass(frozen=True, kw_only=True, eq=False)
class Screened:
    """What the screen says of a board's cells, arrays [cells] each; NaN where there is no reference or no time tonight.

    Attributes:
        nights: of the reference, int.
        level: ln of the reference.
        change: tonight less the level and less the board's shift.
        scale: s, of a night's value.
        width: w, of tonight's difference from the level.
        threshold: what makes a suspect.
        slower, faster: suspects, bool.
        detectable: the smallest relative change that is found by the second night four times in five (0.03: 3 %).
    """

    nights: np.ndarray
    level: np.ndarray
    change: np.ndarray
    scale: np.ndarray
    width: np.ndarray
    threshold: np.ndarray
    slower: np.ndarray
    faster: np.ndarray
    detectable: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Shift:
    """How far a board's control cells lie from their own history.

    Attributes:
        value: b, the median log change; 0 without enough controls.
        limit: beyond which the board changed.
        changed: whether it did.
        controls: how many were compared.
    """

    value: float
    limit: float
    changed: bool
    controls: int


def board_shift(history: np.ndarray, tonight: np.ndarray) -> Shift:
    """The shift of a board's control cells.

    Args:
        history: ln ns [controls, nights]; NaN where a control did not run.
        tonight: [controls].
    """
    with np.errstate(all="ignore"):
        level = _median(history)
        moved = tonight - level
        usable = np.isfinite(moved)
        count = int(usable.sum())
        if count < LEAST_CONTROLS:
            return Shift(value=0.0, limit=LEAST, changed=False, controls=count)
        value = float(np.median(moved[usable]))
        nights = history[usable] - level[usable, None]
        shifts = _median(nights.T)
        shifts = shifts[np.isfinite(shifts)]
        spread = (
            1.4826 * float(np.median(np.abs(shifts - np.median(shifts))))
            if len(shifts) >= OWN_SCALE_FROM
            else PRIOR_SCALE
        )
    limit = max(math.log(1.02), 3 * spread)
    return Shift(value=value, limit=limit, changed=abs(value) > limit, controls=count)


def screen(
    history: np.ndarray,
    tonight: np.ndarray,
    *,
    shift: float | np.ndarray = 0.0,
    session_spread: np.ndarray | None = None,
    kept_scale: np.ndarray | None = None,
    noisy: np.ndarray | None = None,
) -> Screened:
    """Screens the cells of one board.

    Args:
        history: ln ns [cells, nights] of each cell's reference; NaN where there is none.
        tonight: [cells]; NaN where a cell told no time.
        shift: of the board, against the nights of the reference: one, or [cells].
        session_spread: sr [cells], of two sessions of one night; NaN or None where a night has but one: the scale stands in.
        kept_scale: [cells], the scale of a reference that a refuted suspect ended; NaN where there is none.
        noisy: bool [cells].
    """
    history = np.atleast_2d(np.asarray(history, float))
    tonight = np.asarray(tonight, float)
    with np.errstate(all="ignore"):
        n = np.isfinite(history).sum(axis=1)
        level = _median(history)
        own = _scales(history, level, n)
        scale = _shrunk(own, n, kept_scale)
        width = scale * np.sqrt(1 + 1.57 / np.maximum(n, 1))
        threshold = np.maximum(LEAST, SUSPECT_SIGMAS * width)
        change = tonight - level - shift
        spread = scale if session_spread is None else np.where(np.isfinite(session_spread), session_spread, scale)
        if noisy is not None:
            spread = np.where(noisy, NOISY_FACTOR * spread, spread)
        detectable = np.expm1(np.maximum(threshold + POWER_SIGMAS * width, math.log(1.01) + 2.1 * spread))
        absent = n == 0
        return Screened(
            nights=n,
            level=level,
            change=change,
            scale=scale,
            width=width,
            threshold=threshold,
            slower=(change > threshold) & ~absent,
            faster=(-change > threshold) & ~absent,
            detectable=np.where(absent, np.nan, detectable),
        )


def session_spread(sessions: np.ndarray) -> np.ndarray:
    """sr: the standard deviation of one session beside another of the same night, [cells].

    Args:
        sessions: ln ns [cells, nights, sessions of a night], NaN where there is none.

    Returns:
        NaN for cells whose nights have but one session.
    """
    if sessions.shape[-1] < 2:
        return np.full(len(sessions), np.nan)
    first, second = np.triu_indices(sessions.shape[-1], 1)
    pairs = np.abs(sessions[..., first] - sessions[..., second]).reshape(len(sessions), -1)
    with np.errstate(all="ignore"):
        middle, tail = _median(pairs) / 0.954, _quantile(pairs, 0.9) / 2.326
        # A tail that much longer than a normal one's is a second mode: a rank sum needs more than its spread to see past it.
        return np.where(tail > SECOND_MODE * middle, NOISY_FACTOR * tail, np.maximum(middle, tail))


def _scales(history: np.ndarray, level: np.ndarray, n: np.ndarray) -> np.ndarray:
    """s_c: of each cell alone; the second term sees a slow mode that a median of deviations does not."""
    deviation = _median(np.abs(history - level[:, None]))
    spread = 1.4826 * deviation * (1 + 0.9 / np.maximum(n, 1))
    return np.maximum(spread, (_quantile(history, 0.9) - level) / 1.2816)


def _shrunk(own: np.ndarray, n: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """s: a cell's own scale, drawn towards that of the board's cells the more, the fewer nights it has."""
    enough = own[(n >= OWN_SCALE_FROM) & np.isfinite(own)]
    board = float(np.median(enough)) if len(enough) else PRIOR_SCALE
    prior = np.full(len(own), board)
    if kept is not None:
        prior = np.where(np.isfinite(kept), kept, prior)
    # Before five nights, what a cell shows of itself may lie far too low, and so may a board's that is as young.
    prior = np.where(n < OWN_SCALE_FROM, np.maximum(prior, PRIOR_SCALE), prior)
    own = np.where(np.isfinite(own), own, 0.0)
    return np.sqrt((4 * prior**2 + np.maximum(n - 1, 0) * own**2) / (n + 3))


def _median(values: np.ndarray) -> np.ndarray:
    return _quantile(values, 0.5)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    """The quantile of each row's finite values, linearly between neighbours; NaN for a row without any.

    numpy's nanquantile goes row by row in Python where a NaN is: this is a hundred times as fast on a thousand cells.
    """
    values = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    n = np.isfinite(values).sum(axis=1)
    if values.shape[1] == 0:
        return np.full(len(values), np.nan)
    place = share * np.maximum(n - 1, 0)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    rows = np.arange(len(values))
    a, b = values[rows, low], values[rows, high]
    part = place - low
    return np.where(n == 0, np.nan, np.where(part == 0, a, a + (b - a) * part))
