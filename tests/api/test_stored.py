"""Stored runs through the API: the same figures, words and errors as the commands, in pandas, and nothing printed."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import harness
from harness.cli.main import cli
from tests.support.answered_store import RUN, answered_store
from tests.support.nights import Nights, key, record

CELL = "mnist-cnn/ptq-int8-io/host-litert/cpu"


@pytest.fixture
def silent(capfd):
    """Nothing may reach a terminal."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def stored(tmp_path, silent):
    results = tmp_path / "results"
    files = tmp_path / "files"
    files.mkdir()
    answered_store(results, files)
    return results


@pytest.fixture
def nights(tmp_path):
    found = Nights(tmp_path / "results")
    other = key("ptq-float32")
    found.run(record(arena_bytes=100), record(other))
    found.run(record(arena_bytes=140, artifact_sha256="b" * 64), record(other))
    yield found
    found.store.close()


def test_a_run_is_loaded_with_its_tables(stored):
    run = harness.load_run("latest", results=stored)
    assert run.id == RUN and len(run) == 8 and run.outcomes == {"ok": 8} and run.notes == ()
    cells = run.to_frame()
    assert len(cells) == 8 and cells["size_bytes"].dtype == "Int64" and cells["score"].dtype == "Float64"
    assert run.tables[0] == "cells" and {"seeds", "findings", "environment"} <= set(run.tables)
    assert isinstance(run.to_frame("Seeds"), pd.DataFrame)
    run.to_frame().loc[:, "score"] = 0
    assert run.to_frame()["score"].min() > 0.9, "a frame is the reader's own"


def test_its_wrong_names_are_told_with_near_ones(stored):
    run = harness.load_run("2026", results=stored)
    with pytest.raises(harness.UserInputError, match="unknown table of this run 'cels'") as error:
        run.to_frame("cels")
    assert "cells" in error.value.hint
    with pytest.raises(harness.UserInputError, match="unknown cell of this run"):
        run.answers("net/ptq-int8-io/board/npu")
    with pytest.raises(harness.UserInputError, match="unknown run"):
        harness.load_run("1999", results=stored)
    with pytest.raises(harness.HarnessError):
        harness.load_run(results=stored / "elsewhere")


def test_answers_sample_by_sample_give_the_score(stored):
    run = harness.load_run(results=stored)
    name = next(n for n in (f"{r.key.text}" for r in run.records) if "/ptq-int8-io/board/" in n)
    answers = run.answers(name)
    assert answers["right"].mean() == pytest.approx(run.record(name).score)
    assert list(answers.columns) == ["label", "answer", "float_answer", "right"] and answers.index.name == "sample"
    assert answers["float_answer"].eq(answers["label"]).mean() == pytest.approx(1 - 16 / 400)


def test_recommend_says_what_the_command_says(stored, tmp_path):
    found = harness.recommend(results=stored, devices="board", max_drop="1p")
    told = CliRunner().invoke(
        cli,
        ["recommend", "--results", str(stored), "--device", "board", "--max-drop", "1p", "--json", "-"],
        standalone_mode=False,
    )
    (answer,) = json.loads(told.stdout)["answers"]
    assert found.sentence(found.answers[0]) == answer["sentence"] and answer["sentence"] in repr(found)
    assert list(found.picks.values()) == [answer["pick"]["recipe"]]
    frame = found.to_frame()
    assert frame.iloc[0]["role"] == "pick" and len(frame) == len(answer["cells"])
    (file,) = found.save(tmp_path / "ship")
    assert file.is_file() and file.stat().st_size == found.answers[0].pick.record.size_bytes


@pytest.mark.parametrize(
    "limits, words",
    [
        ({"max_latency": "5"}, "no unit of time"),
        ({"max_drop": "1%"}, "points or a share"),
        ({"prefer": "sped"}, "unknown preference 'sped'"),
        ({"devices": "bord"}, "unknown device in this run 'bord'"),
    ],
)
def test_recommend_refuses_what_the_command_refuses(stored, limits, words):
    with pytest.raises(harness.UserInputError, match=words):
        harness.recommend(results=stored, **limits)


def test_compare_gives_the_verdicts_of_the_command(nights, capfd):
    found = harness.compare("n001", "n002", results=nights.results)
    assert (found.before, found.after) == ("n001", "n002") and len(found.worse) == 1
    frame = found.to_frame()
    worse = frame[frame["status"] == "worse"].iloc[0]
    assert worse["cell"] == CELL and (worse["before"], worse["after"]) == (100, 140)
    assert (frame["status"] == "same").any(), "what stayed is a row too"
    assert harness.load_run("n001", results=nights.results).compare("n002").to_frame().equals(frame)
    assert harness.compare("n001", "n001", results=nights.results).notes
    assert capfd.readouterr() == ("", "")


def test_history_has_a_row_per_night(nights, capfd):
    found = harness.history(CELL, results=nights.results)
    frame = found.to_frame()
    assert list(frame.index) == ["n001", "n002"] and frame["latency_median_ns"].dtype == "Int64"
    told = CliRunner().invoke(cli, ["history", CELL, "--json", "--results", str(nights.results)], standalone_mode=False)
    document = json.loads(told.stdout)
    assert document["series"] == found.series
    assert [night["score"] for night in document["nights"]] == [None if pd.isna(v) else v for v in frame["score"]]
    with pytest.raises(harness.UserInputError, match="at least 1 night"):
        harness.history(CELL, nights=0, results=nights.results)


def test_runs_are_a_table(stored):
    frame = harness.runs(results=stored)
    assert frame.loc[0, "run"] == RUN and frame.loc[0, "ok"] == 8 and str(frame["started"].dt.tz) == "UTC"


def test_a_folder_that_may_not_be_written_is_a_harness_error(tmp_path, stored):
    place = tmp_path / "file"
    place.write_text("in the way")
    with pytest.raises(harness.HarnessError):
        harness.recommend(results=stored, devices="board").save(place)


def test_devices_are_a_table(silent):
    frame = harness.devices()
    assert frame.loc["host-litert", "backends"] and bool(frame.loc["host-litert", "emulated_twin"]) is False


def test_samples_in_memory_become_a_file_once(tmp_path, silent):
    x, y = np.arange(12, dtype=np.float32).reshape(6, 2), np.arange(6) % 2
    first, again = harness.dataset(x, y, folder=tmp_path), harness.dataset(x, y, folder=tmp_path)
    assert first == again and len(list(tmp_path.iterdir())) == 1
    with np.load(first, allow_pickle=False) as stored:
        assert np.array_equal(stored["x"], x) and np.array_equal(stored["y"], y)
    assert harness.dataset(x + 1, y, folder=tmp_path) != first


def test_a_table_is_split_without_a_common_row_and_in_proportion(tmp_path):
    frame = pd.DataFrame({"a": np.arange(100.0), "kind": [0] * 80 + [1] * 20})
    with np.load(harness.dataset(frame, label="kind", test=0.25, folder=tmp_path)) as stored:
        train, test = stored["x_train"][:, 0], stored["x_test"][:, 0]
        assert (len(train), len(test)) == (75, 25) and not set(train) & set(test)
        assert stored["y_test"].sum() == 5 and stored["x_train"].dtype == np.float32
        assert np.array_equal(stored["y_test"], (test >= 80).astype(int)), "labels stay with their rows"


@pytest.mark.parametrize(
    "given, words",
    [
        ({}, "a table or an array"),
        ({"samples": np.array([object()])}, "expected numbers"),
        ({"samples": pd.DataFrame({"a": ["x"], "k": [0]}), "label": "k"}, "columns a hold no numbers"),
        ({"samples": pd.DataFrame({"a": [1.0, 2], "k": [0, 1]}), "label": "kind"}, "unknown column 'kind'"),
        ({"samples": pd.DataFrame({"a": [1.0, 2], "k": ["x", "y"]}), "label": "k"}, "label column 'k'"),
        ({"samples": pd.DataFrame({"a": [1.0], "k": [0]}), "label": "k"}, "leaves a part without any"),
        ({"samples": pd.DataFrame({"a": [1.0, 2], "k": [0, 1]}), "label": "k", "test": 1.0}, "between 0 and 1"),
        ({"x_test": np.zeros((2, 2)), "samples": np.zeros((2, 2))}, "a table or an array"),
    ],
)
def test_samples_that_are_none_are_told(tmp_path, given, words):
    with pytest.raises(harness.UserInputError, match=words):
        harness.dataset(folder=tmp_path, **given)


def test_a_metric_must_be_one_and_have_a_name_of_its_own():
    from harness.workloads.metrics.registry import get_metric

    with pytest.raises(harness.UserInputError, match="expected a harness Metric, found str"):
        harness.use_metric("top1")
    with pytest.raises(harness.UserInputError, match="'top1' is taken"):
        harness.use_metric(get_metric("top1"))


def test_a_table_is_no_data_as_it_stands():
    with pytest.raises(harness.UserInputError, match="not DataFrame") as error:
        harness.run("net.h5", devices="host-litert", data=pd.DataFrame({"a": [1.0]}))
    assert "harness.dataset" in error.value.hint


@pytest.mark.parametrize("given", [{"samples": 0}, {"samples": True}, {"budget": "8"}, {"budget": -1}])
def test_numbers_that_are_none_are_told_before_anything_is_built(given):
    with pytest.raises(harness.UserInputError):
        harness.run("mnist-cnn", devices="host-litert", **given)
