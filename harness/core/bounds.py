"""What a figure can be at all: bounds for numbers that come from outside, each far beyond what was ever seen."""

from __future__ import annotations

from typing import Final

#: nanoseconds: ten times the longest deadline that a profile can set (a day)
MOST_NS: Final = 864_000 * 1_000_000_000
#: bytes of memory or of a file on a board
MOST_BYTES: Final = 1 << 50
#: hertz of a processor
MOST_HZ: Final = 10**11
