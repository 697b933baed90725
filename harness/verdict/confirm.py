"""Confirmation of a suspect: the old and the new artifact in random order within the same minutes, looked at three times.

The test is the exact one-sided rank sum (Wilcoxon 1945; Mann and Whitney 1947) of the new sessions, less a margin of 1 %, against
the old ones. Ties count for "no change". A night's error budget is shared by its suspects, and each one's share is spent over the
looks; what a look cannot reach passes on to the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

#: sessions a side at each look
LOOKS = (4, 8, 16)
#: share of a suspect's error budget that each look may spend
SPENT = (0.0, 0.5, 0.5)
#: a look with a p above this refutes; None: the last one ends in any case
REFUTED_ABOVE = (0.5, 0.3, None)
#: a change up to this is none: other weights of the same network are as much slower or faster by themselves
MARGIN = math.log(1.01)
#: the share of a night's error budget that latency has
LATENCY_BUDGET = 0.005

State = Literal["confirmed", "refuted", "more"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known after a look.

    Attributes:
        state: `confirmed`, `refuted`, or `more` sessions are needed.
        sessions: a side.
        p: one-sided.
        alpha: what p had to be at most; 0 where this look can only refute.
        change: the median log ratio of new to old.
    """

    state: State
    sessions: int
    p: float
    alpha: float
    change: float


def error_share(suspects: int, budget: float = LATENCY_BUDGET) -> float:
    """What one suspect of a night may spend."""
    return budget / max(1, suspects)


def look(old: Sequence[float], new: Sequence[float], alpha: float, *, worse: bool = True) -> Look:
    """Judges the sessions that there are, at one of LOOKS.

    Args:
        old, new: ln of each session's median, in the order of the sessions; as many of both.
        alpha: the suspect's share of the night's error budget, over all looks.
        worse: the suspicion; False: that it became faster.

    Raises:
        ValueError: not as many as a look takes, or not finite.
    """
    count = len(old)
    if count not in LOOKS or len(new) != count:
        raise ValueError(f"{len(old)} old and {len(new)} new sessions; a look takes {LOOKS} a side")
    a, b = np.asarray(old, float), np.asarray(new, float)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a session without a finite time")
    change = float(np.median(b) - np.median(a))
    p = rank_sum_p(b - MARGIN, a) if worse else rank_sum_p(a - MARGIN, b)
    index = LOOKS.index(count)
    allowed = _allowed(alpha)[index]
    refuted_above = REFUTED_ABOVE[index]
    if p <= allowed:
        state: State = "confirmed"
    elif refuted_above is None or p > refuted_above:
        state = "refuted"
    else:
        state = "more"
    return Look(state=state, sessions=count, p=p, alpha=allowed, change=change)


def _allowed(alpha: float) -> tuple[float, ...]:
    """What p may be at each look: its share, and what earlier looks could not reach."""
    left = 0.0
    allowed = []
    for count, share in zip(LOOKS, SPENT, strict=True):
        left += share * alpha
        if share == 0.0 or left < 1 / math.comb(2 * count, count):
            allowed.append(0.0)
        else:
            allowed.append(left)
            left = 0.0
    return tuple(allowed)


def rank_sum_p(larger: np.ndarray, smaller: np.ndarray) -> float:
    """The exact p that `larger` is no larger, one-sided; ties count against it.

    Args:
        larger, smaller: float [k] each.
    """
    wins = int((larger[:, None] > smaller[None, :]).sum())
    return float(_tail(len(larger), len(smaller))[wins])


@lru_cache(maxsize=8)
def _tail(n: int, m: int) -> np.ndarray:
    """P(U >= u) for u = 0..n*m under "no difference", float64: the coefficients of the Gaussian binomial, counted exactly."""
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            counts[u] -= counts[u - m - i]
        for u in range(i, n * m + 1):
            counts[u] += counts[u - i]
    total = math.comb(n + m, n)
    tails, running = [], 0
    for count in reversed(counts):
        running += count
        tails.append(running / total)
    return np.array(tails[::-1])
