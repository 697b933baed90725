"""What all fuzzers share: cases from a fixed seed within a limit of time, none of which may hang or fill memory.

In the tests each fuzzer takes half a second. `HARNESS_FUZZ_S=600 pytest tests/fuzz` gives each ten minutes, and other cases with
another `HARNESS_FUZZ_SEED`. What a case found is repeated by its number: `HARNESS_FUZZ_CASE=4711`.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from typing import Any

#: what one fuzzer may take, and the fewest cases that it makes however slow the machine is
LIMIT_S, LEAST_CASES = 0.5, 25
#: what one case may take: of time on a busy machine, and of memory over what the process had
CASE_S, CASE_BYTES = 30, 400 << 20

NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**40,
    -(10**40),
    1e308,
    float("nan"),
    float("inf"),
    "",
    "12",
    "x" * 100_000,
    "\x1b[31m\x00\ud800",
    "../../etc/passwd",
    [],
    [[]],
    [[[[[[1]]]]]],
    {},
    {"a": {"b": {"c": None}}},
    ["x"] * 1000,
)


class Hang(AssertionError):
    """A case took too long."""


def cases(name: str) -> Iterator[random.Random]:
    """A generator of random numbers for each case, until the time is over.

    Raises:
        AssertionError: a case hung or took too much memory; the message says which.
    """
    seed = os.environ.get("HARNESS_FUZZ_SEED", "20261129")
    only = os.environ.get("HARNESS_FUZZ_CASE")
    limit_s = float(os.environ.get("HARNESS_FUZZ_S", LIMIT_S))
    began, number = time.monotonic(), 0
    while only is not None or number < LEAST_CASES or time.monotonic() - began < limit_s:
        number = int(only) if only is not None else number
        with _limits(f"{name}, seed {seed}, case {number}"):
            yield random.Random(f"{seed}/{name}/{number}")
        if only is not None:
            return
        number += 1


@contextlib.contextmanager
def _limits(case: str) -> Iterator[None]:
    def hang(_number: int, _frame: object) -> None:
        raise Hang(f"{case} hangs")

    before = signal.signal(signal.SIGALRM, hang)
    peak = _peak_bytes()
    signal.alarm(CASE_S)
    try:
        yield
    except Exception as error:
        error.add_note(f"found by {case}")
        raise
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert _peak_bytes() - peak < CASE_BYTES, f"{case} took {(_peak_bytes() - peak) >> 20} MiB"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few things wrong: flipped, cut, repeated, overwritten with edges of integers."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not found:
            return b""
        at, what = rng.randrange(len(found)), rng.randrange(6)
        if what == 0:
            found[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            found[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
        elif what == 2:
            del found[at:]
        elif what == 3:
            del found[at : at + rng.randrange(1, 64)]
        elif what == 4:
            found[at:at] = found[at : at + rng.randrange(1, 256)]
        else:
            found[at : at + 8] = rng.randbytes(8)
    return bytes(found)


def mutated_value(rng: random.Random, value: Any) -> Any:
    """A JSON value with something wrong somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        what = rng.random()
        if what < 0.15:
            return {key: item for key, item in value.items() if key != name}
        if what < 0.25:
            return {**value, f"unknown_{rng.randrange(9)}": rng.choice(NASTY)}
        return {**value, name: mutated_value(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], mutated_value(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice((-value, value + 1, value * 1000, value * 10**30, float(value), str(value)))
    return rng.choice(NASTY)
