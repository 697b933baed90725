"""How many times faster, what part of the size: proportions as people say them."""

from __future__ import annotations

import math

_PARTS = (
    (3 / 4, "three quarters of"),
    (2 / 3, "two thirds of"),
    (1 / 2, "half"),
    (1 / 3, "a third of"),
    (1 / 4, "a quarter of"),
    (1 / 5, "a fifth of"),
    (1 / 8, "an eighth of"),
    (1 / 10, "a tenth of"),
)
#: a fraction's word stands for what is so near to it
_NEAR = 1.15
_SAME = 1.02


def times_text(ratio: float) -> str:
    """A factor with two digits: `2.1`, `14`, `160`.

    Args:
        ratio: above 0.
    """
    digits = max(0, 1 - math.floor(math.log10(ratio)))
    rounded = float(f"{ratio:.2g}")
    return f"{rounded:,.{0 if rounded >= 10 else min(digits, 2)}f}"


def speed_words(slow_ns: float, fast_ns: float) -> str:
    """`2.1x` of how many times one is faster than the other."""
    return f"{times_text(max(slow_ns, 1.0) / max(fast_ns, 1.0))}x"


def size_words(size: float, base: float) -> str:
    """`a quarter of the size`, `28 % of the size`, `the same size`, `5 % larger`, `1.2x the size`."""
    ratio = size / base
    if 1 / _SAME <= ratio <= _SAME:
        return "the same size"
    if ratio > 1:
        return f"{times_text(ratio)}x the size" if ratio >= 1.15 else f"{100 * (ratio - 1):.0f} % larger"
    part, words = min(_PARTS, key=lambda known: abs(math.log(known[0] / ratio)))
    if 1 / _NEAR <= ratio / part <= _NEAR:
        return f"{words} the size"
    return f"{100 * ratio:.2g} % of the size"
