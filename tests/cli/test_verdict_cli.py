"""`compare`, `history`, `accept`, `baseline`: what they print, their exit codes, and what they say of wrong names."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.core.errors import UserInputError
from harness.reports.verdicts.export import JSON_NAME, JUNIT_NAME, MARKDOWN_NAME, export_verdict
from harness.results.history import History
from harness.results.store import Store
from tests.support.nights import Nights, key, record

CELL = "mnist-cnn/ptq-int8-io/host-litert/cpu"


@pytest.fixture
def nights(tmp_path):
    """Three nights: in the second an arena grew and a cell failed."""
    found = Nights(tmp_path / "results")
    other = key("ptq-float32")
    found.run(record(arena_bytes=100), record(other))
    grown = record(arena_bytes=140, artifact_sha256="b" * 64)
    found.run(grown, record(other, outcome="failed", reason="the <link> broke\x1b[31m", starts_us=()))
    yield found
    found.store.close()


def call(nights, *args):
    """(exit code, stdout)."""
    found = CliRunner().invoke(cli, [*args, "--results", str(nights.results)], standalone_mode=False)
    if found.exception is not None:
        raise found.exception
    return int(found.return_value or 0), found.stdout


def test_compare_says_what_got_worse_and_ends_with_3(nights):
    code, text = call(nights, "compare", "n001", "n002")
    assert code == 3 and "arena 100 -> 140 bytes (+40.0%)" in text
    assert "reproduce: harness run --workload mnist-cnn --recipe ptq-int8-io" in text
    code, text = call(nights, "compare", "n001", "n001")
    assert code == 0 and "nothing got worse" in text
    code, text = call(nights, "compare", "n002", "n001", "--cell", CELL)
    assert code == 0 and "140 -> 100" in text


def test_a_run_beside_itself_is_no_comparison_and_says_so(nights):
    found = CliRunner().invoke(
        cli, ["compare", "n001", "n001", "--results", str(nights.results)], standalone_mode=False
    )
    assert "are both run n001" in found.stderr and "a run has no change from itself" in found.stderr


@pytest.mark.parametrize("form", ["markdown", "junit", "json"])
def test_compare_in_every_format(nights, form, tmp_path):
    code, text = call(nights, "compare", "n001", "--format", form, "--output", str(tmp_path / "out"))
    text = (tmp_path / "out").read_text()
    assert code == 3
    if form == "json":
        document = json.loads(text)
        assert document["exit_code"] == 3 and document["open"] == 1
        assert [v["quantity"] for v in document["verdicts"] if v["open"]] == ["arena"]
    elif form == "junit":
        root = ET.fromstring(text)
        assert len(root.findall(".//failure")) == 1 and len(root.findall(".//error")) == 1
    else:
        assert text.startswith("# Comparison with n001:") and "| arena |" in text


def test_two_runs_tell_large_changes_of_a_time_and_suspect_smaller_ones(nights):
    nights.run(record(starts_us=(150, 151, 152)), record(key("ptq-float32"), starts_us=(108, 109, 110)))
    code, text = call(nights, "compare", "n001", "n003")
    assert code == 3 and "(+51.0%)" in text and "(+9.0%): beyond what unchanged cells usually do" in text
    assert "two runs alone tell changes from 25% on" in text
    assert "not with the model" not in text.split("Suspects, not confirmed:")[1], "of a suspicion no cause is known"


def test_wrong_runs_and_cells_are_told_with_near_names(nights):
    nights.history.set_baseline("release-2", "n001")
    with pytest.raises(UserInputError, match="did you mean release-2"):
        call(nights, "compare", "release-3", "n001")
    with pytest.raises(UserInputError, match="did you mean.*host-litert/cpu"):
        call(nights, "history", CELL + "u")
    with pytest.raises(UserInputError, match="names no cell.*WORKLOAD/RECIPE/DEVICE/BACKEND"):
        call(nights, "history", "mnist-cnn")
    with pytest.raises(UserInputError, match="unknown series.*did you mean s"):
        call(nights, "history", CELL, "--series", "ss")
    with pytest.raises(UserInputError, match="unknown quantity 'arenas'.*arena"):
        call(nights, "accept", CELL, "--why", "x", "--quantity", "arenas")


def test_history_shows_each_night_and_what_was_accepted(nights):
    call(nights, "accept", CELL, "--why", "the new layer needs it")
    code, text = call(nights, "history", CELL)
    assert code == 0 and "n001" in text and "worse arena" in text and "the new layer needs it" in text
    document = json.loads(call(nights, "history", CELL, "--json")[1])
    assert [night["run"] for night in document["nights"]] == ["n001", "n002"]
    assert document["levels"][0]["why"] == "the new layer needs it"


def test_accept_makes_the_newest_night_the_level(nights):
    code, text = call(nights, "accept", CELL, "--why", "needed")
    assert code == 0 and "of run n002 accepted" in text
    grown = record(arena_bytes=140, artifact_sha256="b" * 64)
    assert nights.run(grown, record(key("ptq-float32"))).open == []
    with pytest.raises(UserInputError, match="needs a reason"):
        call(nights, "accept", CELL, "--why", " ")
    with pytest.raises(UserInputError, match="unknown run"):
        call(nights, "accept", CELL, "--why", "x", "--run", "n009")


def test_accepting_a_cell_that_failed_last_takes_the_night_before(nights):
    code, text = call(nights, "accept", "mnist-cnn/ptq-float32/host-litert/cpu", "--why", "needed")
    assert code == 0 and "of run n001 accepted" in text


def test_accepting_a_vanished_cell_closes_it(nights):
    grown = record(arena_bytes=140, artifact_sha256="b" * 64)
    assert "vanished" in {v.status for v in nights.run(grown).open}
    call(nights, "accept", "mnist-cnn/ptq-float32/host-litert/cpu", "--why", "the recipe is given up")
    assert {v.quantity for v in nights.run(grown).open} == {"arena"}


def test_a_run_by_day_is_no_history(nights):
    from harness.results.record import RunInfo

    nights.store.begin_run(RunInfo(run="day", started_utc="2026-01-02T00:00:00+00:00", command=["test"]))
    nights.store.add_cell(replace(record(key("ptq-float16")), run="day"))
    with pytest.raises(UserInputError, match="has run in no night"):
        call(nights, "history", "mnist-cnn/ptq-float16/host-litert/cpu")


def test_baselines_are_set_moved_and_listed(nights):
    assert "there are no baselines" in call(nights, "baseline", "list")[1]
    assert call(nights, "baseline", "set", "release", "n001")[1].strip() == "release: run n001"
    assert "(it was n001)" in call(nights, "baseline", "set", "release")[1]
    assert call(nights, "baseline", "list")[1].startswith("release: run n002, set ")
    assert call(nights, "compare", "n001", "release")[0] == 3
    with pytest.raises(UserInputError, match="cannot be the name"):
        call(nights, "baseline", "set", "my release")


def test_a_folder_without_a_store_is_said_and_not_made(tmp_path):
    missing = tmp_path / "nothing"
    for args in (["compare", "a", "b"], ["history", CELL], ["accept", CELL, "--why", "x"], ["baseline", "set", "b"]):
        found = CliRunner().invoke(cli, [*args, "--results", str(missing)], standalone_mode=False)
        assert isinstance(found.exception, UserInputError) and not missing.exists()


def test_a_night_leaves_markdown_junit_and_json(nights, tmp_path):
    with Store.open(nights.results, create=False) as store:
        records = store.cells(run="n002")
        assert History(store).nights("s")[-1].run == "n002"
    export_verdict(tmp_path / "out", nights.last, records, exit_code=3)
    text = (tmp_path / "out" / MARKDOWN_NAME).read_text()
    assert "one regression is open, new tonight" in text and "| arena |" in text and "harness run --workload" in text
    assert (
        "Smallest change that would have been seen" in text
        and "<summary>1 cells</summary>" in text
        and "the &lt;link&gt; broke" in text
        and "\x1b" not in text
    )
    root = ET.parse(tmp_path / "out" / JUNIT_NAME).getroot()
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert properties["verdict.arena"] == "worse" and properties["since.arena"] == "n002"
    assert properties["reproduce"].startswith("harness run") and float(properties["detectable_change.latency"]) > 0.02
    suite = root.find("testsuite")
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == ("1", "1", "2")
    assert json.loads((tmp_path / "out" / JSON_NAME).read_text())["new"] == 1
