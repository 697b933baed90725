"""`pytest suites/ --device imx8mp --emulated`, as a user types it: real variants, three backends, every node accounted for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

#: one recipe of each kind: nodes that the stand-in takes, nodes in all; a converter that builds other graphs shows here
DELEGATED = {
    "ptq-float32": (0, 5),
    "ptq-default": None,
    "ptq-default-pt": (0, 5),
    "ptq-int8-io": (5, 5),
    "ptq-int16x8": (0, 7),
    "ptq-aeq-dyn8": (0, 5),
    "qat-default": (7, 7),
    "qat-dense-default": (2, 7),
}


def run_suite(results: Path, *options: str) -> tuple[int, str, list[dict]]:
    """Exit status, what was printed, and the cells of one suite run."""
    environment = {name: value for name, value in os.environ.items() if name != "HARNESS_DATA_DIR"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "suites/",
            "-q",
            "-p",
            "no:cacheprovider",
            "--device",
            "imx8mp",
            "--emulated",
            "--samples",
            "32",
            "--budget",
            "15s",
            "--results",
            str(results),
            *options,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    files = sorted(results.glob("*/run.json"))
    cells = json.loads(files[-1].read_text())["cells"] if files else []
    return done.returncode, done.stdout + done.stderr, cells


@pytest.fixture(scope="module")
def mnist(tmp_path_factory, board_image, built):
    recipes = [word for recipe in DELEGATED for word in ("--recipe", recipe)]
    return run_suite(tmp_path_factory.mktemp("mnist"), "--workload", "mnist-cnn", *recipes)


def test_mnist_passes_on_all_three_backends_but_for_what_is_expected(mnist):
    status, printed, cells = mnist
    assert status == 0, printed
    assert len(cells) == 24 and {cell["backend"] for cell in cells} == {"cpu-ref", "cpu", "npu"}
    outcomes = {}
    for cell in cells:
        outcomes.setdefault(cell["outcome"], set()).add(cell["recipe"])
    assert outcomes["unsupported"] == {"ptq-default"} and outcomes["wrong"] == {"ptq-aeq-dyn8"}
    assert set(outcomes) == {"ok", "unsupported", "wrong"}


def test_every_cell_says_how_its_time_was_got_and_where_its_nodes_ran(mnist):
    for cell in mnist[2]:
        assert cell["device"] == "imx8mp@qemu" and cell["time_basis"] == "host-emulated"
        if cell["outcome"] == "ok" and cell["backend"] == "npu":
            assert cell["delegate_name"] == "npu-standin"
            assert (cell["delegated_nodes"], cell["total_nodes"]) == DELEGATED[cell["recipe"]]
            assert len(cell["fallback"]) == cell["total_nodes"] - cell["delegated_nodes"]
            assert all(op["reason"] and op["predicted"] for op in cell["fallback"])


def test_no_prediction_was_wrong(mnist):
    wrong = [
        (c["recipe"], c["backend"], f) for c in mnist[2] for f in c["findings"] if f["code"].startswith("prediction")
    ]
    assert wrong == []


def test_the_x_of_the_published_experiment_has_its_reason(mnist):
    for cell in mnist[2]:
        if cell["recipe"] == "ptq-default":
            assert "FULLY_CONNECTED" in cell["reason"] and "12" in cell["reason"]
            assert cell["prediction"]["loads"] is False
        if cell["recipe"] == "qat-dense-default" and cell["backend"] == "npu":
            assert {op["op"] for op in cell["fallback"]} >= {"CONV_2D", "FULLY_CONNECTED"}


def test_the_other_workloads_run_with_three_recipes(tmp_path, board_image, built_others):
    recipes = ("ptq-int8-io", "ptq-default-pt", "qat-default")
    options = [word for recipe in recipes for word in ("--recipe", recipe)]
    status, printed, cells = run_suite(tmp_path, "--workload", "sensor-cnn", "--workload", "cifar-conv", *options)
    assert status == 0, printed
    assert len(cells) == 18 and {cell["outcome"] for cell in cells} == {"ok"}
    integer = [c for c in cells if c["backend"] == "npu" and c["recipe"] != "ptq-default-pt"]
    assert all(cell["delegated_nodes"] == cell["total_nodes"] for cell in integer)
