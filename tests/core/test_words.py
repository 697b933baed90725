"""Names that were mistyped, and numbers in sentences."""

from __future__ import annotations

import pytest

from harness.core.errors import unknown_name
from harness.core.names import near_names
from harness.core.numbers import significant_text


@pytest.mark.parametrize(
    ("typed", "known", "near"),
    [
        ("refusd", ["refused", "rules", "taken"], ["refused"]),
        ("serail", ["serial", "serial_env", "baud"], ["serial", "serial_env"]),
        ("FULYCONNECTED", ["fullyconnected", "conv2d"], ["fullyconnected"]),
        ("npu", ["cpu", "cpu-ref"], []),
        ("f2", ["f1", "top1"], ["f1"]),
        ("zebra", ["report", "build", "devices"], []),
    ],
)
def test_only_names_near_a_mistyped_one_are_suggested(typed, known, near):
    assert near_names(typed, known) == near


def test_where_nothing_is_near_the_known_names_are_told():
    assert unknown_name("backend", "npu", ["cpu-ref", "cpu"]).hint == "known: cpu, cpu-ref"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (160.2, "160"),
        (1.64, "1.6"),
        (12_345.0, "12,000"),
        (0.00042, "0.00042"),
        (9.96, "10"),
        (4.2e-7, "4.2e-07"),
        (0, "0"),
    ],
)
def test_a_number_in_a_sentence_has_no_exponent_unless_it_is_tiny(value, text):
    assert significant_text(value) == text
