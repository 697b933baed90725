"""The house: imports go down one list, one style, types that hold, the agent's Python; each checked by a pinned tool."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.places import ROOT

_BIN = Path(sys.executable).parent
_C_SOURCES = ("devices/**/*.c", "devices/**/*.h", "tests/support/**/*.c", "tests/support/**/*.h")
#: what the board's Python must be able to run
AGENT_PYTHON = "3.8-"


def run(*command: str) -> None:
    """Runs a checker of this environment in the checkout; what it prints is the failure."""
    program = _BIN / command[0]
    assert program.is_file(), f"{command[0]} is not installed: run ./bench test once, which installs requirements.lock"
    done = subprocess.run([str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def c_sources() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for pattern in _C_SOURCES for path in ROOT.glob(pattern))


def test_imports_go_down_the_list_only():
    run("lint-imports", "--no-cache")


def test_python_is_formatted():
    run("ruff", "format", "--check", "--no-cache", ".")


def test_python_is_linted():
    run("ruff", "check", "--no-cache", ".")


def test_c_is_formatted():
    run("clang-format", "--dry-run", "-Werror", *c_sources())


@pytest.mark.slow
def test_types_hold():
    run("mypy")


def test_what_runs_on_a_board_needs_no_newer_python():
    run("vermin", "--no-tips", "--violations", f"-t={AGENT_PYTHON}", "--eval-annotations", "devices/linux")


def test_every_checker_is_pinned_where_the_lock_is_made():
    text = (ROOT / "pyproject.toml").read_text()
    pinned: Sequence[str] = tomllib.loads(text)["project"]["optional-dependencies"]["test"]
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    for name in ("clang-format", "import-linter", "mypy", "ruff", "vermin"):
        assert any(line.startswith(name) for line in pinned), name
        assert any(line.startswith(f"{name}==") for line in locked), name


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "README.md", "harness/py.typed"])
def test_what_a_project_comes_with_is_there(name: str):
    assert (ROOT / name).is_file()


def test_the_licence_is_the_one_that_the_package_names():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
