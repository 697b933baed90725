"""`./bench` sets its environment up in silence, and shows the log's end when that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

#: a Python that makes environments of itself, whose pip warns, and fails where it is told to
PYTHON = """#!/bin/sh
case "$1 $2" in
"-c import sys; print(sys.executable)") echo "$0" ;;
"-m venv")
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    echo '#!/bin/sh' > "$3/bin/harness"
    echo 'echo "harness $*"' >> "$3/bin/harness"
    chmod +x "$3/bin/harness" ;;
"-m pip")
    echo "WARNING: Location is ignored: '/x'" >&2
    echo Collecting numpy
    [ -z "$PIP_FAILS" ] || { echo "ERROR: no such wheel" >&2; exit 1; } ;;
"--version ") echo Python 3.11.2 ;;
esac
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout, with a Python that does nothing."""
    for name in ("bench", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    tmp_path.joinpath("python").write_text(PYTHON)
    tmp_path.joinpath("python").chmod(0o755)
    return tmp_path


def bench(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "HARNESS_PYTHON": str(checkout / "python"), **environment}
    return subprocess.run([checkout / "bench", "report"], capture_output=True, text=True, env=variables, timeout=60)


def test_what_pip_warns_of_stands_in_the_log_alone(checkout: Path):
    done = bench(checkout)
    assert (done.returncode, done.stdout) == (0, "harness report\n"), done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("setting up ")
    assert "is ignored" in checkout.joinpath(".bench/setup.log").read_text()


def test_a_set_up_that_fails_shows_the_end_of_the_log(checkout: Path):
    done = bench(checkout, PIP_FAILS="1")
    assert done.returncode == 1 and done.stdout == ""
    assert "ERROR: no such wheel" in done.stderr
    assert (
        done.stderr.splitlines()[-1]
        == f"could not install the Python packages; the whole log is {checkout}/.bench/setup.log"
    )
