"""Scores in groups: what a test cannot tell apart stands together, and no winner is crowned within."""

from __future__ import annotations

from collections.abc import Callable


def layers(count: int, shown_better: Callable[[int, int], bool]) -> list[int]:
    """The group of each of `count` cells, 0 for the best.

    In the first are all that no other is shown to beat, in the next all that only those of the first are shown to beat, and so
    on. "Cannot be told apart" is no equality: of A, B and C with only A and C told apart, B stands beside A. Were all of some
    cells beaten in a circle, they would be one group.

    Args:
        shown_better: whether the first cell's score is better than the second's by more than chance.
    """
    found = [-1] * count
    left = list(range(count))
    number = 0
    while left:
        top = [i for i in left if not any(shown_better(j, i) for j in left if j != i)] or left
        for i in top:
            found[i] = number
        left = [i for i in left if i not in top]
        number += 1
    return found
