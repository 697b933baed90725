"""YAML that no profile can be made of: tags, binary data, halves of characters, and damage at random."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from harness.boards.profile.model import Profile
from harness.core.errors import HarnessError, UserInputError
from harness.core.located_errors import validate
from harness.core.located_yaml import parse_yaml
from tests.support.fixtures_devices import MINIMAL

PATH = Path("board.yaml")
TAGS = (
    "!!binary aGVsbG8=", "!!set {x}", "!!omap [x: 1]", "!!pairs [x: 1]", "!!bool maybe", "!!int zz", "!!timestamp zz", "!foo bar",
    "!!python/object:os.system x", "!!merge x", "!!value =", "&a [*a]", "*gone", '"\\ud800"', "2020-13-45", "!!seq {a: 1}",
)  # fmt: skip


@pytest.mark.parametrize("value", TAGS)
def test_a_value_that_no_profile_can_hold_is_an_error_at_its_place(value):
    with pytest.raises(UserInputError) as caught:
        validate(Profile, parse_yaml(MINIMAL.replace("a board", value), PATH))
    assert str(caught.value.where).startswith("board.yaml")


def test_binary_data_are_called_what_they_are():
    with pytest.raises(UserInputError, match="board.yaml:1:4: found binary data, which a profile cannot hold"):
        parse_yaml("a: !!binary aGVsbG8=", PATH)


@pytest.mark.parametrize("text", [*TAGS, "? !!binary aGk=\n: 1", "? [a]\n: 1", "a: \x00", "<<: 3"])
def test_no_file_of_odd_yaml_makes_a_traceback(text):
    try:
        parse_yaml(text, PATH)
    except UserInputError as error:
        assert "board.yaml" in str(error)


@pytest.mark.slow
def test_no_damage_of_a_profile_makes_a_traceback():
    """Characters, lines and tags changed at random in a real profile, for a few seconds: a profile, or an error with its file."""
    rng = np.random.default_rng(20261128)
    pieces = [
        *TAGS,
        "[",
        "{",
        "]",
        "}",
        ":",
        "- ",
        "? ",
        "'",
        '"',
        "|",
        ">",
        "%",
        "\t",
        "\n",
        " ",
        "#",
        "~",
        ".inf",
        "1e999",
        "é",
        "\x7f",
        "<<: *a",
    ]
    ends_s, tried, refused = time.monotonic() + 5, 0, 0
    while tried < 2000 and time.monotonic() < ends_s:
        text = MINIMAL
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(text)))
            cut = at + int(rng.integers(0, 6))
            text = text[:at] + pieces[rng.integers(len(pieces))] + text[cut:]
        tried += 1
        try:
            validate(Profile, parse_yaml(text, PATH))
        except HarnessError as error:
            assert "board.yaml" in str(error)
            refused += 1
    assert tried > 50 and refused > tried / 2
