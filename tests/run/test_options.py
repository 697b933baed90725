"""What the user asked for is stored with the run, and read back by whoever resumes it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from harness.core.errors import UserInputError
from harness.run.options import RunOptions, parse_tolerances

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


def test_changed_bounds_are_numbers_in_their_range():
    assert parse_tolerances(["integer_lsb=3", "npu_agreement=0.5"]) == {"integer_lsb": 3, "npu_agreement": 0.5}


@pytest.mark.parametrize(
    "setting, words",
    [
        ("lsb=3", "unknown tolerance"),
        ("integer_lsb", "unknown tolerance"),
        ("integer_lsb=many", "takes a number"),
        ("npu_agreement=1.5", "out of range"),
        ("float_nrmse=-1", "out of range"),
        ("float_nrmse=inf", "out of range"),
    ],
)
def test_other_bounds_are_refused(setting, words):
    with pytest.raises(UserInputError, match=words):
        parse_tolerances([setting])
