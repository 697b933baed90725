"""`harness tune` from the outside: what it refuses, a whole small search, an interrupted one."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.results.store import Store


def refused(*arguments):
    with pytest.raises(UserInputError) as error:
        CliRunner().invoke(cli, ["tune", *arguments], catch_exceptions=False, standalone_mode=False)
    assert error.value.hint
    return error.value.what


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_RESULTS_DIR", str(tmp_path / "results"))


def test_what_is_missing_is_named():
    assert "no model named" in refused()
    assert "no device named" in refused("mnist-cnn")


def test_limits_and_budgets_are_read_before_anything_is_done():
    device = ("mnist-cnn", "--device", "host-litert")
    assert "has no unit of time" in refused(*device, "--max-latency", "5")
    assert "too short for a search" in refused(*device, "--budget", "2s")
    assert "cannot be given with --resume" in refused("--resume", "latest", "--budget", "5m")


@pytest.mark.parametrize(
    "device, why", [("cortex-m4@qemu", "instructions were counted"), ("imx8mp@qemu", "an emulator's")]
)
def test_a_bound_of_time_is_not_held_against_what_is_no_time_of_a_board(device, why):
    said = refused("mnist-cnn", "--device", device, "--max-latency", "5ms")
    assert f"--max-latency cannot be held against what {device} gives" in said and why in said


def test_the_folder_s_project_says_what_is_left_open(tmp_path, monkeypatch):
    text = 'version = 1\n[model]\npath = "m.h5"\n[run]\ndevices = ["nowhere"]\nmax_drop = 0.02\n'
    (tmp_path / "harness.toml").write_text(text)
    (tmp_path / "m.h5").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["tune"], standalone_mode=False)
    assert "harness.toml: model m.h5, device nowhere, max-drop 0.02" in result.output
    assert result.exception.what.startswith("is empty")  # the project's model was looked at
    assert "no model named" in refused("--no-project")


def test_a_finished_tflite_is_refused_with_what_to_give(tmp_path):
    from tests.support.tiny_model import float_mlp

    path = tmp_path / "model.tflite"
    path.write_bytes(float_mlp())
    assert "a finished .tflite cannot be tuned" in refused(str(path), "--device", "host-litert")


def test_a_run_that_is_no_search_is_not_resumed(tmp_path):
    from harness.results.record import RunInfo

    with Store.open(tmp_path / "results") as store:
        store.begin_run(RunInfo(run="20261121-093000-c0de", started_utc="2026-11-21T09:30:00+00:00", command=[]))
    assert "is no search" in refused("--resume", "20261121")


def test_a_search_is_not_resumed_as_a_run(tmp_path):
    from harness.results.record import RunInfo

    environment = {"kind": "tune", "options": {}, "tune": {"options": {}}}
    info = RunInfo(run="20261121-093000-c0de", started_utc="2026-11-21", command=[], environment=environment)
    with Store.open(tmp_path / "results") as store:
        store.begin_run(info)
    with pytest.raises(UserInputError, match="is a search") as error:
        CliRunner().invoke(cli, ["run", "--resume", "latest"], catch_exceptions=False, standalone_mode=False)
    assert "harness tune --resume" in error.value.hint
