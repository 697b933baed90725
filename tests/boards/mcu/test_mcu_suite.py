"""`pytest suites/ --device cortex-m4 --emulated`, as a user types it: real variants on emulated microcontrollers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

#: one recipe of each kind, and what the firmware's runtime does with it: integer kernels, float kernels, or nothing (hybrid ops)
KINDS = {
    "ptq-float32": "float",
    "ptq-default": None,
    "ptq-default-pt": None,
    "ptq-int8-io": "exact",
    "ptq-int16x8": "exact",
    "ptq-aeq-dyn8": None,
    "qat-default": "exact",
    "qat-dense-default": "float",
}
THREE = ("ptq-int8-io", "ptq-default-pt", "qat-default")
OTHER_CORES = ("cortex-m0", "cortex-m3", "cortex-m7", "cortex-m55")


def run_suite(results: Path, devices: tuple[str, ...], *options: str, recipes: tuple[str, ...] = THREE) -> list[dict]:
    """The cells of one suite run that passed."""
    words = [word for name in devices for word in ("--device", name)] + [
        w for name in recipes for w in ("--recipe", name)
    ]
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
            "--emulated",
            "--results",
            str(results),
            *words,
            *options,
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(sorted(results.glob("*/run.json"))[-1].read_text())["cells"]


@pytest.fixture(scope="module")
def on_m4(tmp_path_factory, built) -> list[dict]:
    return run_suite(
        tmp_path_factory.mktemp("m4"),
        ("cortex-m4",),
        "--workload",
        "mnist-cnn",
        "--samples",
        "32",
        recipes=tuple(KINDS),
    )


def test_what_has_kernels_is_right_and_counted_and_the_rest_refused_with_its_op(on_m4):
    assert len(on_m4) == len(KINDS)
    for cell in on_m4:
        assert cell["time_basis"] == "guest-instructions" and cell["latency_median_ns"] is None
        kind = KINDS[cell["recipe"]]
        if kind:
            assert (cell["outcome"], cell["samples"]) == ("ok", 32), cell["recipe"]
            assert kind == "float" or cell["max_lsb_diff"] == 0, cell["recipe"]
            assert cell["instructions"] > 0 and cell["arena_bytes"] > 0 and cell["stack_peak_bytes"] > 0
            assert 0 < cell["code_bytes"] <= 64 << 10
        else:
            assert cell["outcome"] == "unsupported" and "node" in cell["reason"], cell["recipe"]


def test_the_other_cores_answer_as_the_m4_to_the_bit(on_m4, tmp_path):
    cells = run_suite(tmp_path, ("cortex-m4", *OTHER_CORES), "--workload", "mnist-cnn", "--samples", "8")
    assert len(cells) == 15
    for recipe in ("ptq-int8-io", "qat-default"):
        mine = [cell for cell in cells if cell["recipe"] == recipe]
        if recipe == "ptq-int8-io":
            assert {cell["outcome"] for cell in mine} == {"ok"}
        ran = [cell for cell in mine if cell["outcome"] == "ok"]
        assert len({cell["outputs_object"] for cell in ran}) == 1
        assert not [f for cell in ran for f in cell["findings"] if f["code"] == "cores-differ"]


def test_a_count_is_the_same_to_the_last_digit_on_another_day(on_m4, tmp_path):
    (again,) = run_suite(
        tmp_path, ("cortex-m4",), "--workload", "mnist-cnn", "--samples", "32", recipes=("ptq-int8-io",)
    )
    (first,) = [cell for cell in on_m4 if cell["recipe"] == "ptq-int8-io"]
    for figure in ("instructions", "instructions_min", "instructions_max", "counts_object", "outputs_object"):
        assert again[figure] == first[figure]


def test_the_other_workloads_run_with_three_recipes(tmp_path, built_others):
    # Every byte of a model takes QEMU's line tens of microseconds, and cifar-conv has 300,000: it goes there once.
    cells = run_suite(
        tmp_path, ("cortex-m4",), "--workload", "sensor-cnn", "--workload", "cifar-conv", "--samples", "4",
        "-k", "not (cifar-conv and qat)",
    )  # fmt: skip
    outcomes = {(cell["workload"], cell["recipe"]): (cell["outcome"], cell["max_lsb_diff"]) for cell in cells}
    assert len(outcomes) == 5
    for (_, recipe), seen in outcomes.items():
        assert seen == (("unsupported", None) if recipe == "ptq-default-pt" else ("ok", 0))
