"""Which known names a mistyped one may have meant: few, and only such as are really near it."""

from __future__ import annotations

from collections.abc import Iterable

#: similarity (0 to 1, Ratcliff and Obershelp) from which on a name is near; a short name changes much by one letter
_NEAR, _NEAR_SHORT = 0.6, 0.5
_SHORT = 4
#: a name that is so much less similar than the nearest one was not meant
_BEHIND = 0.25


def near_names(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The known names that `name` may have meant, the nearest first; none where all are far off. Case does not matter."""
    from difflib import SequenceMatcher

    typed = name.lower()
    matcher = SequenceMatcher(None, "", typed)
    ratios = {}
    short = len(typed) <= _SHORT
    for candidate in sorted(known):
        if short and candidate[:1].lower() != typed[:1]:
            continue  # of `npu` and `cpu` nobody meant the other
        matcher.set_seq1(candidate.lower())
        ratios[candidate] = matcher.ratio()
    best = max(ratios.values(), default=0.0)
    least = max(_NEAR_SHORT if short else _NEAR, best - _BEHIND)
    near = sorted((c for c, ratio in ratios.items() if ratio >= least), key=lambda c: (-ratios[c], c))
    return near[:most]
