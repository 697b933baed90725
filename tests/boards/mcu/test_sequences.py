"""How a microcontroller is asked for the samples of sequences."""

import pytest

from harness.boards.mcu.worker import _alike


def asked(start, count, beginnings):
    """(first row, rows, carry) of each request, where the board has room for all."""
    ends, row, found = _alike(start, count, beginnings), start, []
    while row < start + count:
        carry, end = ends(row)
        found.append((row, end - row, carry))
        row = end
    return found


@pytest.mark.parametrize(
    ("start", "count", "beginnings", "expected"),
    [
        (0, 5, None, [(0, 5, False)]),
        (0, 5, [0], [(0, 1, False), (1, 4, True)]),
        (0, 5, [0, 2, 3], [(0, 1, False), (1, 1, True), (2, 1, False), (3, 1, False), (4, 1, True)]),
        (2, 3, [0, 9], [(2, 1, False), (3, 2, True)]),
    ],
)
def test_the_first_of_a_sequence_begins_anew_and_the_rest_carries_on(start, count, beginnings, expected):
    assert asked(start, count, beginnings) == expected
