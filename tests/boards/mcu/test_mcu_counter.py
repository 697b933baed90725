"""64 bits of time out of two counters of 32: exact through every wrap of either."""

from __future__ import annotations

import ctypes
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.places import ROOT

SOURCE = ROOT / "devices" / "cortex_m" / "firmware" / "wide_counter.c"
SHIFT = 8
WORD = 2**32


class State(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("coarse_shift", "coarse_last", "coarse_high", "fine_offset")]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("counter") / "wide_counter.so"
    subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", "-o", str(path), str(SOURCE)], check=True)
    library = ctypes.CDLL(str(path))
    library.wide_counter_read.restype = ctypes.c_uint64
    return library


@settings(max_examples=300, deadline=None)
@given(
    fine_start=st.integers(0, WORD - 1),
    coarse_start=st.integers(0, WORD - 1),
    # Each step may take the fine counter round many times, and the coarse one nearly once.
    steps=st.lists(
        st.integers(0, 10) | st.integers(0, WORD * 2) | st.integers(0, (WORD << SHIFT) - (1 << 33)), max_size=30
    ),
)
def test_differences_are_exact(library, fine_start, coarse_start, steps):
    state = State(coarse_shift=SHIFT)
    read = library.wide_counter_read
    library.wide_counter_start(ctypes.byref(state), fine_start, coarse_start)
    origin = read(ctypes.byref(state), fine_start, coarse_start)
    now = 0
    for step in steps:
        now += step
        fine, coarse = (fine_start + now) % WORD, (coarse_start + (now >> SHIFT)) % WORD
        assert read(ctypes.byref(state), fine, coarse) - origin == now
