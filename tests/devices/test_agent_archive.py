"""The agent as one archive: the same bytes for the same sources, that run by themselves."""

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
from tests.core.test_house import AGENT_PYTHON

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


@pytest.mark.parametrize(
    "line",
    [
        "with (open('a') as a, open('b') as b): pass",
        "import os\nos.waitstatus_to_exitcode(0)",
        "import socket\nsocket.send_fds",
    ],
)
def test_what_needs_a_newer_python_is_found_in_grammar_and_library(tmp_path, line):
    # tests/core/test_house.py asks the same of the sources.
    (tmp_path / "new.py").write_text(line + "\n")
    command = ["vermin", "--no-tips", "--violations", f"-t={AGENT_PYTHON}", str(tmp_path)]
    done = subprocess.run([Path(sys.executable).parent / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 1 and "new.py" in done.stdout
