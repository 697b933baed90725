"""Limits are read with their units, and nothing plausible comes of what is no limit."""

from __future__ import annotations

import pytest

from harness.core.errors import UserInputError
from harness.reports.answer.limits import parse_drop, parse_latency_ns, parse_size_bytes
from harness.reports.answer.ratio import size_words, speed_words, times_text


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("5ms", 5e6),
        ("300us", 3e5),
        ("300 \u00b5s", 3e5),
        ("300\u03bcs", 3e5),
        ("850ns", 850),
        ("1.5s", 1.5e9),
        (".5ms", 5e5),
    ],
)
def test_latencies(text, ns):
    assert parse_latency_ns(text) == pytest.approx(ns)


@pytest.mark.parametrize("text", ["5", "", "ms", "-5ms", "0ms", "5m", "5 ms ms", "nan", "inf s", "1e999s", "5,0ms"])
def test_what_is_no_latency(text):
    with pytest.raises(UserInputError):
        parse_latency_ns(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200k", 200_000),
        ("200K", 200_000),
        ("200kB", 200_000),
        ("200KiB", 204_800),
        ("1.5M", 1_500_000),
        ("4096", 4096),
        ("64B", 64),
    ],
)
def test_sizes(text, size):
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1k", "200G", "200 k b", "big", "1e999", "200k!"])
def test_what_is_no_size(text):
    with pytest.raises(UserInputError):
        parse_size_bytes(text)


@pytest.mark.parametrize(
    ("text", "drop"), [("0.01", 0.01), ("0", 0), ("1p", 0.01), ("1 point", 0.01), ("2.5pt", 0.025)]
)
def test_drops(text, drop):
    assert parse_drop(text) == pytest.approx(drop)


@pytest.mark.parametrize("text", ["1%", "-0.01", "one", "", "nan", "0.01ms"])
def test_what_is_no_drop(text):
    with pytest.raises(UserInputError):
        parse_drop(text)


def test_proportions_are_said_as_people_say_them():
    assert [times_text(v) for v in (1.04, 2.14, 9.96, 14.4, 160.2, 12_345)] == [
        "1.0",
        "2.1",
        "10",
        "14",
        "160",
        "12,000",
    ]
    assert speed_words(21_000, 10_000) == "2.1x"
    sizes = [size_words(s, 100) for s in (28, 50, 75, 9, 100, 101, 130, 42, 3)]
    assert sizes == [
        "a quarter of the size",
        "half the size",
        "three quarters of the size",
        "a tenth of the size",
        "the same size",
        "the same size",
        "1.3x the size",
        "42 % of the size",
        "3 % of the size",
    ]
