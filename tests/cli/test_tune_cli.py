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
