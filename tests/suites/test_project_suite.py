"""pytest in a project's folder: the project file is a suite, and gives other suites what their command line leaves open."""

import subprocess
import sys

import numpy as np
import pytest

from tests.support.question_models import classifier, scores, vectors

PROJECT = """
[model]
path = "net.tflite"
[data]
path = "v.npz"
[run]
devices = ["host-litert"]
backends = ["cpu"]
budget = "2s"
"""
SUITE = """
from harness.suite import Suite

SUITE = Suite(workload="net.tflite", data="v.npz")


def test_mine(cell):
    cell.check()
"""


@pytest.fixture
def run(tmp_path):
    """run(*arguments) -> the finished pytest in a project's folder."""
    x = vectors(60)
    (tmp_path / "net.tflite").write_bytes(classifier())
    np.savez(tmp_path / "v.npz", x_test=x, y_test=scores(x).argmax(axis=1))
    (tmp_path / "harness.toml").write_text(PROJECT)

    def call(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)

    call.folder = tmp_path
    return call


def test_the_file_is_a_suite_of_its_own(run):
    done = run("-v", "--workload", "net")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "harness.toml::test_cell[net/as-is/host-litert/cpu] PASSED" in done.stdout
    assert (run.folder / "results" / "latest" / "comparison.xlsx").is_file()


def test_suites_of_the_folder_take_devices_from_it_and_options_win(run):
    (run.folder / "test_mine.py").write_text(SUITE)
    listed = run("--co", "-q", "test_mine.py").stdout
    assert "test_mine[net/as-is/host-litert/cpu]" in listed and "cpu-ref" not in listed
    other = run("--co", "-q", "--device", "host-litert", "--backend", "cpu-ref", "test_mine.py").stdout
    assert "host-litert/cpu-ref]" in other and "host-litert/cpu]" not in other
    assert "harness.toml" not in run("--co", "-q", "--no-project", "--device", "host-litert").stdout


def test_a_broken_file_is_an_error_and_leaves_other_tests_alone(run):
    (run.folder / "harness.toml").write_text('[model]\npth = "net.tflite"\n')
    (run.folder / "test_plain.py").write_text("def test_plain(): pass\n")
    assert run("-q", "test_plain.py").returncode == 0
    done = run("-q")
    assert done.returncode == 2 and "harness.toml:2:1: unknown field 'model.pth'" in done.stderr + done.stdout
