"""`harness build`: the table, the JSON, and what `--clean` says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.variants.build.cache import BuildCache

slow = pytest.mark.slow


@slow
def test_the_command_prints_a_row_per_recipe(built, in_build_cache, monkeypatch):
    from click.testing import CliRunner

    from harness.cli.build import command

    monkeypatch.setenv("KERAS_HOME", str(in_build_cache / "no-keras"))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    json_file = in_build_cache / "out.json"
    arguments = ["mnist-cnn", "--recipe", "qat-int16x8", "--recipe", "ptq-int8-io", "--json", str(json_file)]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    assert "23,560" in result.output and "not yet supported" in result.output and "0 built, 2 cached" in result.output
    content = json.loads(json_file.read_text())
    assert content["schema"] == 1
    assert [(a["recipe"], a["outcome"]) for a in content["artifacts"]] == [
        ("ptq-int8-io", "ok"),
        ("qat-int16x8", "unsupported"),
    ]
    assert {frozenset(a) for a in content["artifacts"]} == {frozenset(content["artifacts"][0])}


def test_cleaning_says_what_it_removed(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from harness.cli.build import command

    with BuildCache(tmp_path) as cache:
        folder = cache.temporary_folder()
        np.save(folder / "representative.npy", np.zeros(1000))
        cache.publish("training", "ab" * 32, folder, {})
    # The command names the cache folder by the environment, which is put back after the test.
    monkeypatch.setenv("HARNESS_CACHE_DIR", "elsewhere")
    result = CliRunner().invoke(command, ["--clean", "--cache-dir", str(tmp_path)], standalone_mode=False)
    assert result.exception is None, result.output
    assert "removed 0 artifacts and 1 trainings" in result.output
    assert not list((tmp_path / "trainings").iterdir())
