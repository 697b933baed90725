"""The agent as one archive: the same bytes for the same sources, whole in a wheel, and on Python 3.8."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.core.paths import packaged_devices_dir
from harness.links.archive import archive_bytes
from harness.links.bootstrap import agent_source

SOURCES = packaged_devices_dir() / "linux" / "agent"


def test_the_same_sources_give_the_same_bytes_whenever_and_wherever(tmp_path: Path):
    copy = tmp_path / "elsewhere" / "agent"
    shutil.copytree(SOURCES, copy)
    for number, path in enumerate(sorted(copy.glob("*.py"), reverse=True)):
        os.utime(path, (number * 1e8, number * 1e8))
        path.chmod(0o777 if number % 2 else 0o600)
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "store.cpython-311.pyc").write_bytes(b"compiled")
    (copy / "notes.txt").write_text("no part of it")
    assert archive_bytes(copy) == archive_bytes(SOURCES) == agent_source().agent


def test_a_change_of_one_module_is_another_archive(tmp_path: Path):
    shutil.copytree(SOURCES, tmp_path / "agent")
    with open(tmp_path / "agent" / "store.py", "a") as file:
        file.write("\n")
    assert archive_bytes(tmp_path / "agent") != agent_source().agent


def test_every_module_is_in_it_as_plain_text_that_belongs_to_nobody():
    entries = zipfile.ZipFile(io.BytesIO(agent_source().agent)).infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(["__main__.py", *(f"agent/{path.name}" for path in SOURCES.glob("*.py"))])
    assert {(e.date_time, e.compress_type, e.external_attr) for e in entries} == {
        ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 0o100644 << 16)
    }


def test_it_runs_by_itself(tmp_path: Path, tflite_python):
    (tmp_path / "agent.pyz").write_bytes(agent_source().agent)
    command = [tflite_python, "agent.pyz", "exec", str(os.getpid()), "[]", "/bin/echo", "it runs"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "it runs\n"


@pytest.fixture(scope="module")
def checked_for():
    """The exit status of vermin on a folder: 0 where nothing needs more than Python 3.8."""

    def check(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-c",
            "import vermin; vermin.main()",
            "--target=3.8-",
            "--violations",
            "--no-tips",
            "--processes=1",
        ]
        return subprocess.run([*command, str(folder)], capture_output=True, text=True)

    return check


def test_nothing_that_runs_on_a_board_needs_more_than_python_3_8(checked_for):
    result = checked_for(SOURCES.parent)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "line",
    [
        "with (open('a') as a, open('b') as b): pass",
        "match 1:\n    case _: pass",
        "import os\nos.waitstatus_to_exitcode(0)",
        "import itertools\nitertools.pairwise([])",
        "x: 'list[int]' = []\ny = {} | {}",
    ],
)
def test_what_would_need_more_is_found(checked_for, tmp_path, line):
    (tmp_path / "new.py").write_text(line + "\n")
    assert checked_for(tmp_path).returncode != 0
