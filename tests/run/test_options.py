"""What the user asked for is stored with the run, and read back by whoever resumes it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from harness.core.errors import UserInputError
from harness.run.options import RunOptions, refuse_tolerances

ASKED = RunOptions(workloads=("mnist-cnn",), devices=("host-litert",), seeds=3, budget_s=90.0, tolerances=("a=1",))


def test_options_come_back_from_the_store_as_they_were():
    assert RunOptions.from_json(json.loads(json.dumps(asdict(ASKED)))) == ASKED


def test_a_newer_harness_may_have_stored_more_and_an_older_one_less():
    assert RunOptions.from_json({"devices": ["host-litert"], "colour": "red"}) == RunOptions(devices=("host-litert",))


@pytest.mark.parametrize("stored", [{"seeds": "three"}, {"devices": "host-litert"}, {"budget_s": [1]}])
def test_options_that_are_none_are_refused_with_the_field(stored):
    with pytest.raises(UserInputError, match=f"RunOptions.{next(iter(stored))}.*start a new run"):
        RunOptions.from_json(stored)


def test_paths_are_the_same_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.keras").touch()
    monkeypatch.chdir(tmp_path)
    asked = RunOptions(workloads=("mine.keras", "mnist-cnn"), data="x.npz", devices_dir="boards").absolute()
    assert asked.workloads == (str(tmp_path / "mine.keras"), "mnist-cnn")
    assert (asked.data, asked.devices_dir) == (str(tmp_path / "x.npz"), str(tmp_path / "boards"))
    assert (asked.data_dir, asked.bundle) == (None, None)


@pytest.mark.parametrize(
    "setting, words",
    [
        (
            "integer_lsb=3",
            "`--tolerance integer_lsb` is gone.* over 2 N, N being the largest of the model's own quantization",
        ),
        ("integer_share=0.9", "integer_share` is gone"),
        ("npu_agreement=0.5", "judged like any other.*float16_accumulation"),
        ("float_nrmse", "2 N, N being 0.5 % of the outputs' spread"),
        ("float_agreement=2", "float_agreement` is gone"),
        ("integer_max=1", "is gone"),
        ("lsb=3", "unknown tolerance"),
        ("", "unknown tolerance"),
    ],
)
def test_bounds_of_earlier_versions_are_refused_with_what_is_in_their_place(setting, words):
    with pytest.raises(UserInputError, match=words):
        refuse_tolerances([setting])


def test_a_workload_that_still_imports_the_class_is_told_the_same():
    with pytest.raises(UserInputError, match="`Tolerance` is gone"):
        from harness.workloads.base import Tolerance  # noqa: F401


def test_commands_refuse_them_before_anything_else(harness_cli, tmp_path):
    for command in (["run", "--device", "nowhere"], ["measure", "none.tflite", "--device", "nowhere"]):
        done = harness_cli(*command, "--tolerance", "npu_agreement=0.9", "--results", str(tmp_path / "r"))
        assert done.code == 1 and "`--tolerance npu_agreement` is gone" in done.err and not (tmp_path / "r").exists()
