"""What an answer must keep to: how much score may be lost, how long an inference may take, how large the file may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.core.errors import UserInputError

Prefer = Literal["speed", "size"]

#: how much of the float model's score a pick may lose where nobody says: of 1 where the score is a share, else of the score
USUAL_DROP = 0.01

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")
_TIMES_NS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}
#: multiples as they are printed on parts and in data sheets: k is 1,000 and Ki 1,024
_SIZES = {
    prefix + unit: float(factor)
    for prefix, factor in (("", 1), ("k", 10**3), ("ki", 2**10), ("m", 10**6), ("mi", 2**20))
    for unit in ("", "b")
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a pick must keep to.

    Attributes:
        max_drop: the most that the score may be worse than the float model's, in its unit; None: USUAL_DROP.
        max_latency_ns: the longest median latency.
        max_size_bytes: the largest .tflite.
        prefer: what decides among those that keep to all of it.
    """

    max_drop: float | None = None
    max_latency_ns: float | None = None
    max_size_bytes: float | None = None
    prefer: Prefer = "speed"


def refuse_more_than_all(drop: float) -> None:
    """Refuses a drop that no accuracy can exceed: points of a hundred were meant.

    Raises:
        UserInputError: it is 1 or more.
    """
    if drop >= 1:
        raise UserInputError(
            f"a drop of {drop:g} is more than all of a score that lies in 0 to 1",
            hint=f"write {drop:g}p for points of a hundred, or {drop / 100:g}",
        )


def parse_drop(text: str) -> float:
    """A drop of the score in its own unit, such as `0.01`; of a share also `1p` or `1 point`, which is .01.

    Raises:
        UserInputError: anything else, or less than nothing.
    """
    value, unit = _parts(text, "a drop of the score", "write it like 0.01, or 1p for one point of a hundred")
    if unit.lower() in ("p", "pt", "pts", "point", "points"):
        return value / 100
    if unit == "%":
        raise UserInputError(
            f"'{text}' may be points or a share of the score",
            hint=f"write {value:g}p for points of a hundred, or {value / 100:g} in the score's own unit",
        )
    if unit:
        raise UserInputError(f"'{text}' is not a drop of the score", hint="write it like 0.01, in the score's own unit")
    return value


def parse_latency_ns(text: str) -> float:
    """Nanoseconds of `5ms`, `300us`, `850 ns` or `1.5s`.

    Raises:
        UserInputError: anything else; a number without its unit, too.
    """
    hint = "write it with its unit, like 5ms, 300us or 1.5s"
    value, unit = _parts(text, "a latency", hint)
    if unit not in _TIMES_NS:
        what = f"'{text}' has no unit of time" if not unit else f"'{unit}' is no unit of time"
        raise UserInputError(what, hint=hint)
    return _positive(value * _TIMES_NS[unit], text, "a latency")


def parse_size_bytes(text: str) -> float:
    """Bytes of `200k` (200,000), `200KiB` (204,800), `1.5M` or `4096`.

    Raises:
        UserInputError: anything else.
    """
    hint = "write it like 200k (200,000 bytes), 200KiB (204,800), 1.5M or 4096"
    value, unit = _parts(text, "a size", hint)
    if unit.lower() not in _SIZES:
        raise UserInputError(f"'{unit}' is no unit of size", hint=hint)
    return _positive(value * _SIZES[unit.lower()], text, "a size")


def _parts(text: str, what: str, hint: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UserInputError(f"'{text}' is not {what}", hint=hint)
    value = float(match[1])
    if not 0 <= value < float("inf"):
        raise UserInputError(f"'{text}' is not {what}: it cannot be met", hint=hint)
    return value, match[2]


def _positive(value: float, text: str, what: str) -> float:
    if value <= 0:
        raise UserInputError(f"'{text}' is not {what}: nothing is so little")
    return value
