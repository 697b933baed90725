"""`pytest suites/ --device NAME`, run for real on a small finished model: ids, expectations, JUnit properties, the store."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from harness.results.running import settled
from harness.results.store import Store
from tests.cli.test_cli import OFF
from tests.support.tiny_model import float_mlp

SUITE = """
from harness.suites.suite import Suite

SUITE = Suite(workload={model!r}, data={data!r}, max_accuracy_drop=0.5)


def test_cell(cell):
    cell.check()
"""


@pytest.fixture
def suite(tmp_path):
    """run(*args) -> the finished pytest process, over a suite of one tiny model."""
    model, data = tmp_path / "tiny.tflite", tmp_path / "samples.npz"
    model.write_bytes(float_mlp())
    rng = np.random.default_rng(0)
    np.savez(data, x_test=rng.normal(size=(40, 4)).astype(np.float32), y_test=rng.integers(0, 3, 40))
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "test_tiny.py").write_text(SUITE.format(model=str(model), data=str(data)))

    def run(*args):
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(folder),
            "-p",
            "no:cacheprovider",
            "--results",
            str(tmp_path / "results"),
        ]
        return subprocess.run([*command, *args], capture_output=True, text=True, cwd=tmp_path, timeout=300)

    run.folder, run.results = folder, tmp_path / "results"
    return run


def test_one_test_per_cell_with_readable_ids_and_the_same_store_as_harness_run(suite, tmp_path):
    junit = tmp_path / "junit.xml"
    result = suite("--device", "host-litert", "--budget", "2s", "-v", f"--junitxml={junit}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "test_cell[tiny/as-is/host-litert/cpu-ref]" in result.stdout
    assert "test_cell[tiny/as-is/host-litert/cpu]" in result.stdout
    properties = {p.get("name"): p.get("value") for p in ElementTree.parse(junit).iter("property")}
    assert properties["outcome"] == "ok" and int(properties["latency_median_ns"]) > 0 and properties["samples"] == "40"
    with Store.open(suite.results, create=False) as store:
        (run,) = store.runs()
        assert run.state == "finished"
        assert {c.key.backend for c in store.cells(run=run.run)} == {"cpu-ref", "cpu"}
    assert (suite.results / "latest" / "comparison.xlsx").is_file()


def test_a_backend_can_be_chosen(suite):
    result = suite("--device", "host-litert", "--backend", "cpu-ref", "--co", "-q")
    assert "tiny/as-is/host-litert/cpu-ref" in result.stdout
    assert "tiny/as-is/host-litert/cpu]" not in result.stdout


def test_an_expected_outcome_that_does_not_come_is_a_failure(suite):
    (suite.folder / "expectations.yaml").write_text(
        "- {cell: '*/*/host-litert/cpu-ref', outcome: unsupported, reason: thought to be too new}\n"
    )
    result = suite("--device", "host-litert", "--backend", "cpu-ref", "--budget", "1s")
    assert result.returncode == 1
    assert "XPASS(strict)" in result.stdout and "thought to be too new" in result.stdout


def test_a_suite_that_is_left_out_is_deselected_not_skipped(suite):
    result = suite("--device", "host-litert", "--workload", "mnist-cnn")
    assert "1 deselected" in result.stdout and "skipped" not in result.stdout


@pytest.mark.parametrize(
    "args, words", [((), "no device named"), (("--device", "host-liter"), "unknown device 'host-liter'")]
)
def test_wrong_options_are_one_usage_error(suite, args, words):
    result = suite(*args)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr + result.stdout


def test_two_modules_on_two_devices_of_one_machine_take_turns(suite):
    (suite.folder / "test_again.py").write_text((suite.folder / "test_tiny.py").read_text())
    arguments = ("--device", "host-litert", "--device", "host-tflite", "--backend", "cpu-ref", "--budget", "2s")
    result = suite(*arguments)
    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout


def test_a_run_made_by_pytest_is_not_resumed_by_harness_run(suite, tmp_path):
    assert suite("--device", "host-litert", "--backend", "cpu-ref", "--budget", "1s").returncode == 0
    command = [sys.executable, "-m", "harness.cli.main", "run", "--resume", "--results", str(suite.results)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "was made by pytest" in result.stderr and "Traceback" not in result.stderr


def test_a_board_that_is_off_is_an_error_and_not_a_failure_of_the_cell(suite, tmp_path):
    (tmp_path / "off.yaml").write_text(OFF)
    junit = tmp_path / "junit.xml"
    where = ("--device", "off", "--devices-dir", str(tmp_path), "--workload", str(tmp_path / "tiny.tflite"))
    result = suite(*where, "--budget", "1s", f"--junitxml={junit}")
    assert result.returncode == 6, result.stdout + result.stderr
    (case,) = ElementTree.parse(junit).iter("testcase")
    assert case.find("error") is not None and case.find("failure") is None
    assert "off/cpu failed" in case.find("error").get("message")
    with Store.open(suite.results, create=False) as store:
        assert [c.outcome for c in store.cells()] == ["failed"]


def test_a_cell_that_failed_its_test_decides_over_a_board_that_is_off(suite, tmp_path):
    (tmp_path / "off.yaml").write_text(OFF)
    (suite.folder / "test_other.py").write_text("def test_other():\n    assert False\n")
    result = suite("--device", "off", "--devices-dir", str(tmp_path), "--budget", "1s")
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed" in result.stdout and "1 error" in result.stdout


def test_a_board_that_is_off_is_an_error_also_where_the_cell_is_expected_to_fail(suite, tmp_path):
    (tmp_path / "off.yaml").write_text(OFF)
    (suite.folder / "expectations.yaml").write_text("- {cell: '*/*/off/*', outcome: unsupported, reason: too new}\n")
    junit = tmp_path / "junit.xml"
    result = suite("--device", "off", "--devices-dir", str(tmp_path), "--budget", "1s", f"--junitxml={junit}")
    (case,) = ElementTree.parse(junit).iter("testcase")
    assert case.find("error") is not None and case.find("failure") is None and case.find("skipped") is None
    assert result.returncode == 6 and "Traceback" not in result.stdout


def test_a_suite_finds_its_files_beside_it_from_any_folder(suite, tmp_path):
    for name in ("tiny.tflite", "samples.npz"):
        (tmp_path / name).rename(suite.folder / name)
    (suite.folder / "test_tiny.py").write_text(SUITE.format(model="tiny.tflite", data="samples.npz"))
    result = suite("--device", "host-litert", "--backend", "cpu-ref", "--co", "-q")
    assert "test_cell[tiny/as-is/host-litert/cpu-ref]" in result.stdout


def test_two_suites_of_one_name_and_two_models_are_refused(suite, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "tiny.tflite").write_bytes((tmp_path / "tiny.tflite").read_bytes())
    text = SUITE.format(model=str(other / "tiny.tflite"), data=str(tmp_path / "samples.npz"))
    (suite.folder / "test_other.py").write_text(text)
    result = suite("--device", "host-litert", "--co", "-q")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "would both be called 'tiny'" in result.stderr + result.stdout


def test_one_model_on_two_data_sets_is_judged_on_each(suite, tmp_path):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "few.npz", x_test=rng.normal(size=(33, 4)).astype(np.float32), y_test=rng.integers(0, 3, 33))
    text = SUITE.format(model=str(tmp_path / "tiny.tflite"), data=str(tmp_path / "few.npz"))
    (suite.folder / "test_few.py").write_text(text)
    result = suite("--device", "host-litert", "--backend", "cpu-ref", "--budget", "2s")
    assert "2 passed" in result.stdout, result.stdout
    with Store.open(suite.results, create=False) as store:
        assert sorted(c.samples for c in store.cells()) == [33, 40]


def test_a_pytest_that_was_killed_leaves_an_interrupted_run(suite):
    (suite.folder / "test_tiny.py").write_text(
        (suite.folder / "test_tiny.py").read_text() + "\n    import os\n    os.kill(os.getpid(), 9)\n"
    )
    assert suite("--device", "host-litert", "--budget", "1s").returncode == -9
    with Store.open(suite.results, create=False) as store:
        (run,) = store.runs()
        assert len(run.planned) > 1 and run.state == "running" and settled(store, run).state == "interrupted"
        assert [c.outcome for c in store.cells(run=run.run)] == ["ok"]
