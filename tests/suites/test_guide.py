"""docs/guides/your-own-suite.md is followed to the letter: its files, in an empty folder, give what it says."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from harness.results.store import Store
from harness.suites.suite import load_expectations
from tests.support.tiny_model import float_mlp

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "your-own-suite.md"


def files_of(page):
    """File name -> content, of every block below a line with nothing but the name."""
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S))


def follow(folder):
    files = files_of(PAGE)
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "net.tflite").write_bytes(float_mlp())
    rng = np.random.default_rng(0)
    np.savez(folder / "samples.npz", x_test=rng.normal(size=(40, 4)).astype(np.float32), y_test=rng.integers(0, 3, 40))
    return files


def test_the_guides_files_are_a_passing_suite_and_a_job(tmp_path):
    files = follow(tmp_path)
    assert set(files) == {"test_net.py", "test_limits.py", "expectations.yaml", "ci.sh"}
    assert {e.outcome for e in load_expectations(tmp_path / "expectations.yaml")} == {"not-delegated", "unsupported"}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "BUDGET": "4s"}
    arguments = ["-p", "no:cacheprovider", "--backend", "cpu", "-n", "2"]
    job = subprocess.run(
        ["sh", "ci.sh", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert job.returncode == 0, job.stdout + job.stderr
    assert "4 passed" in job.stdout and "every cell keeps its promise" in job.stdout
    cases = list(ElementTree.parse(tmp_path / "junit.xml").iter("testcase"))
    assert len(cases) == 4 and all(case.find("properties") is not None for case in cases)
    with Store.open(tmp_path / "results", create=False) as store:
        (run,) = store.runs()
        (cell,) = store.cells(run=run.run)  # four tests looked at it, and it ran once
    assert run.state == "finished" and cell.outcome == "ok"
