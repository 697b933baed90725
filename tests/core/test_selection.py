"""Which tests are slow and in which order files are run: the tables name what exists, and do what they say."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.selection import LONGEST_FILES, SLOW_FILES, SLOW_FIXTURES, is_slow, longest_first

FILES = [str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests").rglob("test_*.py")]


class Item:
    """As much of a collected test as the selection looks at."""

    def __init__(self, file: str, *fixtures: str, marked: bool = False) -> None:
        self.nodeid = f"tests/{file}::test_it[a::b]"
        self.fixturenames = fixtures
        self.marked = marked

    def get_closest_marker(self, name: str) -> object:
        return object() if self.marked and name == "slow" else None


def test_a_test_is_slow_by_its_mark_its_fixtures_or_its_file():
    assert not is_slow(Item("core/test_files.py", "tmp_path"))
    assert is_slow(Item("core/test_files.py", marked=True))
    assert is_slow(Item("core/test_files.py", "tmp_path", "emulated_board"))
    assert is_slow(Item("emulation/test_twin.py"))
    assert not is_slow(Item("emulation/test_emulation_parts.py"))


def test_the_longest_files_come_first_then_other_slow_ones_and_each_stays_in_its_order():
    items = [
        Item("core/test_files.py"),
        Item("links/test_framing.py", marked=True),
        Item(LONGEST_FILES[1]),
        Item("core/test_errors.py"),
        Item(LONGEST_FILES[0]),
    ]
    names = [item.nodeid.split("::")[0].removeprefix("tests/") for item in longest_first(items)]
    assert names == [*LONGEST_FILES[:2], "links/test_framing.py", "core/test_files.py", "core/test_errors.py"]


@pytest.mark.parametrize("pattern", [*SLOW_FILES, *LONGEST_FILES])
def test_every_file_that_the_tables_name_exists(pattern: str):
    assert [name for name in FILES if fnmatchcase(name, pattern)]


def test_every_fixture_that_the_table_names_exists():
    defined = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name in SLOW_FIXTURES if f"def {name}(" not in defined] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import tensorflow", "--fast has neither TensorFlow nor QEMU"),
        ("import subprocess; subprocess.run(['qemu-system-arm', '--version'], check=True)", "exit status 99"),
    ],
)
def test_what_is_not_fast_fails_with_fast_until_the_tables_know_it(body: str, words: str, tmp_path: Path):
    (tmp_path / "test_probe.py").write_text(f"def test_probe():\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "--fast", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and words in done.stdout


def test_what_is_made_once_is_made_once(make_once, tmp_path: Path):
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("whole")

    first, second = make_once("made-in-a-test", make), make_once("made-in-a-test", make)
    assert first == second and made == [first] and (first / "file").read_text() == "whole"
