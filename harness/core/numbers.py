"""Numbers in sentences: so many significant digits, and no exponent where a reader would have to count zeros."""

from __future__ import annotations

import math

#: below this an exponent says more than zeros behind the point
_TINY = 1e-6


def significant_text(value: float, digits: int = 2) -> str:
    """A number with this many significant digits: `1.6`, `160`, `12,000`, `0.00042`; `4.2e-07` where it is tiny.

    Args:
        value: any number; an infinite one or NaN is written as Python does.
    """
    if value == 0 or not math.isfinite(value) or abs(value) < _TINY:
        return f"{value:.{digits}g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    text = f"{rounded:,.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
