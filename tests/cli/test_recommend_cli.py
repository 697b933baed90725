"""`harness recommend`: one pick, its file, and an exit code; limits that cannot be read are refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import ExitCode, UserInputError
from harness.results.record import RunInfo
from harness.results.store import Store
from tests.support.answered_store import answered_store, model_file

PICKED = "w__ptq-int8-io__board__cpu.tflite"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recommend")
    (folder / "files").mkdir()
    answered_store(folder / "results", folder / "files")
    return folder / "results"


def recommend(results: Path, *options: str):
    return CliRunner().invoke(cli, ["recommend", "--results", str(results), *options], standalone_mode=False)


def test_it_says_what_to_ship_and_writes_the_file(results: Path, tmp_path: Path):
    done = recommend(results, "--device", "board", "--output", str(tmp_path / "out"))
    assert done.exit_code == 0 and done.exception is None, done.output
    first, second, *_ = done.output.splitlines()
    assert first == "w on d, board: ship ptq-int8-io on cpu: -0.2 points, 2.1x faster, a quarter of the size"
    assert second.split() == ["file", str(tmp_path / "out" / PICKED)]
    assert (tmp_path / "out" / PICKED).read_bytes() == model_file("ptq-int8-io")


def test_without_a_folder_the_file_lies_with_the_run(results: Path):
    done = recommend(results, "--device", "board")
    assert str(results) in done.output
    assert list(results.glob(f"*/models/{PICKED}"))


def test_limits_are_held_and_no_pick_is_an_exit_code_of_its_own(results: Path):
    done = recommend(results, "--device", "board", "--max-drop", "0.01", "--max-latency", "5us", "--max-size", "200k")
    assert done.output.splitlines()[0] == "w on d, board: nothing to ship: no recipe keeps to the limits"
    assert "takes 10.0 µs, more than 5.00 µs" in done.output
    assert done.return_value == ExitCode.WRONG_INPUT


def test_json_alone_on_stdout(results: Path):
    done = recommend(results, "--device", "board", "--json", "-")
    document = json.loads(done.output)
    assert [answer["pick"]["recipe"] for answer in document["answers"]] == ["ptq-int8-io"]
    assert document["answers"][0]["limits"]["prefer"] == "speed"


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("--max-latency", "5", "no unit of time"),
        ("--max-size", "200 apples", "no unit of size"),
        ("--max-drop", "1%", "points or a share"),
    ],
)
def test_a_limit_that_cannot_be_read_is_named(results: Path, option: str, value: str, what: str):
    done = recommend(results, option, value)
    assert isinstance(done.exception, UserInputError)
    assert done.exception.where == option and what in done.exception.what and done.exception.hint


def test_a_drop_of_more_than_the_whole_score_is_asked_back(results: Path):
    done = recommend(results, "--max-drop", "2")
    assert isinstance(done.exception, UserInputError) and "write 2p for points of a hundred" in str(done.exception.hint)


def test_an_answer_from_a_part_of_a_run_says_so(tmp_path: Path):
    records = answered_store(tmp_path / "results", tmp_path, ("board",))
    later = replace(records[0].key, recipe="ptq-default")
    with Store.open(tmp_path / "results") as store:
        planned = [record.key for record in records] + [later]
        store.begin_run(
            RunInfo(run="20270101-000000-abcd", started_utc="2027-01-01T00:00:00+00:00", command=["x"], planned=planned)
        )
        for record in records:
            store.add_cell(replace(record, run="20270101-000000-abcd"))
        store.finish_run("20270101-000000-abcd", "interrupted")
    done = recommend(tmp_path / "results")
    assert "1 of 5 cells of run 20270101-000000-abcd have not run: the answer is without them" in done.stderr
    assert "have not run" not in recommend(tmp_path / "results", "20261121").stderr


def test_an_unknown_device_is_told_with_the_near_ones(results: Path):
    done = recommend(results, "--device", "bord")
    assert isinstance(done.exception, UserInputError) and "board" in (done.exception.hint or "")


@pytest.mark.parametrize("choice", [("--recipe", "qat-*"), ("--recipe", "qat-*", "--all-runs")])
def test_showing_fewer_recipes_changes_no_pick(results: Path, choice: tuple[str, ...]):
    report = ["report", "--results", str(results), "--device", "board", *choice]
    done = CliRunner().invoke(cli, report, standalone_mode=False)
    assert done.exception is None, done.output
    assert "board: ship ptq-int8-io on cpu: -0.2 points, 2.1x faster, a quarter of the size" in done.output
    assert "against its control ft-int8-io" in done.output, "a control that is not shown ran all the same"
    tables = done.output.split("device clock")[1].split("ship ")[0]
    assert "qat-int8-io" in tables and "ptq-int8-io" not in tables
