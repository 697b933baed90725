"""The float kernels' own functions against float64: over a dense part of all floats, HARNESS_FLOAT_STEP=1 for all of them.

Errors are in units of the last place of the float32 next to the exact value.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

#: every so many bit patterns; a prime, so that all mantissas and signs occur
_STEP = int(os.environ.get("HARNESS_FLOAT_STEP", 3989))
_AT_ONCE = 1 << 22
_FUNCTIONS: dict[str, tuple[int, float, Callable[[np.ndarray], np.ndarray]]] = {
    "elu": (2, 4, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "logistic": (3, 3, lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))),
    "tanh": (4, 2, np.tanh),
    "exp": (6, 2, np.exp),
    "log": (7, 2, np.log),
    "sqrt": (8, 0.5, np.sqrt),
    "rsqrt": (9, 2, lambda x: 1 / np.sqrt(x)),
    "floor": (13, 0, np.floor),
    "ceil": (14, 0, np.ceil),
    "round": (15, 0, np.round),
}


def floats() -> Iterator[np.ndarray]:
    edges = np.array(
        [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 88.72283, 88.72284, -87.33655, -103.97, -104.1], np.float32
    )
    yield edges
    for start in range(0, 1 << 32, _AT_ONCE * _STEP):
        bits = np.arange(start, min(start + _AT_ONCE * _STEP, 1 << 32), _STEP, dtype=np.uint64)
        yield bits.astype(np.uint32).view(np.float32)


def units(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units of the last place; 0 where both are the same infinity, or no number."""
    with np.errstate(all="ignore"):
        near = exact.astype(np.float32)
        place = np.maximum(np.abs(np.spacing(near)).astype(np.float64), 2.0**-149)
        off = np.abs(got.astype(np.float64) - exact) / np.where(np.isfinite(place), place, 2.0**104)
    same = (got == near) | (np.isnan(got) & np.isnan(exact))
    return np.where(same & ~np.isfinite(near), 0.0, np.where(np.isnan(off), np.inf, off))


@pytest.mark.parametrize("name", sorted(_FUNCTIONS))
def test_a_function_is_within_its_units(name: str, plan_library: Path) -> None:
    number, most, exact = _FUNCTIONS[name]
    library = ctypes.CDLL(str(plan_library))
    worst, where = 0.0, 0.0
    for x in floats():
        got = np.empty_like(x)
        zero = ctypes.c_float(0.0)
        library.kn_float_map(
            number, zero, zero, x.size, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(got.ctypes.data)
        )
        with np.errstate(all="ignore"):
            value = exact(x.astype(np.float64))
        off = units(got, value)
        # A denormal result has its error in steps of its own, one more than the function's.
        allowed = np.where(np.abs(value) < 2.0**-125, most + 1, most)
        over = np.argmax(off - allowed)
        if off[over] - allowed[over] > worst - most:
            worst, where = float(off[over] - allowed[over] + most), float(x[over])
    assert worst <= most, f"{name}({where!r}) is {worst:.2f} units off"
