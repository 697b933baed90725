"""`pytest -n 2`: one run and one report, whatever becomes of a worker; and each board's cells in one worker."""

import xml.etree.ElementTree as ElementTree

import pytest

from harness.results.store import Store
from harness.suites.parallel import cells_of_busiest, machine_of
from tests.suites.test_pytest_plugin import suite  # noqa: F401

#: two machines: what has no `exclusive` in common runs at once
BOARD = """\
name: {name}
title: a board of its own
link: {{type: local}}
runtime: {{module: ai_edge_litert, package: ai-edge-litert==2.3.0}}
backends:
  cpu-ref: {{kernels: reference}}
  cpu: {{kernels: default, threads: 1}}
"""


@pytest.fixture
def boards(tmp_path):
    folder = tmp_path / "profiles"
    folder.mkdir()
    for name in ("left", "right"):
        (folder / f"{name}.yaml").write_text(BOARD.format(name=name))
    return ("--device", "left", "--device", "right", "--devices-dir", str(folder), "--budget", "4s", "-n", "2")


def test_two_workers_make_one_run_and_one_report_and_share_no_board(suite, boards, tmp_path):  # noqa: F811
    junit = tmp_path / "junit.xml"
    (suite.folder / "test_who.py").write_text(
        (suite.folder / "test_tiny.py").read_text()
        + "\n    import os, pathlib\n"
        + f"    pathlib.Path({str(tmp_path)!r}, f'who-{{cell.key.device}}-{{os.getpid()}}').touch()\n"
    )
    result = suite(*boards, f"--junitxml={junit}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 passed" in result.stdout and result.stdout.count("tables in") == 1
    assert len(list(ElementTree.parse(junit).iter("testcase"))) == 8
    with Store.open(suite.results, create=False) as store:
        (run,) = store.runs()
        cells = store.cells(run=run.run)
    assert run.state == "finished" and len(run.planned) == len(cells) == 4
    assert run.command[-1].startswith("--junitxml")
    processes = {device: list(tmp_path.glob(f"who-{device}-*")) for device in ("left", "right")}
    assert all(len(found) == 1 for found in processes.values()), processes


def test_a_worker_that_crashes_costs_its_test_alone(suite, boards):  # noqa: F811
    (suite.folder / "test_tiny.py").write_text(
        (suite.folder / "test_tiny.py").read_text()
        + "\n    if cell.key.device == 'left' and cell.key.backend == 'cpu-ref':\n        import os\n        os._exit(9)\n"
    )
    result = suite(*boards)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout + result.stderr
    assert "crashed while running" in result.stdout and "3 passed" in result.stdout
    with Store.open(suite.results, create=False) as store:
        (run,) = store.runs()
        assert run.state == "finished"
        assert len(store.cells(run=run.run)) == 4


def test_boards_that_are_off_end_with_6_in_workers_too(suite, tmp_path):  # noqa: F811
    from tests.cli.test_cli import OFF

    (tmp_path / "off.yaml").write_text(OFF)
    result = suite("--device", "off", "--devices-dir", str(tmp_path), "--budget", "1s", "-n", "2")
    assert result.returncode == 6, result.stdout + result.stderr
    assert "1 error" in result.stdout


@pytest.mark.parametrize(
    "args, words",
    [
        (("--device", "host-liter"), "unknown device 'host-liter'"),
        (("--device", "host-litert", "--dist", "each"), "would run every cell once per worker"),
    ],
)
def test_wrong_options_are_told_once(suite, args, words):  # noqa: F811
    result = suite(*args, "-n", "2")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR, result.stdout + result.stderr
    assert words in result.stderr + result.stdout and "Traceback" not in result.stdout + result.stderr


def test_cells_of_one_machine_stay_together():
    locks = {"host-litert": "host-cpu", "host-tflite": "host-cpu", "desk": "desk"}
    ids = [f"suites/desk/test_a.py::test_cell[net/ptq-int8/{d}/cpu]" for d in locks]
    assert [machine_of(i, locks) for i in ids] == ["machine host-cpu", "machine host-cpu", "machine desk"]
    assert machine_of("suites/desk/test_a.py::test_other", locks) is None


def test_a_budget_is_shared_by_the_cells_that_one_worker_may_have():
    assert cells_of_busiest(["a"] * 6 + ["b"] * 2, workers=2) == 6
    assert cells_of_busiest(["a", "b", "c", "d", "e"], workers=2) == 3
    assert cells_of_busiest(["a"] * 4, workers=1) == 4
    assert cells_of_busiest([], workers=2) == 0


def test_workers_and_their_controller_share_a_server_too(suite, boards, shared):  # noqa: F811
    result = suite(*boards, "--budget", "2s")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 passed" in result.stdout and result.stdout.count("tables in") == 1
    assert not (suite.results / "store.sqlite").exists() and "s3cret" not in result.stdout + result.stderr
    with Store.open(suite.results, create=False) as store:
        (run,) = store.runs()
        assert run.state == "finished" and len(store.cells(run=run.run)) == 4
