"""Where commands write what a user named: the option is named, and no folder is made that nobody asked for."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import HarnessError
from tests.support.fixtures_results import fill_store, make_info, make_records


@pytest.fixture
def results(tmp_path):
    records = make_records()
    fill_store(tmp_path / "results", records, make_info(records)).close()
    return tmp_path / "results"


def refused(*arguments: object) -> HarnessError:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert isinstance(done.exception, HarnessError), (done.output, done.exc_info)
    return done.exception


@pytest.mark.parametrize(
    "words",
    [
        ("report", "--format", "markdown", "--output", "{}/x.md"),
        ("report", "--format", "csv", "--output", "{}/csv"),
        ("report", "--format", "xlsx", "--output", "{}/x.xlsx"),
        ("report", "--self-contained", "--output", "{}/x.html"),
        ("report", "--json", "{}/x.json"),
        ("report", "--list", "--json", "{}/x.json"),
        ("compare", "latest", "--output", "{}/x.txt"),
        ("recommend", "--output", "{}/models"),
    ],
    ids=lambda words: " ".join(words[:-1]),
)
def test_a_folder_that_is_not_there_is_named_with_its_option_and_not_made(results, tmp_path, words):
    missing = tmp_path / "not" / "there"
    error = refused(*(word.format(missing) for word in words), "--results", results)
    assert error.what == f"there is no folder {missing}" and error.where.startswith(words[-2])
    assert error.hint == f"make it: mkdir -p {missing}" and not missing.parent.exists()


def test_what_is_worked_out_for_minutes_is_not_begun_for_nowhere(tmp_path):
    error = refused("nightly", "--json", tmp_path / "not" / "x.json", "--results", tmp_path / "results")
    assert error.where.startswith("--json") and not (tmp_path / "results").exists()


def test_a_file_is_no_folder_for_csv_and_a_folder_is_no_file(results, tmp_path):
    (tmp_path / "file").write_text("mine")
    error = refused("report", "--format", "csv", "--output", tmp_path / "file", "--results", results)
    assert "is a file" in error.what and "--output" in error.hint and "--results" not in error.hint
    assert (tmp_path / "file").read_text() == "mine"
    error = refused("report", "--json", tmp_path, "--results", results)
    assert "is a folder" in error.what and error.where.startswith("--json")


def test_a_full_disk_is_told_by_the_option_that_named_it(results):
    error = refused("report", "--format", "markdown", "--output", "/dev/full", "--results", results)
    assert "no space left" in error.what and "--output" in error.hint and "--results" not in error.hint


def test_a_new_folder_beside_what_is_there_and_a_home_folder_are_written(results, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (("--format", "csv", "--output", tmp_path / "csv"), ("--json=~/x.json",)):
        done = CliRunner().invoke(cli, ["report", *map(str, words), "--results", str(results)])
        assert done.exception is None, done.output
    assert (tmp_path / "csv" / "cells.csv").is_file() and (tmp_path / "x.json").is_file()
    assert not os.path.exists("~")
